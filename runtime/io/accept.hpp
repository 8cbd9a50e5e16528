// accept.hpp: taking connections from a listening socket.
#pragma once

#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace ouro {

class accept_core;
class acceptor;

/// How an acceptor treats connections that nobody awaits yet.
struct accept_options {
    /// From so many connections on, the kernel is asked to take no more until accept() has drained
    /// them; those that it has taken by then are queued, too.
    std::size_t queue_max = 64;
};

/// Waits for one connection; made by acceptor::accept. Lives in the awaiting frame, allocates
/// nothing.
class [[nodiscard, gnu::warn_unused]] accept_op final : public leaf, public list_hook<accept_op> {
public:
    /// `from` is null when the acceptor is closed: std::errc::bad_file_descriptor.
    explicit accept_op(accept_core* from) noexcept : from_(from) {}
    ~accept_op() { assert_awaited("accept"); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    descriptor await_resume() {
        if (error_ < 0) throw_error(error_of(error_));
        return std::move(taken_);
    }
    result<descriptor> await_result() noexcept {
        if (error_ < 0) return error_of(error_);
        return std::move(taken_);
    }

    void describe(leaf_description& into) const override;

private:
    friend class accept_core;

    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void finish(descriptor taken, int error) noexcept;

    accept_core* from_;
    descriptor taken_;
    int error_ = 0;  // -errno
    bool starting_ = false;
    bool done_ = false;
};

/// Takes connections from a listening socket, which it owns.
///
/// One operation belongs to the acceptor, not to whoever awaits: a ring's multishot accept, where
/// the kernel has it, or one accept at a time. It starts with the first accept() and goes on;
/// what comes while nobody awaits is queued. Awaiting tasks are served in arrival order.
///
/// Worker-local. Destroying it ends the operation, closes the queued connections and the socket,
/// which goes on listening where somebody else holds it, too;
/// the address can be bound again at once (with SO_REUSEADDR, as listening sockets have it).
/// Nobody may await it then.
class acceptor {
public:
    acceptor() noexcept = default;
    /// Takes over a socket on which listen() was called, and makes it fit for this worker's
    /// reactor, blocking or not. Throws std::system_error when that fails.
    explicit acceptor(descriptor listening, accept_options options = {});
    acceptor(acceptor&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    acceptor& operator=(acceptor&& other) noexcept {
        close();
        core_ = std::exchange(other.core_, nullptr);
        return *this;
    }
    ~acceptor() { close(); }

    /// Waits for a connection and yields its descriptor, fit for this worker's reactor. Its peer's
    /// address is asked for with reactor::peer_name.
    ///
    /// Connections that failed before they were taken are passed over. Errors that will go away
    /// are reported to one waiter and leave the acceptor usable: too many descriptors
    /// (std::errc::too_many_files_open, too_many_files_open_in_system), no memory
    /// (not_enough_memory, no_buffer_space); wait a little and call accept() again. Throws
    /// errc::cancelled; a connection that came first is delivered.
    /// On a closed or moved-from acceptor it throws std::errc::bad_file_descriptor.
    accept_op accept() noexcept { return accept_op(core_); }

    /// Takes no more connections from the kernel, whose backlog then fills up. What was taken
    /// before is still handed out, and waiters go on waiting.
    void pause() noexcept;
    /// Goes on after pause().
    void resume() noexcept;
    bool paused() const noexcept;

    /// Connections that were taken and wait for accept().
    std::size_t queued() const noexcept;

    bool is_open() const noexcept { return core_ != nullptr; }
    /// The listening socket; -1 when closed.
    int number() const noexcept;

    /// What the destructor does.
    void close() noexcept;

private:
    accept_core* core_ = nullptr;  // frees itself after its final completion
};

}  // namespace ouro
