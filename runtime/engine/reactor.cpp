#include <ouro/runtime/engine/reactor.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/passage.hpp>
#include <ouro/runtime/error.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>

namespace ouro {
namespace {

constexpr int cancel_attempts_max = 8;

int errno_result(int result) noexcept { return result < 0 ? -errno : result; }

}  // namespace

bool is_shortage(int error) noexcept {
    switch (-error) {
        case EADDRINUSE:
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return true;
        default: return false;
    }
}

void loop_failed(const char* call, int error) noexcept {
    const auto say = [](const char* text) {
        static_cast<void>(!::write(STDERR_FILENO, text, std::strlen(text)));
    };
    const char* why = ::strerrordesc_np(-error);
    say("ouro: ");
    say(call);
    say(" failed: ");
    say(why ? why : "unknown error");
    say("; the worker cannot go on (was its descriptor closed, or the call forbidden?)\n");
    std::abort();
}

bool op::submit() noexcept { return executor::current().io().submit(*this); }

void op::request_cancel() noexcept {
    if (!in_flight_ || cancel_requested_) return;
    if (passage* const way = through())
        way->cancel(*this);
    else
        executor::current().io().cancel(*this);
}

std::int64_t reactor::now() const noexcept {
    timespec at;
    ::clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1'000'000'000LL + at.tv_nsec;
}

void reactor::begin(op& operation) noexcept {
    OURO_ASSERT(!operation.in_flight_);
    operation.in_flight_ = true;
    operation.cancel_requested_ = false;
    ++in_flight_;
    ++stats_.submissions;
}

bool reactor::begin_cancel(op& operation) noexcept {
    OURO_ASSERT(operation.in_flight_);
    if (operation.cancel_requested_) return false;
    operation.cancel_requested_ = true;
    operation.cancel_attempts_ = 0;
    return true;
}

void reactor::cancel_sent(op& operation) noexcept {
    OURO_ASSERT(!operation.cancel_in_flight_);
    OURO_ASSERT(operation.in_flight_ && operation.cancel_requested_);
    operation.cancel_in_flight_ = true;
    ++operation.cancel_attempts_;
}

void reactor::finish(op& operation, std::int32_t result, std::uint32_t flags) noexcept {
    OURO_ASSERT(operation.in_flight_);
    ++stats_.completions;
    // How a request to cancel ends what a ring does on a thread of the kernel's.
    if (result == -EINTR && operation.cancel_requested_ && !operation.done_when_interrupted_)
        result = -ECANCELED;
    if (flags & completion_more) {
        operation.completed(result, flags);
        return;
    }
    if (operation.cancel_in_flight_) {
        OURO_ASSERT(!operation.held_ && "an operation has one final result");
        operation.held_ = true;
        operation.held_result_ = result;
        operation.held_flags_ = flags;
        return;
    }
    operation.in_flight_ = false;
    --in_flight_;
    operation.completed(result, flags);
}

bool reactor::cancel_answered(op& operation, std::int32_t result) noexcept {
    OURO_ASSERT(operation.cancel_in_flight_);
    operation.cancel_in_flight_ = false;
    if (operation.held_) {
        OURO_ASSERT(operation.in_flight_ && in_flight_ > 0);
        operation.held_ = false;
        operation.in_flight_ = false;
        --in_flight_;
        operation.completed(operation.held_result_, operation.held_flags_);
        return false;
    }
    return result == -ENOENT && operation.cancel_attempts_ < cancel_attempts_max;
}

std::int64_t reactor::sleep_length(std::int64_t deadline) const noexcept {
    constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t grain = 1 << 15;
    if (deadline <= 0) return 0;
    if (deadline == forever) return forever;
    const std::int64_t present = now();
    if (deadline <= present) return 0;
    const std::int64_t rounded =
        deadline <= forever - grain ? (deadline + grain - 1) & -grain : deadline;
    return rounded - present;
}

int reactor::open_socket(int domain, int type, int protocol) noexcept {
    return errno_result(::socket(domain, type | SOCK_CLOEXEC, protocol));
}

int reactor::socket_pair(int domain, int type, int (&ends)[2]) noexcept {
    return errno_result(::socketpair(domain, type | SOCK_CLOEXEC, 0, ends));
}

int reactor::bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    return errno_result(::bind(fd, address, length));
}

int reactor::listen(int fd, int backlog) noexcept { return errno_result(::listen(fd, backlog)); }

int reactor::local_name(int fd, sockaddr* address, socklen_t* length) noexcept {
    return errno_result(::getsockname(fd, address, length));
}

int reactor::peer_name(int fd, sockaddr* address, socklen_t* length) noexcept {
    return errno_result(::getpeername(fd, address, length));
}

int reactor::set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept {
    return errno_result(::setsockopt(fd, level, name, value, n));
}

int reactor::get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept {
    return errno_result(::getsockopt(fd, level, name, value, n));
}

int reactor::shutdown(int fd, int how) noexcept { return errno_result(::shutdown(fd, how)); }

int reactor::receive_messages(int fd, mmsghdr* messages, unsigned count) noexcept {
    return errno_result(::recvmmsg(fd, messages, count, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr));
}

int reactor::send_messages(int fd, mmsghdr* messages, unsigned count) noexcept {
    return errno_result(::sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}

int reactor::close(int fd) noexcept {
    const int closed = errno_result(::close(fd));
    return closed == -EINTR ? 0 : closed;  // on Linux it has closed
}

int reactor::adopt(int fd) noexcept { return fd; }

void reactor::forget(int) noexcept {}

bool reactor::flush() noexcept { return false; }

std::unique_ptr<reactor> make_reactor(const reactor_options& options, std::string& reason) {
    reactor_kind kind = options.kind;
    const char* wish = std::getenv("OURO_REACTOR");
    if (kind == reactor_kind::automatic && wish && *wish) {
        const std::string_view name = wish;
        if (name == "uring")
            kind = reactor_kind::uring;
        else if (name == "epoll")
            kind = reactor_kind::epoll;
        else
            throw std::system_error(errc::unsupported, "OURO_REACTOR must be uring or epoll");
        reason = "OURO_REACTOR=" + std::string(name);
    }
    if (kind == reactor_kind::sim)
        throw std::system_error(errc::unsupported, "run_simulated() makes the simulated reactor");
    if (kind == reactor_kind::epoll) {
        if (reason.empty()) reason = "asked for";
        return make_epoll_reactor(options);
    }
    std::string ring_says;
    if (auto ring = make_uring_reactor(options, ring_says)) {
        reason = reason.empty() ? ring_says : reason + ", " + ring_says;
        return ring;
    }
    if (kind == reactor_kind::uring)
        throw std::system_error(errc::unsupported, "io_uring was asked for: " + ring_says);
    reason = "no io_uring: " + ring_says;
    return make_epoll_reactor(options);
}

}  // namespace ouro
