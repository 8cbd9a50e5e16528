// The simulated streams behave like the kernel's: the same stories run on both.

#include "../io/sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <sys/un.h>

#include <array>
#include <cerrno>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

/// What a receive comes to: "3 bytes", "end", or the error.
task<std::string> received(descriptor& by) {
    std::array<std::byte, 100> space;
    auto got = co_await as_result(recv_op(by, space));
    if (!got) co_return got.error().message();
    co_return *got == 0 ? "end" : "bytes";
}

/// What a send of one byte comes to: "sent" or the error.
task<std::string> sent(descriptor& by) {
    auto done = co_await as_result(send_op(by, bytes_of("x")));
    co_return done ? "sent" : done.error().message();
}

int option(const descriptor& of, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    checked(io().get_option(of.number(), SOL_SOCKET, name, &value, &size));
    return value;
}

OURO_TEST_IO("what a closed peer has sent can be read; then the stream is at its end") {
    for (const bool tcp : {true, false}) {
        ends both;
        if (tcp)
            both = co_await tcp_pair();
        else
            both = unix_pair();
        co_await send_all(both.far, bytes_of("x"));
        both.far.close();
        co_await settle();
        CHECK(co_await received(both.near) == "bytes");
        CHECK(co_await received(both.near) == "end");
        CHECK(co_await received(both.near) == "end");
    }
}

OURO_TEST_IO("closing with unread data resets the connection, after what was sent before") {
    for (const bool tcp : {true, false}) {
        ends both;
        if (tcp)
            both = co_await tcp_pair();
        else
            both = unix_pair();
        co_await send_all(both.near, bytes_of("unread"));
        co_await send_all(both.far, bytes_of("x"));
        co_await settle();
        both.far.close();
        co_await settle();
        CHECK(co_await received(both.near) == "bytes");
        CHECK(co_await received(both.near) == "Connection reset by peer");
        CHECK(co_await received(both.near) == "end");
        CHECK(co_await sent(both.near) == "Broken pipe");
    }
}

OURO_TEST_IO("a TCP peer that has closed answers the first write with a reset") {
    ends both = co_await tcp_pair();
    both.far.close();
    co_await settle();
    CHECK(co_await sent(both.near) == "sent");
    co_await settle();
    CHECK(co_await sent(both.near) == "Broken pipe");
    CHECK(co_await received(both.near) == "end");
}

OURO_TEST_IO("a Unix peer that has closed fails the first write") {
    ends both = unix_pair();
    both.far.close();
    co_await settle();
    CHECK(co_await sent(both.near) == "Broken pipe");
    CHECK(co_await received(both.near) == "end");
}

OURO_TEST_IO("after a reset the first call says so, and the next that it is over") {
    ends both = co_await tcp_pair();
    reset(both.far);
    co_await settle();
    CHECK(co_await sent(both.near) == "Connection reset by peer");
    CHECK(co_await sent(both.near) == "Broken pipe");
    CHECK(co_await received(both.near) == "end");
}

OURO_TEST_IO("an error that was asked for as an option is not reported again") {
    ends both = co_await tcp_pair();
    reset(both.far);
    co_await settle();
    CHECK(option(both.near, SO_ERROR) == ECONNRESET);
    CHECK(option(both.near, SO_ERROR) == 0);
    CHECK(co_await received(both.near) == "end");
}

OURO_TEST_IO("a half that was shut down does not send; the other one still receives") {
    for (const bool tcp : {true, false}) {
        ends both;
        if (tcp)
            both = co_await tcp_pair();
        else
            both = unix_pair();
        checked(io().shutdown(both.near.number(), SHUT_WR));
        CHECK(co_await sent(both.near) == "Broken pipe");
        CHECK(co_await received(both.far) == "end");
        CHECK(co_await sent(both.far) == "sent");
        CHECK(co_await received(both.near) == "bytes");
    }
}

OURO_TEST_IO("a Unix socket that does not read any more breaks the pipe of its peer") {
    ends both = unix_pair();
    checked(io().shutdown(both.far.number(), SHUT_RD));
    CHECK(co_await sent(both.near) == "Broken pipe");
    CHECK(co_await received(both.far) == "end");
}

