// client.hpp: a Redis server as its users see it: every command, awaited.
#pragma once

#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/commands/door.hpp>
#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/pipeline.hpp>
#include <ouro/kv/redis/connection/transaction.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ouro::redis {

/// One server, its commands, and the connections to it.
///
///     auto db = co_await redis::client::connect("redis://127.0.0.1:6379/0");
///     co_await db.set("greeting", "hello");
///     std::optional<std::string> greeting = co_await db.get("greeting");
///
/// Many tasks share one connection: what they ask for in one turn leaves in one packet, and each is
/// resumed with its own reply. What cannot be shared is not: blocking commands, WATCH and huge
/// pipelines lease a connection of their own. A lost connection is made again; what was not sent is
/// sent then, reads are repeated, and a write that may have been done fails with
/// net::fate::unanswered.
///
/// A command that must not go on a connection that others share fails with errc::not_shareable,
/// whose words say what to do instead: see obstacle. command() leases a connection for one that
/// blocks. One about what its connection did before (WAIT, CLIENT ID) needs a lease(), too.
///
/// Worker-local. Cheap to move; copies share the connections, which close with the last of them.
/// It must outlive what is awaited of it, and its pipelines and transactions.
class client : public door<client> {
public:
    /// Reads the URL (see url), connects, and returns when the server has answered. Throws
    /// redis::error: errc::bad_url with what is wrong with it, or with the server's words
    /// errc::wrong_password and the like; std::system_error's codes when there is no server;
    /// errc::protocol_error when there is another one; net::tls::errc's when TLS was asked for, and
    /// the server is not to be trusted, or does not trust us.
    static task<client> connect(std::string where, client_options options = {});
    static task<client> connect(url where, client_options options = {});

    /// On a leased connection.
    template <class T>
    task<T> run_blocking(verb what, block_time wait, std::span<const arg> arguments) {
        return run_leased<T>(core_, redis::command(what, arguments), wait);
    }

    redis::pipeline pipeline() { return redis::pipeline(core_); }
    redis::transaction transaction() { return redis::transaction(core_); }

    /// A subscriber on a connection that commands share, which RESP3 allows; on one of its own
    /// where the server speaks RESP2, or when its policy is to block. One that shares ends with the
    /// client.
    redis::subscriber subscriber(const inbox_options& limits = {}) {
        return {core_->hub(limits.when_full), limits};
    }

    /// A connection of one's own until the lease dies. Throws ouro::errc::timed_out when all are in
    /// use for too long, and what connecting throws.
    net::pool<connection>::acquire_op lease() noexcept { return core_->lease(); }

    /// Says who we are now on every connection that is there, while requests go on; none of them is
    /// harmed. For credentials that run out or are replaced: call it when `client_options::
    /// credentials` has new ones. What is leased is not touched, and is closed when it comes back.
    ///
    /// Throws redis::error with the server's words when it takes them not (the connections go on
    /// with the old ones), and what the source of credentials throws; each connection was tried.
    task<> reauthenticate() { return core_->reauthenticate(); }

    /// Ends it: what waits is told ouro::errc::closed. Returns when the connections are closed.
    task<> close() { return core_->close(); }

    const client_options& options() const noexcept { return core_->options(); }
    /// The shared sessions, for figures and for those who build on them.
    const std::vector<std::shared_ptr<session>>& sessions() const noexcept {
        return core_->sessions();
    }
    net::pool_figures dedicated_figures() const noexcept { return core_->dedicated_figures(); }
    const std::shared_ptr<client_core>& core() const noexcept { return core_; }
    /// For who has made the core himself.
    explicit client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}

private:
    friend door;

    template <class T>
    call<T> run_known(verb what, std::span<const arg> arguments) {
        return call<T>(among_others(), core_->shared(), what, arguments);
    }
    template <class T, class... How>
    task<T> run_named(std::string_view name, const How&... how) {
        return run_any<T>(core_, redis::command(name, how...));
    }

    template <class T>
    static task<T> run_leased(std::shared_ptr<client_core> core, redis::command what,
                              block_time wait) {
        const obstacle found = obstacle_of(what);
        if (found != obstacle::none && found != obstacle::blocks)
            throw refusal_of(what.name(), found);
        auto mine = co_await lease_for(core, what);
        co_return co_await mine->template run_blocking<T>(std::move(what), wait);
    }
    /// Throws as lease(), but always redis::error.
    static task<net::pool<connection>::lease> lease_for(std::shared_ptr<client_core> core,
                                                        const redis::command& what);
    template <class T>
    static task<T> run_any(std::shared_ptr<client_core> core, redis::command what) {
        if (blocks(what)) co_return co_await run_leased<T>(core, std::move(what), block_time());
        co_return co_await call<T>(among_others(), core->shared(), std::move(what));
    }

    std::shared_ptr<client_core> core_;
};

}  // namespace ouro::redis
