// Looking for completions before going to sleep.

#include "real_reactors.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

constexpr reactor_options for_ever{.busy_poll = 1h};
constexpr reactor_options hardly{.busy_poll = 1ns};

std::uint64_t sleeps() { return io().stats().waits; }

task<> receive_byte(descriptor& from) {
    std::array<std::byte, 1> byte;
    const std::size_t got = co_await recv_op(from, byte);
    CHECK(got == 1);
}

task<> receive_from_a_thread() {
    ends pair = unix_pair();
    const std::uint64_t before = sleeps();
    for (int i = 0; i < 100; ++i) {
        std::thread sender([&] { CHECK(::write(pair.far.number(), "x", 1) == 1); });
        co_await receive_byte(pair.near);
        sender.join();
    }
    CHECK(sleeps() == before);
}

task<> time_out() {
    ends pair = unix_pair();
    const auto began = clock::exact_now();
    const auto got = co_await as_result(timeout(2ms, receive_byte(pair.near)));
    CHECK(got.error() == errc::timed_out);
    CHECK(clock::exact_now() - began >= 2ms);
}

task<> never_sleep_until_the_deadline() {
    const std::uint64_t before = sleeps();
    co_await time_out();
    CHECK(sleeps() == before);
}

task<> sleep_until_the_deadline() {
    const std::uint64_t before = sleeps();
    co_await time_out();
    CHECK(sleeps() > before);
}

task<> sleep_without_operations() {
    const std::uint64_t before = sleeps();
    co_await sleep_for(2ms);
    CHECK(sleeps() > before);
}

task<> wait_for_another_worker() {
    ends pair = unix_pair();
    reactor& here = io();
    executor& loop = executor::current();
    const std::uint64_t turns = loop.stats().turns;
    std::thread other;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_byte, pair.near);
        co_await yield();
        other = std::thread([&] {
            while (loop.stats().turns < turns + 3) here.wake();
            CHECK(::write(pair.far.number(), "x", 1) == 1);
        });
    });
    other.join();
}

}  // namespace

TEST_CASE("what comes while it looks is taken without sleeping") {
    on_real(receive_from_a_thread, for_ever);
}

TEST_CASE("a deadline ends the looking") { on_real(never_sleep_until_the_deadline, for_ever); }

TEST_CASE("a wake ends the looking") { on_real(wait_for_another_worker, for_ever); }

TEST_CASE("when nothing has come by then, it sleeps") { on_real(sleep_until_the_deadline, hardly); }

TEST_CASE("without an operation in flight there is nothing to look for") {
    on_real(sleep_without_operations, for_ever);
}
