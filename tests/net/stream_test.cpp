#include <ouro/net/stream.hpp>

#include "sockets.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <span>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

task<std::error_code> recv_error(stream& from) {
    std::array<std::byte, 16> space;
    const auto got = co_await as_result(from.recv(space));
    co_return got.error();
}

task<std::error_code> send_error(stream& to, std::span<const std::byte> bytes) {
    const auto sent = co_await as_result(to.send_all(bytes));
    co_return sent.error();
}

task<std::error_code> lease_error(stream& from) {
    const auto got = co_await as_result(from.recv());
    co_return got.error();
}

}  // namespace

OURO_TEST_IO("what one end sends the other receives, over TCP and over a pair") {
    auto tcp = co_await tcp_connection();
    co_await tcp.near.send_all("to the server");
    CHECK(co_await receive_exactly(tcp.far, 13) == "to the server");
    co_await tcp.far.send_all("and back");
    CHECK(co_await receive_exactly(tcp.near, 8) == "and back");

    auto [a, b] = stream_pair();
    co_await a.send_all("hello");
    CHECK(co_await receive_exactly(b, 5) == "hello");
}

OURO_TEST_IO("send takes some of the bytes, and of several places in their order") {
    auto [a, b] = stream_pair();
    const std::size_t sent = co_await a.send("ping");
    CHECK(sent >= 1);
    CHECK(sent <= 4);
    CHECK(co_await receive_exactly(b, sent) == std::string("ping").substr(0, sent));

    std::string one = "one ", two = "two";
    const std::array<iovec, 2> both{iovec{one.data(), one.size()}, iovec{two.data(), two.size()}};
    const std::size_t gathered = co_await a.send(std::span<const iovec>(both));
    CHECK(gathered >= 1);
    CHECK(co_await receive_exactly(b, gathered) == std::string("one two").substr(0, gathered));
}

OURO_TEST_IO("a leased receive yields what was sent, and an empty lease at the end") {
    auto [a, b] = stream_pair();
    co_await a.send_all("x");
    {
        const lease got = co_await b.recv();
        REQUIRE(got.size() == 1);
        CHECK(got.data()[0] == std::byte{'x'});
    }
    a = stream();
    const lease last = co_await b.recv();
    CHECK(last.empty());
}

OURO_TEST_IO("a half close ends one direction and leaves the other open") {
    auto both = co_await tcp_connection();
    co_await both.near.send_all("last words");
    CHECK(both.near.shutdown(half::send));
    CHECK(co_await receive_all(both.far) == "last words");
    co_await both.far.send_all("still here");
    CHECK(co_await receive_exactly(both.near, 10) == "still here");
    CHECK(both.far.shutdown(half::send));
    CHECK(co_await receive_all(both.near) == "");
}

OURO_TEST_IO("shutting down what is not open is an error") {
    stream none;
    CHECK_FALSE(none.is_open());
    CHECK(none.fd() == -1);
    CHECK(none.shutdown(half::both).error() == std::errc::bad_file_descriptor);
    CHECK_THROWS_AS(none.local(), std::system_error);
    co_return;
}

OURO_TEST_IO("closing ends a receive in flight and waits for it") {
    auto both = co_await tcp_connection();
    auto reader = spawn(recv_error, std::ref(both.near));
    co_await settle();
    co_await both.near.close();
    CHECK_FALSE(both.near.is_open());
    CHECK(co_await reader == errc::cancelled);
    CHECK(co_await receive_all(both.far) == "");
}

OURO_TEST_IO("closing ends a leased receive in flight") {
    auto [a, b] = stream_pair();
    auto reader = spawn(lease_error, std::ref(a));
    co_await settle();
    co_await a.close();
    CHECK(co_await reader == errc::cancelled);
    CHECK(co_await receive_all(b) == "");
}

OURO_TEST_IO("closing ends a receive and a send that are in flight together") {
    auto [a, b] = stream_pair();
    a.set_send_buffer_bytes(4096);
    const auto bytes = pattern(8 << 20);
    auto reader = spawn(recv_error, std::ref(a));
    auto writer = spawn(send_error, std::ref(a), std::span(bytes));
    co_await settle();
    co_await a.close();
    CHECK(co_await reader == errc::cancelled);
    CHECK(co_await writer == errc::cancelled);
}

OURO_TEST_IO("closing what is closed, or idle, is done at once") {
    stream none;
    co_await none.close();
    auto [a, b] = stream_pair();
    co_await a.close();
    co_await a.close();
    CHECK_FALSE(a.is_open());
    CHECK(co_await receive_all(b) == "");
}

OURO_TEST_IO("a task that was cancelled may still close") {
    auto [a, b] = stream_pair();
    auto close_late = [](stream& which) -> task<> {
        const auto waited = co_await as_result(which.recv(std::span<std::byte>()));
        static_cast<void>(waited);
        co_await which.close();
    };
    auto reader = spawn(recv_error, std::ref(b));
    co_await settle();
    auto closer = spawn(close_late, std::ref(a));
    closer.cancel();
    co_await closer;
    CHECK_FALSE(a.is_open());
    CHECK(co_await reader == std::error_code());
}

