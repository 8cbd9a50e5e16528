#include <ouro/net/socket_options.hpp>

#include <ouro/runtime/engine/executor.hpp>

#include <netinet/tcp.h>

#include <algorithm>
#include <limits>

namespace ouro::net {
namespace {

constexpr int keep_alive_seconds_max = 32767;  // the kernel's MAX_TCP_KEEPIDLE

reactor& io() noexcept { return executor::current().io(); }

result<void> success_of(int result) noexcept {
    return result < 0 ? ouro::result<void>(error_of(result)) : ouro::result<void>();
}

int seconds_of(duration length) noexcept {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(length).count();
    return static_cast<int>(std::clamp<std::int64_t>(seconds, 1, keep_alive_seconds_max));
}

int int_of(std::size_t bytes) noexcept {
    constexpr std::size_t most = std::numeric_limits<int>::max();
    return static_cast<int>(std::min(bytes, most));
}

result<std::size_t> size_option(int fd, int name) noexcept {
    const result<int> bytes = socket_option(fd, SOL_SOCKET, name);
    if (!bytes) return bytes.error();
    return static_cast<std::size_t>(*bytes);
}

using name_of = int (reactor::*)(int, sockaddr*, socklen_t*) noexcept;

result<endpoint> ask(int fd, name_of name) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const int got = (io().*name)(fd, reinterpret_cast<sockaddr*>(&address), &length);
    if (got < 0) return error_of(got);
    result<endpoint> where = endpoint::from(reinterpret_cast<sockaddr*>(&address), length);
    return where ? where->unmapped() : where;
}

}  // namespace

result<void> set_socket_option(int fd, int level, int name, int value) noexcept {
    return success_of(io().set_option(fd, level, name, &value, sizeof value));
}

result<int> socket_option(int fd, int level, int name) noexcept {
    int value = 0;
    socklen_t size = sizeof value;
    const int got = io().get_option(fd, level, name, &value, &size);
    if (got < 0) return error_of(got);
    return value;
}

result<void> set_stream_options(int fd, int domain, const stream_options& options) noexcept {
    const bool tcp = domain != AF_UNIX;
    result<void> done;
    if (tcp && options.no_delay) done = set_no_delay(fd, true);
    if (done && tcp && options.keep_alive) done = set_keep_alive(fd, options.keep_alive);
    if (done && tcp && options.user_timeout > duration::zero())
        done = set_user_timeout(fd, options.user_timeout);
    if (done && options.send_buffer_bytes != 0)
        done = set_send_buffer_bytes(fd, options.send_buffer_bytes);
    if (done && options.receive_buffer_bytes != 0)
        done = set_receive_buffer_bytes(fd, options.receive_buffer_bytes);
    return done;
}

result<void> set_no_delay(int fd, bool on) noexcept {
    return set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
}

result<bool> no_delay(int fd) noexcept {
    const result<int> value = socket_option(fd, IPPROTO_TCP, TCP_NODELAY);
    if (!value) return value.error();
    return *value != 0;
}

result<void> set_keep_alive(int fd, const std::optional<keep_alive>& times) noexcept {
    if (!times) return set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
    result<void> done = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(times->idle));
    if (done) done = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(times->interval));
    if (done) done = set_socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, times->probes);
    if (done) done = set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    return done;
}

result<void> set_user_timeout(int fd, duration limit) noexcept {
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    constexpr std::int64_t most = std::numeric_limits<int>::max();
    return set_socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                             static_cast<int>(std::clamp<std::int64_t>(milliseconds, 0, most)));
}

result<void> set_quick_ack(int fd, bool on) noexcept {
    return set_socket_option(fd, IPPROTO_TCP, TCP_QUICKACK, on);
}

result<void> set_linger(int fd, std::optional<duration> length) noexcept {
    linger value{};
    if (length) {
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*length).count();
        value.l_onoff = 1;
        value.l_linger = static_cast<int>(std::clamp<std::int64_t>(seconds, 0, 65535));
    }
    return success_of(io().set_option(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value));
}

result<void> set_send_buffer_bytes(int fd, std::size_t bytes) noexcept {
    return set_socket_option(fd, SOL_SOCKET, SO_SNDBUF, int_of(bytes));
}

result<void> set_receive_buffer_bytes(int fd, std::size_t bytes) noexcept {
    return set_socket_option(fd, SOL_SOCKET, SO_RCVBUF, int_of(bytes));
}

result<std::size_t> send_buffer_bytes(int fd) noexcept { return size_option(fd, SO_SNDBUF); }

result<std::size_t> receive_buffer_bytes(int fd) noexcept { return size_option(fd, SO_RCVBUF); }

result<endpoint> local_endpoint(int fd) noexcept { return ask(fd, &reactor::local_name); }

result<endpoint> peer_endpoint(int fd) noexcept { return ask(fd, &reactor::peer_name); }

bool lacks_ipv6(const endpoint& where, std::error_code error) noexcept {
    return where == endpoint::any(where.port()) &&
           (error == std::errc::address_family_not_supported ||
            error == std::errc::address_not_available);
}

}  // namespace ouro::net
