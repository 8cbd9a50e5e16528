#include <ouro/runtime/io/socket_ops.hpp>

#include <liburing.h>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ouro {
namespace {

// An entry's length has 32 bits; a system call would not take more than this at once either.
constexpr std::size_t transfer_max = 1U << 30;

template <class Byte>
std::size_t for_one_entry(std::span<Byte> bytes) noexcept {
    return std::min(bytes.size(), transfer_max);
}

}  // namespace

void recv_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_recv(&entry, fd(), into_.data(), for_one_entry(into_), 0);
}

int recv_op::attempt() noexcept {
    return received_of(errno_result(::recv(fd(), into_.data(), into_.size(), MSG_DONTWAIT)),
                       into_.size());
}

void send_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_send(&entry, fd(), from_.data(), for_one_entry(from_), flags_ | MSG_NOSIGNAL);
}

int send_op::attempt() noexcept {
    return errno_result(
        ::send(fd(), from_.data(), from_.size(), flags_ | MSG_NOSIGNAL | MSG_DONTWAIT));
}

void send_message_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_sendmsg(&entry, fd(), &message_, MSG_NOSIGNAL);
}

int send_message_op::attempt() noexcept {
    return errno_result(::sendmsg(fd(), &message_, MSG_NOSIGNAL | MSG_DONTWAIT));
}

void receive_message_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_recvmsg(&entry, fd(), &message_, MSG_CMSG_CLOEXEC);
}

int receive_message_op::attempt() noexcept {
    return errno_result(::recvmsg(fd(), &message_, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
}

connect_op::connect_op(descriptor& on, const sockaddr* address, socklen_t length) noexcept
    : io_await(on, side::write, "connect"), length_(length) {
    OURO_ASSERT(length <= sizeof address_);
    std::memcpy(&address_, address, length);
}

void connect_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_connect(&entry, fd(), reinterpret_cast<sockaddr*>(&address_), length_);
}

int connect_op::attempt() noexcept {
    if (attempted_) {  // the socket became writable: it is connected, or it knows why not
        int error = 0;
        socklen_t size = sizeof error;
        if (::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
        return -error;
    }
    const int result =
        errno_result(::connect(fd(), reinterpret_cast<sockaddr*>(&address_), length_));
    attempted_ = result == -EINPROGRESS;
    if (attempted_) return -EAGAIN;
    // The backlog of a Unix socket is full; readiness would not tell when it no longer is.
    return result == -EAGAIN ? -EBUSY : result;
}

void poll_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_poll_add(&entry, fd(), what_ == event::readable ? POLLIN : POLLOUT);
}

int poll_op::attempt() noexcept {
    pollfd state{fd(), static_cast<short>(what_ == event::readable ? POLLIN : POLLOUT), 0};
    const int result = errno_result(::poll(&state, 1, 0));
    return result == 0 ? -EAGAIN : result;
}

}  // namespace ouro