OURO_TEST_IO("a peer that is gone is an error, and never a signal") {
    auto both = co_await tcp_connection();
    reset(both.far);
    const std::error_code received = co_await recv_error(both.near);
    CHECK(received == std::errc::connection_reset);
    const auto bytes = pattern(1000);
    const std::error_code sent = co_await send_error(both.near, bytes);
    CHECK(sent == std::errc::broken_pipe);
}

OURO_TEST_IO("a receive that takes too long times out and the stream stays good") {
    auto [a, b] = stream_pair();
    std::array<std::byte, 4> space;
    const auto got = co_await as_result(timeout(1ms, a.recv(space)));
    CHECK(got.error() == errc::timed_out);
    co_await b.send_all("late");
    CHECK(co_await receive_exactly(a, 4) == "late");
}

OURO_TEST_IO("both ends know both addresses") {
    listener at(endpoint{"127.0.0.1", 0});
    auto both = co_await connection_through(at);
    CHECK(both.near.peer() == at.local());
    CHECK(both.far.local() == at.local());
    CHECK(both.far.peer() == both.near.local());
    CHECK(both.near.local().host() == "127.0.0.1");
    CHECK(both.near.local().port() != 0);
}

OURO_TEST_KERNEL("a foreign socket can be adopted") {
    int numbers[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, numbers) == 0);
    stream a = stream::adopt(numbers[0]);
    stream b = stream::adopt(numbers[1]);
    co_await a.send_all("adopted");
    CHECK(co_await receive_exactly(b, 7) == "adopted");
    CHECK_THROWS_AS(stream::adopt(-1), std::system_error);
}

OURO_TEST_IO("a stream can be moved between operations") {
    auto [a, b] = stream_pair();
    const int number = a.fd();
    stream moved = std::move(a);
    CHECK_FALSE(a.is_open());
    CHECK(moved.fd() == number);
    co_await moved.send_all("moved");
    CHECK(co_await receive_exactly(b, 5) == "moved");
}

OURO_TEST_KERNEL("a released stream is blocking again, unless it was not when it was adopted") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    REQUIRE(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    stream a = stream::adopt(ends[0]);
    stream b = stream::adopt(ends[1]);
    co_await a.send_all("hi");
    CHECK(co_await receive_exactly(b, 2) == "hi");
    CHECK(a.release() == ends[0]);
    CHECK(b.release() == ends[1]);
    CHECK_FALSE(a.is_open());
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(ends[1], F_GETFL) & O_NONBLOCK) != 0);
    stream again = stream::adopt(ends[0]);
    stream other = stream::adopt(ends[1]);
    co_await other.send_all("ho");
    CHECK(co_await receive_exactly(again, 2) == "ho");
}

namespace {

task<> answer_and_close(int fd) {
    stream client = stream::adopt(fd);
    const std::string word = co_await receive_exactly(client, 2);
    co_await client.send_all(word);
}

task<> close_it(stream which) { co_await which.close(); }

task<> hand_over() {
    for (int i = 0; i < 4; ++i) {
        ends both = co_await tcp_connection();  // on the same numbers each time
        auto receiving = spawn(receive_exactly(both.far, 1));
        co_await yield();
        co_await both.near.send_all("s");
        co_await receiving;
        auto served = spawn_on(1, answer_and_close, both.far.release());
        co_await both.near.send_all("hi");
        CHECK(co_await receive_all(both.near) == "hi");
        static_cast<void>(served);
    }
}

task<> carry_over() {
    ends both = co_await tcp_connection();
    co_await call_on(1, close_it, std::move(both.far));
}

}  // namespace

TEST_CASE("a stream that is released goes to another worker, and its number can be used again") {
    run(hand_over(), {.workers = 2});
}

TEST_CASE(
    "a stream that is simply carried to another worker is an assertion that says what to do") {
    CHECK(asserts("release() there, adopt() here", [] { run(carry_over(), {.workers = 2}); }));
}

namespace {

task<> send_much(stream& to) {
    const std::vector<std::byte> much(1'000'000);
    for (;;) co_await to.send_all(much);
}

task<> send_twice() {
    auto [a, b] = stream_pair();
    auto first = spawn(send_much, std::ref(a));
    auto second = spawn(send_much, std::ref(a));
    std::vector<std::byte> block(1000);
    co_await yield();
    co_await yield();
    co_await b.recv(block);
}

}  // namespace

TEST_CASE("two tasks that send on one stream are an assertion that names it and the place") {
    CHECK(asserts("a second task sends", [] { run(send_twice()); }));
    CHECK(asserts("stream_test.cpp", [] { run(send_twice()); }));
}
