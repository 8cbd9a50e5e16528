// sockets.hpp: what the tests of this folder share.
#pragma once

#include <ouro/net/connect.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// The same story on uring, uring without set-up flags and epoll: for what simulation has not.
#define OURO_TEST_KERNEL(sentence) \
    OURO_TEST_NAMED(DOCTEST_ANONYMOUS(ouro_test_), sentence, ::ouro::net::doctest_on_kernel)

namespace ouro::net {

inline void doctest_on_kernel(sim::test_body body) {
    for (const sim::test_setting& setting : sim::real_settings()) doctest_in(setting, body);
}

/// True when there is an IPv6 loopback address; says so when there is none, since the rest of the
/// test is then left out.
inline bool has_ipv6() {
    const int fd = executor::current().io().open_socket(AF_INET6, SOCK_STREAM, 0);
    const descriptor probe(fd);
    const endpoint where{"::1", 0};
    if (fd >= 0 && executor::current().io().bind(fd, where.address(), where.length()) == 0)
        return true;
    DOCTEST_MESSAGE("this machine has no IPv6 loopback address: not tested with IPv6");
    return false;
}

/// Bytes that tell where they are from, so that a lost or doubled one is seen.
inline std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> made(size);
    for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<std::byte>(i * 31 + i / 251);
    return made;
}

/// Both ends of a connection.
struct ends {
    stream near;  // connected
    stream far;   // was accepted
};

/// A connection through `at`.
inline task<ends> connection_through(listener& at) {
    ends made;
    made.near = co_await connect(at.local());
    made.far = co_await at.accept();
    co_return made;
}

inline task<ends> tcp_connection() {
    listener at(endpoint{"127.0.0.1", 0});
    co_return co_await connection_through(at);
}

/// Closes so that the peer sees a reset.
inline void reset(stream& which) {
    which.set_linger(duration::zero());
    which = stream();
}

/// Receives until the peer closes its side.
inline task<std::string> receive_all(stream& from) {
    std::string all;
    std::vector<std::byte> block(1000);
    for (;;) {
        const std::size_t got = co_await from.recv(block);
        if (got == 0) co_return all;
        all.append(reinterpret_cast<const char*>(block.data()), got);
    }
}

/// Receives exactly `size` bytes, or fewer when the peer closes its side.
inline task<std::string> receive_exactly(stream& from, std::size_t size) {
    std::string text(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        const auto space = std::as_writable_bytes(std::span(text)).subspan(have);
        const std::size_t got = co_await from.recv(space);
        if (got == 0) break;
        have += got;
    }
    text.resize(have);
    co_return text;
}

}  // namespace ouro::net
