// watch.hpp: optimistic transactions on a cluster: WATCH, look, decide, EXEC.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/transaction.hpp>
#include <ouro/kv/redis/connection/watch_body.hpp>
#include <ouro/runtime/combine.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ouro::redis {

/// Keys of one slot, watched on a connection that is leased from the slot's node.
class cluster_watch final : private routed_request {
public:
    /// Throws errc::cross_slot when the keys are in several slots, and errc::null_reply when there
    /// are none: nothing was sent.
    cluster_watch(std::shared_ptr<cluster_core> on, command watch, const watch_options& options);
    ~cluster_watch() { drop(); }

    /// Leases a connection to the node that has the slot, and watches the keys there.
    task<> begin();
    /// The connection, between begin and end.
    connection& mine() const noexcept { return *own_; }
    /// A transaction was run: the connection may be used by others.
    void done() noexcept { own_.release(); }
    /// It was not: others shall not see what it watches.
    void drop() noexcept {
        if (own_) own_.discard();
    }

    /// Judges a failure between begin and end. True when all of it can be tried again: because a
    /// watched key was changed, or because the slot is elsewhere by now; nothing was done then.
    bool may_try_again(const std::exception_ptr& failure, bool executing);
    /// Waits a little, before that.
    task<> rest();

private:
    bool encode(net::writer& out) const override { return write(out, watch_); }
    void take(const value& from) override;
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept override;
    void keep(net::pool<connection>::lease&& own) noexcept override { own_ = std::move(own); }

    std::shared_ptr<cluster_core> core_;
    command watch_;
    std::size_t attempts_left_;
    backoff wait_;
    bool moved_ = false;  // it failed because the slot is elsewhere, or nowhere now
    net::pool<connection>::lease own_;
    std::error_code error_;
    std::string words_;
    net::fate how_far_ = net::fate::unsent;
};

/// One attempt of with_watch on a cluster. Says what went wrong, and whether that was EXEC.
template <class Body, class Outcome>
task<> watch_once(cluster_watch& keys, Body& body, std::optional<Outcome>& into, bool& executing) {
    using value = watch_body_value<Body>;
    executing = false;
    co_await keys.begin();
    redis::transaction queued = keys.mine().transaction();
    std::optional<branch_value<value>> made;
    if constexpr (std::is_void_v<value>) {
        co_await body(keys.mine(), queued);
        made.emplace();
    } else {
        made.emplace(co_await body(keys.mine(), queued));
    }
    executing = true;
    if (!queued.empty()) {
        co_await queued.exec();
        keys.done();
        queued.throw_if_failed();
    }
    if constexpr (std::is_void_v<value>)
        into.emplace();
    else
        into.emplace(watch_outcome<value>::of(std::move(*made)));
}

/// See with_watch.
template <class Body>
task<typename watch_outcome<watch_body_value<Body>>::type> watch_until_done(
    std::shared_ptr<cluster_core> on, command watch, Body body, watch_options options) {
    using outcome = typename watch_outcome<watch_body_value<Body>>::type;
    cluster_watch keys(std::move(on), std::move(watch), options);
    std::optional<branch_value<outcome>> made;
    for (;;) {
        std::exception_ptr failure;
        bool executing = false;
        try {
            co_await watch_once(keys, body, made, executing);
        } catch (...) {
            failure = std::current_exception();
        }
        keys.drop();
        if (!failure) break;
        if (!keys.may_try_again(failure, executing)) std::rethrow_exception(failure);
        co_await keys.rest();
    }
    if constexpr (!std::is_void_v<outcome>) co_return std::move(*made);
}

}  // namespace ouro::redis
