// sockets.hpp: sockets for tests of the operations, on whatever reactor the test runs.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/accept.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/task.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace ouro::testing {

inline reactor& io() { return executor::current().io(); }

/// The result of an immediate act; throws when it is an error.
inline int checked(int result) {
    if (result < 0) throw_error(error_of(result));
    return result;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The two ends of a connection.
struct ends {
    descriptor near;
    descriptor far;
};

inline ends unix_pair() {
    int numbers[2];
    checked(io().socket_pair(AF_UNIX, SOCK_STREAM, numbers));
    return {descriptor(numbers[0]), descriptor(numbers[1])};
}

inline descriptor tcp_socket() {
    return descriptor(checked(io().open_socket(AF_INET, SOCK_STREAM, 0)));
}

inline sockaddr_in loopback(std::uint16_t port = 0) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

inline const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

inline sockaddr_in local_name(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    checked(io().local_name(fd, reinterpret_cast<sockaddr*>(&address), &length));
    return address;
}

/// A socket that listens on a fresh port of the loopback interface, or on the one given.
inline descriptor listening_socket(sockaddr_in where = loopback(), int backlog = 128) {
    descriptor socket = tcp_socket();
    const int on = 1;
    checked(io().set_option(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    checked(io().bind(socket.number(), generic(where), sizeof where));
    checked(io().listen(socket.number(), backlog));
    return socket;
}

inline connect_op connect_to(descriptor& socket, const sockaddr_in& where) {
    return connect_op(socket, generic(where), sizeof where);
}

/// The two ends of a TCP connection over the loopback interface.
inline task<ends> tcp_pair() {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    ends made;
    made.near = tcp_socket();
    co_await connect_to(made.near, where);
    made.far = co_await listener.accept();
    co_return made;
}

/// Closes so that the other end sees a reset.
inline void reset(descriptor& socket) {
    const linger at_once{1, 0};
    checked(io().set_option(socket.number(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    socket.close();
}

inline task<> send_all(descriptor& to, std::span<const std::byte> bytes) {
    while (!bytes.empty()) bytes = bytes.subspan(co_await send_op(to, bytes));
}

/// Receives until `into` is full or the stream ends; returns what was received.
inline task<std::span<std::byte>> receive_all(descriptor& from, std::span<std::byte> into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const std::size_t got = co_await recv_op(from, into.subspan(filled));
        if (got == 0) break;
        filled += got;
    }
    co_return into.first(filled);
}

}  // namespace ouro::testing