task<> send_much(descriptor& to, std::size_t& sent_bytes, std::size_t total) {
    const std::vector<std::byte> block(10'000);
    while (sent_bytes < total) {
        const auto rest = std::span(block).first(std::min(block.size(), total - sent_bytes));
        sent_bytes += co_await send_op(to, rest);
    }
}

OURO_TEST_IO("a peer that does not read holds the sender back, and loses nothing") {
    constexpr std::size_t total = 20'000'000;
    ends both = co_await tcp_pair();
    std::size_t sent_bytes = 0;
    auto sender = spawn(send_much, std::ref(both.near), std::ref(sent_bytes), total);
    co_await settle();
    CHECK(sent_bytes > 0);
    CHECK(sent_bytes < total);
    std::vector<std::byte> space(1 << 20);
    std::size_t got = 0;
    while (got < total) got += co_await recv_op(both.far, space);
    CHECK(got == total);
    co_await sender;
}

OURO_TEST_IO("buffers are as small as asked for") {
    ends both = unix_pair();
    const int small = 4096;
    checked(io().set_option(both.near.number(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    checked(io().set_option(both.far.number(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    CHECK(option(both.near, SO_SNDBUF) == 2 * small);
    std::size_t sent_bytes = 0;
    auto sender = spawn(send_much, std::ref(both.near), std::ref(sent_bytes), 1'000'000);
    co_await settle();
    CHECK(sent_bytes < 200'000);
    sender.cancel();
    CHECK_THROWS(co_await sender);
}

OURO_TEST_IO("both ends know their names") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    CHECK(where.sin_port != 0);
    descriptor near = tcp_socket();
    co_await connect_to(near, where);
    descriptor far = co_await listener.accept();

    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    checked(io().peer_name(near.number(), reinterpret_cast<sockaddr*>(&peer), &size));
    CHECK(size == sizeof peer);
    CHECK(peer.sin_port == where.sin_port);
    size = sizeof peer;
    checked(io().peer_name(far.number(), reinterpret_cast<sockaddr*>(&peer), &size));
    CHECK(peer.sin_port == local_name(near.number()).sin_port);
    CHECK(local_name(far.number()).sin_port == where.sin_port);
    CHECK(option(near, SO_TYPE) == SOCK_STREAM);
    CHECK(option(near, SO_ACCEPTCONN) == 0);
}

OURO_TEST_IO("an unconnected socket has no peer and moves no bytes") {
    descriptor lonely = tcp_socket();
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    auto* address = reinterpret_cast<sockaddr*>(&peer);
    CHECK(io().peer_name(lonely.number(), address, &size) == -ENOTCONN);
    CHECK(io().shutdown(lonely.number(), SHUT_WR) == -ENOTCONN);
    CHECK(co_await received(lonely) == "Transport endpoint is not connected");
    CHECK(co_await sent(lonely) == "Broken pipe");
}

OURO_TEST_IO("a port is bound once, and free again when its socket is closed") {
    descriptor first = listening_socket();
    const sockaddr_in where = local_name(first.number());
    descriptor second = tcp_socket();
    CHECK(io().bind(second.number(), generic(where), sizeof where) == -EADDRINUSE);
    const sockaddr_in elsewhere = [&] {
        sockaddr_in any = where;
        any.sin_addr.s_addr = htonl(INADDR_ANY);
        return any;
    }();
    CHECK(io().bind(second.number(), generic(elsewhere), sizeof elsewhere) == -EADDRINUSE);
    first.close();
    co_await settle();
    CHECK(io().bind(second.number(), generic(where), sizeof where) == 0);
}

OURO_TEST_IO("sockets that all want to share a port do") {
    const int on = 1;
    descriptor first = tcp_socket();
    descriptor second = tcp_socket();
    descriptor third = tcp_socket();
    for (descriptor* each : {&first, &second})
        checked(io().set_option(each->number(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
    const sockaddr_in any = loopback();
    checked(io().bind(first.number(), generic(any), sizeof any));
    const sockaddr_in where = local_name(first.number());
    CHECK(io().bind(second.number(), generic(where), sizeof where) == 0);
    CHECK(io().bind(third.number(), generic(where), sizeof where) == -EADDRINUSE);
    CHECK(io().listen(first.number(), 1) == 0);
    CHECK(io().listen(second.number(), 1) == 0);
    co_await settle();
}

OURO_TEST_IO("a connection exists before anybody accepts it") {
    descriptor listener = listening_socket();
    descriptor near = tcp_socket();
    co_await connect_to(near, local_name(listener.number()));
    CHECK(co_await sent(near) == "sent");
    acceptor taking(std::move(listener));
    descriptor far = co_await taking.accept();
    CHECK(co_await received(far) == "bytes");
}

OURO_TEST_IO("Unix sockets meet under an abstract name") {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const std::string unique = "ouro sim stream_test " + std::to_string(::getpid());
    unique.copy(where.sun_path + 1, sizeof where.sun_path - 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + unique.size());
    const auto* address = reinterpret_cast<const sockaddr*>(&where);

    descriptor near(checked(io().open_socket(AF_UNIX, SOCK_STREAM, 0)));
    auto early = co_await as_result(connect_op(near, address, size));
    CHECK(early.error() == std::errc::connection_refused);

    descriptor listener(checked(io().open_socket(AF_UNIX, SOCK_STREAM, 0)));
    checked(io().bind(listener.number(), address, size));
    descriptor rival(checked(io().open_socket(AF_UNIX, SOCK_STREAM, 0)));
    CHECK(io().bind(rival.number(), address, size) == -EADDRINUSE);
    checked(io().listen(listener.number(), 1));

    co_await connect_op(near, address, size);
    acceptor taking(std::move(listener));
    descriptor far = co_await taking.accept();
    CHECK(co_await sent(far) == "sent");
    CHECK(co_await received(near) == "bytes");
}

OURO_TEST_IO("polling says when bytes are there, and when there is room") {
    ends both = unix_pair();
    co_await poll_op(both.near, poll_op::event::writable);
    auto readable =
        spawn([](descriptor& on) -> task<> { co_await poll_op(on, poll_op::event::readable); },
              std::ref(both.near));
    co_await settle();
    CHECK(!readable.finished());
    co_await send_all(both.far, bytes_of("x"));
    co_await readable;
    CHECK(co_await received(both.near) == "bytes");
}

// From here on: what only a simulated network has.

OURO_TEST("receives and sends are cut as the seed has it") {
    sim::world::current().split_by(sim::splitting::single_bytes);
    ends both = unix_pair();
    CHECK(co_await send_op(both.near, bytes_of("abc")) == 1);
    sim::world::current().split_by(sim::splitting::whole);
    CHECK(co_await send_op(both.near, bytes_of("def")) == 3);
    std::array<std::byte, 10> space;
    CHECK(co_await recv_op(both.far, space) == 4);
    CHECK(text_of(std::span(space).first(4)) == "adef");
}

OURO_TEST("descriptors are far from real ones and never used again") {
    descriptor one = tcp_socket();
    const int number = one.number();
    CHECK(number >= 1'000'000'000);
    one.close();
    descriptor two = tcp_socket();
    CHECK(two.number() != number);
    CHECK(io().shutdown(number, SHUT_RDWR) == -EBADF);
    co_return;
}

task<> accept_into(acceptor& from, std::vector<descriptor>& into) {
    for (;;) into.push_back(co_await from.accept());
}

OURO_TEST("ten thousand connections live in one world") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> far;
    auto accepting = spawn(accept_into, std::ref(listener), std::ref(far));
    std::vector<descriptor> near;
    for (int i = 0; i < 10'000; ++i) {
        near.push_back(tcp_socket());
        co_await connect_to(near.back(), where);
    }
    co_await settle();
    REQUIRE(far.size() == 10'000);
    for (descriptor& each : near) co_await send_all(each, bytes_of("x"));
    for (descriptor& each : far) CHECK(co_await received(each) == "bytes");
    accepting.cancel();
    co_await settle();
}

}  // namespace
