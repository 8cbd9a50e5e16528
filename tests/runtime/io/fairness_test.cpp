// Nobody starves: not behind a descriptor that is always ready, not after a number was used again.

#include "real_reactors.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/timeout.hpp>

#include <unistd.h>

#include <array>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::array<std::byte, 64 * 1024> block{};

task<> flood(descriptor& to) {
    for (;;) co_await send_op(to, block);
}

task<> swallow(descriptor& from, std::size_t& bytes) {
    std::array<std::byte, 256> space;
    while (const std::size_t got = co_await recv_op(from, space)) bytes += got;
}

task<> exchange(ends& pair, int rounds) {
    std::array<std::byte, 1> byte{};
    for (int i = 0; i < rounds; ++i) {
        co_await send_all(pair.near, byte);
        co_await receive_all(pair.far, byte);
    }
}

/// Waits in vain once, and then for a byte that comes.
task<> wait_and_receive(ends& pair) {
    std::array<std::byte, 1> byte;
    const auto nothing = co_await as_result(timeout(1ms, recv_op(pair.near, byte)));
    CHECK(nothing.error() == errc::timed_out);
    std::size_t got = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn([&]() -> task<> { got = co_await recv_op(pair.near, byte); });
        co_await settle();
        co_await send_all(pair.far, bytes_of("x"));
    });
    CHECK(got == 1);
}

task<> ignores_events_of_a_copy() {
    ends old = unix_pair();
    co_await wait_and_receive(old);
    const int number = old.near.number();
    const int copy = ::dup(number);  // keeps the description, and epoll's registration, alive
    old.near.close();
    co_await settle();
    ends next = unix_pair();
    CHECK(next.near.number() == number);
    co_await send_all(old.far, bytes_of("for the copy"));
    co_await wait_and_receive(next);
    ::close(copy);
}

task<> lets_go_of_what_was_released() {
    ends old = unix_pair();
    co_await wait_and_receive(old);
    const int number = old.near.release();
    ::close(number);  // behind the reactor's back
    ends next = unix_pair();
    CHECK(next.near.number() == number);
    co_await wait_and_receive(next);
}

task<> adopts_a_foreign_descriptor() {
    int numbers[2];
    REQUIRE(::pipe(numbers) == 0);
    descriptor reading(checked(io().adopt(numbers[0])));
    const descriptor writing(checked(io().adopt(numbers[1])));
    const auto nothing =
        co_await as_result(timeout(1ms, poll_op(reading, poll_op::event::readable)));
    CHECK(nothing.error() == errc::timed_out);
    CHECK(::write(writing.number(), "x", 1) == 1);
    co_await poll_op(reading, poll_op::event::readable);
}

}  // namespace

OURO_TEST_IO("a connection that always has data does not starve the others") {
    ends busy = unix_pair();
    ends calm = unix_pair();
    std::size_t swallowed = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(flood, busy.far);
        tasks.spawn(swallow, busy.near, swallowed);
        co_await exchange(calm, 200);
        tasks.cancel();
    });
    CHECK(swallowed > 0);
}

OURO_TEST_IO("hundreds of busy connections all move on") {
    std::vector<ends> pairs(400);
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(exchange, pair, 10);
        }
        co_return;
    });
}

OURO_TEST_IO("a number that is used again waits for its own data") {
    for (int round = 0; round < 10; ++round) {
        ends pair = unix_pair();
        co_await wait_and_receive(pair);
        pair.near.close();
        pair.far.close();
        co_await yield();
    }
}

OURO_TEST_IO("a task that reads and one that writes wait on one descriptor at a time") {
    ends pair = unix_pair();
    std::array<std::byte, 1> byte;
    std::size_t got = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(flood, pair.near);
        co_await settle();  // until nothing more fits
        tasks.spawn([&]() -> task<> {
            got = co_await recv_op(pair.near, byte);
            tasks.cancel();  // the writer waits still
        });
        co_await settle();
        CHECK(pair.near.reading());
        CHECK(pair.near.writing());
        co_await send_all(pair.far, bytes_of("x"));
    });
    CHECK(got == 1);
    CHECK(pair.near.idle());
}

TEST_CASE("events of a closed number that lives on elsewhere are not taken for the next one's") {
    on_real(ignores_events_of_a_copy);
}

TEST_CASE("a descriptor that was released and closed elsewhere is forgotten") {
    on_real(lets_go_of_what_was_released);
}

TEST_CASE("a foreign descriptor can be adopted and waited for") {
    on_real(adopts_a_foreign_descriptor);
}
