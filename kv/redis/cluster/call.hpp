// call.hpp: one command on its way through a cluster, and back as a `T`.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/reading.hpp>

#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ouro::redis {

class multi_node_call;

/// The obstacle in the way of a command of a whole cluster, rather than of one of its nodes.
obstacle obstacle_in_cluster(const command& what) noexcept;
/// Whether a command goes on where another one has stopped, so that it must be at the same node.
bool has_cursor(const command_info& what) noexcept;

class cluster_call_base;

/// Says whose footsteps a command follows: it goes first to the node that has answered that one.
struct behind {
    const cluster_call_base& other;
};

/// The part of a call that does not depend on the type of the reply.
class cluster_call_base : public routed_request {
public:
    template <class... How>
    explicit cluster_call_base(cluster_core& by, How&&... how)
        : by_(by), command_(std::forward<How>(how)...) {}
    /// One that may block at the server for so long.
    template <class... How>
    cluster_call_base(block_time wait, cluster_core& by, How&&... how)
        : cluster_call_base(by, std::forward<How>(how)...) {
        wait_ = wait;
    }
    /// One for this node.
    template <class... How>
    cluster_call_base(cluster_core::node_ptr node, cluster_core& by, How&&... how)
        : cluster_call_base(by, std::forward<How>(how)...) {
        has_node_ = true;
        pin_to(std::move(node));
    }
    /// Both: for this node, where it may block.
    template <class... How>
    cluster_call_base(block_time wait, cluster_core::node_ptr node, cluster_core& by, How&&... how)
        : cluster_call_base(std::move(node), by, std::forward<How>(how)...) {
        wait_ = wait;
    }
    /// One that begins where another one was answered.
    template <class... How>
    cluster_call_base(behind before, cluster_core& by, How&&... how)
        : cluster_call_base(by, std::forward<How>(how)...) {
        follow(before.other);
    }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        note_awaited(by.promise());
        if (!begin()) return false;
        way_.emplace(perform());
        way_->borrowed().await_suspend(by);
        return true;
    }

    /// See leaf::note_awaited.
    void note_awaited(promise_base&) noexcept { awaited_ = true; }

    const command& what() const noexcept { return command_; }
    /// How far it came, when it failed.
    net::fate how_far() const noexcept { return how_far_; }
    /// The server's words, when it answered with an error.
    const std::string& words() const noexcept { return words_; }

protected:
    ~cluster_call_base() {
#ifndef OURO_NO_ASSERT
        if (!awaited_) [[unlikely]]
            never_awaited("redis cluster call");
#endif
    }

    /// Reads a reply that is no error.
    virtual std::error_code read(const value& from) = 0;

    /// Throws what went wrong on the way, such as std::bad_alloc, and what a decoder has thrown.
    std::error_code error_code() {
        if (way_) way_->borrowed().await_resume();
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
        return error_;
    }
    /// The same, and throws the failure if there is one.
    void throw_if_failed() {
        if (error_code()) throw_failure();
    }

private:
    bool begin();
    task<> perform();
    task<> scatter(std::unique_ptr<multi_node_call> parts);

    bool encode(net::writer& out) const final { return write(out, command_); }
    void take(const value& from) final;
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept final;
    [[noreturn]] void throw_failure() const;

    cluster_core& by_;
    command command_;
    std::optional<task<>> way_;
    std::optional<block_time> wait_;  // of a command that blocks
    bool has_node_ = false;
    bool awaited_ = false;
    routed_request* self_ = this;
    std::error_code error_;
    std::exception_ptr thrown_;  // by a decoder
    std::string words_;
    net::fate how_far_ = net::fate::unsent;
    obstacle obstacle_ = obstacle::none;
};

/// A command that is sent to the node of its slot when it is awaited, and further, if that node
/// says so.
///
/// One with keys in several slots is split if it can be (see may_be_split), and its reply is made
/// of those of the parts, in the order of the keys; when a part fails, the others may have been
/// done. One without keys goes to some master, or to all of them, as Redis says of it: see
/// request_policy. Throws redis::error; `as_result` gives the code alone. The door it came from
/// must live until then.
template <class T>
using cluster_call = reading<cluster_call_base, T>;

}  // namespace ouro::redis
