// socket_options.hpp: what can be set on a socket, one function each, and all at once.
//
// Everything goes through the worker's reactor, so it works on simulated sockets, too.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <optional>

namespace ouro::net {

/// How TCP finds out that a silent peer is gone: after `idle` without a word it asks every
/// `interval`, and gives the connection up after `probes` questions without an answer.
/// Times are rounded up to whole seconds, 1 to 32767.
struct keep_alive {
    duration idle = std::chrono::seconds(60);
    duration interval = std::chrono::seconds(10);
    int probes = 6;
};

/// What a new connection is given. What is not named stays as the system has it.
struct stream_options {
    /// TCP_NODELAY: small writes leave at once instead of waiting for the peer's acknowledgement.
    /// On, because writes are gathered before they get to the socket.
    bool no_delay = true;
    std::optional<net::keep_alive> keep_alive = {};
    /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged; 0: as the system has it.
    duration user_timeout{};
    /// Of the kernel's buffers. 0: the system tunes them, which is better in nearly all cases.
    std::size_t send_buffer_bytes = 0;
    std::size_t receive_buffer_bytes = 0;
};

/// For a connection that stays, on which an answer may be long in coming: a peer that vanished
/// without a word is noticed within half a minute, whether something was sent to it or not. The
/// drivers connect with these unless they are told otherwise.
constexpr stream_options lasting_stream() noexcept {
    stream_options made;
    made.keep_alive = keep_alive{
        .idle = std::chrono::seconds(15), .interval = std::chrono::seconds(5), .probes = 3};
    made.user_timeout = std::chrono::seconds(30);
    return made;
}

/// Sets everything that `options` names on a socket of that domain (AF_INET, AF_INET6, AF_UNIX).
/// On a listening socket, the connections that it accepts inherit them.
result<void> set_stream_options(int fd, int domain, const stream_options& options) noexcept;

/// TCP_NODELAY, see stream_options.
result<void> set_no_delay(int fd, bool on) noexcept;
result<bool> no_delay(int fd) noexcept;

/// Turns SO_KEEPALIVE on with these times, or off.
result<void> set_keep_alive(int fd, const std::optional<keep_alive>& times) noexcept;

/// TCP_USER_TIMEOUT, rounded up to milliseconds; 0: as the system has it.
result<void> set_user_timeout(int fd, duration limit) noexcept;

/// TCP_QUICKACK: acknowledge at once. The kernel turns it off again when it sees fit.
result<void> set_quick_ack(int fd, bool on) noexcept;

/// SO_LINGER: what closing does with data that the peer has not acknowledged. nullopt, the default,
/// delivers it in the background; 0 drops it and resets the connection. Anything else, rounded up
/// to seconds, makes closing wait for it, and the whole worker with it.
result<void> set_linger(int fd, std::optional<duration> length) noexcept;

/// SO_SNDBUF and SO_RCVBUF. The kernel doubles the number for its own needs and reads back the
/// double; it caps it at net.core.wmem_max and rmem_max. Setting one ends its automatic tuning.
result<void> set_send_buffer_bytes(int fd, std::size_t bytes) noexcept;
result<void> set_receive_buffer_bytes(int fd, std::size_t bytes) noexcept;
result<std::size_t> send_buffer_bytes(int fd) noexcept;
result<std::size_t> receive_buffer_bytes(int fd) noexcept;

/// Any option that is an int.
result<void> set_socket_option(int fd, int level, int name, int value) noexcept;
result<int> socket_option(int fd, int level, int name) noexcept;

/// The address that the socket is bound to, and the one it is connected to. An IPv4 peer of an
/// IPv6 socket is shown as IPv4.
result<endpoint> local_endpoint(int fd) noexcept;
result<endpoint> peer_endpoint(int fd) noexcept;

/// True when binding to `where`, every address of the machine, failed because it has no IPv6:
/// every IPv4 address is then the same thing.
bool lacks_ipv6(const endpoint& where, std::error_code error) noexcept;

}  // namespace ouro::net
