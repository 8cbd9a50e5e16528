// socket_ops.hpp: the operations on sockets. Each says in one place how a ring does it, how a
// system call does it, and what its result means. Addresses, messages and vectors live inside.
#pragma once

#include <ouro/runtime/io/io_await.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace ouro {

/// Receives up to `into.size()` bytes; 0 means the peer closed its side.
class [[nodiscard, gnu::warn_unused]] recv_op final : public io_await {
public:
    /// `waiting` says that bytes are probably there: a ring then looks at once, too.
    recv_op(descriptor& on, std::span<std::byte> into, bool waiting = false) noexcept
        : io_await(on, side::read, "recv"), into_(into) {
        attempt_first(waiting);
    }

    std::size_t await_resume() const { return bytes().value(); }
    ouro::result<std::size_t> await_result() const noexcept { return bytes(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    std::span<std::byte> into_;
};

/// Sends from the front of `from`; yields how many bytes the kernel took, at least 1 unless `from`
/// is empty. A vanished peer is std::errc::broken_pipe or connection_reset, never a signal.
class [[nodiscard, gnu::warn_unused]] send_op final : public io_await {
public:
    send_op(descriptor& on, std::span<const std::byte> from, int flags = 0) noexcept
        : io_await(on, side::write, "send"), from_(from), flags_(flags) {}

    std::size_t await_resume() const { return bytes().value(); }
    ouro::result<std::size_t> await_result() const noexcept { return bytes(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    std::span<const std::byte> from_;
    int flags_;
};

/// Sends a message: vectors, an address and control data, as filled in by the caller's `message()`.
class send_message_op : public io_await {
public:
    std::size_t await_resume() const { return bytes().value(); }
    ouro::result<std::size_t> await_result() const noexcept { return bytes(); }

protected:
    explicit send_message_op(descriptor& on, const char* name = "sendmsg") noexcept
        : io_await(on, side::write, name) {}
    ~send_message_op() = default;

    msghdr& message() noexcept { return message_; }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    msghdr message_{};
};

/// Sends from several places in one call.
class [[nodiscard, gnu::warn_unused]] send_vector_op final : public send_message_op {
public:
    /// The vectors must stay until it completes; at most IOV_MAX (1024) are used.
    send_vector_op(descriptor& on, std::span<const iovec> from) noexcept : send_message_op(on) {
        message().msg_iov = const_cast<iovec*>(from.data());
        message().msg_iovlen = from.size() < 1024 ? from.size() : 1024;
    }
};

/// Receives a message; derive to say where to.
class receive_message_op : public io_await {
protected:
    explicit receive_message_op(descriptor& on, const char* name = "recvmsg") noexcept
        : io_await(on, side::read, name) {}
    ~receive_message_op() = default;

    msghdr& message() noexcept { return message_; }
    const msghdr& message() const noexcept { return message_; }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    msghdr message_{};
};

/// Connects to an address, which is copied. Where a Unix socket's backlog is full, a ring waits for
/// room (as long as SO_SNDTIMEO, then -EAGAIN) and epoll fails with
/// std::errc::device_or_resource_busy.
class [[nodiscard, gnu::warn_unused]] connect_op final : public io_await {
public:
    connect_op(descriptor& on, const sockaddr* address, socklen_t length) noexcept;

    void await_resume() const { return success().value(); }
    ouro::result<void> await_result() const noexcept { return success(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    sockaddr_storage address_{};
    socklen_t length_;
    bool attempted_ = false;
};

/// Waits until the descriptor is readable or writable, for libraries that do their own I/O.
class [[nodiscard, gnu::warn_unused]] poll_op final : public io_await {
public:
    enum class event : std::uint8_t { readable, writable };

    poll_op(descriptor& on, event what) noexcept
        : io_await(on, what == event::readable ? side::read : side::write, "poll"), what_(what) {}

    void await_resume() const { return success().value(); }
    ouro::result<void> await_result() const noexcept { return success(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    event what_;
};

}  // namespace ouro
