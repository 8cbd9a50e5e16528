#include <ouro/net/socket_options.hpp>

#include "sockets.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>

#include <netinet/tcp.h>

#include <array>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

OURO_TEST_KERNEL("what is set is what the kernel says") {
    auto both = co_await tcp_connection();
    const int fd = both.near.fd();
    const auto tcp = [fd](int name) { return socket_option(fd, IPPROTO_TCP, name).value(); };
    const auto socket = [fd](int name) { return socket_option(fd, SOL_SOCKET, name).value(); };

    CHECK(no_delay(fd).value());
    both.near.set_no_delay(false);
    CHECK_FALSE(no_delay(fd).value());

    both.near.set_keep_alive(keep_alive{.idle = 1500ms, .interval = 3s, .probes = 4});
    CHECK(socket(SO_KEEPALIVE) == 1);
    CHECK(tcp(TCP_KEEPIDLE) == 2);  // rounded up
    CHECK(tcp(TCP_KEEPINTVL) == 3);
    CHECK(tcp(TCP_KEEPCNT) == 4);
    both.near.set_keep_alive(std::nullopt);
    CHECK(socket(SO_KEEPALIVE) == 0);

    both.near.set_user_timeout(1500us);
    CHECK(tcp(TCP_USER_TIMEOUT) == 2);
    both.near.set_user_timeout(duration::zero());
    CHECK(tcp(TCP_USER_TIMEOUT) == 0);

    both.near.set_quick_ack(true);
    CHECK(tcp(TCP_QUICKACK) == 1);

    both.near.set_send_buffer_bytes(10'000);
    CHECK(send_buffer_bytes(fd).value() == 20'000);
    both.near.set_receive_buffer_bytes(10'000);
    CHECK(receive_buffer_bytes(fd).value() == 20'000);
}

OURO_TEST_KERNEL("keep-alive times beyond what the kernel takes are cut") {
    auto both = co_await tcp_connection();
    both.near.set_keep_alive(keep_alive{.idle = 0s, .interval = std::chrono::hours(1000)});
    CHECK(socket_option(both.near.fd(), IPPROTO_TCP, TCP_KEEPIDLE).value() == 1);
    CHECK(socket_option(both.near.fd(), IPPROTO_TCP, TCP_KEEPINTVL).value() == 32767);
}

OURO_TEST_IO("a linger of zero resets the connection") {
    auto both = co_await tcp_connection();
    both.near.set_linger(duration::zero());
    both.near = stream();
    std::array<std::byte, 1> space;
    const auto got = co_await as_result(both.far.recv(space));
    CHECK(got.error() == std::errc::connection_reset);
}

OURO_TEST_IO("stream options are taken for TCP and Unix sockets alike") {
    const stream_options all{.no_delay = true,
                             .keep_alive = keep_alive{},
                             .user_timeout = 10s,
                             .send_buffer_bytes = 50'000,
                             .receive_buffer_bytes = 50'000};
    auto tcp = co_await tcp_connection();
    CHECK(set_stream_options(tcp.near.fd(), AF_INET, all));
    auto [a, b] = stream_pair();
    CHECK(set_stream_options(a.fd(), AF_UNIX, all));
}

OURO_TEST_KERNEL("an option of what is no such socket is an error") {
    auto [a, b] = stream_pair();
    CHECK_THROWS_AS(a.set_no_delay(true), std::system_error);
    CHECK(set_no_delay(-1, true).error() == std::errc::bad_file_descriptor);
    CHECK(no_delay(-1).error() == std::errc::bad_file_descriptor);
    CHECK(send_buffer_bytes(-1).error() == std::errc::bad_file_descriptor);
    CHECK(local_endpoint(-1).error() == std::errc::bad_file_descriptor);
    CHECK(peer_endpoint(a.fd()).value().is_unix());
    co_return;
}

TEST_CASE("only every address of both families stands for those of IPv4") {
    const auto missing = std::make_error_code(std::errc::address_family_not_supported);
    CHECK(lacks_ipv6(endpoint(":80"), missing));
    CHECK(lacks_ipv6(endpoint(":80"), std::make_error_code(std::errc::address_not_available)));
    CHECK_FALSE(lacks_ipv6(endpoint("[::1]:80"), missing));
    CHECK_FALSE(lacks_ipv6(endpoint("0.0.0.0:80"), missing));
    CHECK_FALSE(lacks_ipv6(endpoint(":80"), std::make_error_code(std::errc::address_in_use)));
}
