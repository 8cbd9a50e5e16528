#include <ouro/runtime/time/sleep.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

OURO_TEST("a sleep ends exactly then, in simulated time") {
    const auto start = clock::now();
    co_await sleep_for(1ms);
    CHECK(clock::now() - start == 1ms);
    co_await sleep_until(start + 3ms);
    CHECK(clock::now() - start == 3ms);
    co_await sleep_until(start);  // passed: the next turn
    CHECK(clock::now() - start == 3ms);
}

OURO_TEST_IO("a sleep never ends early") {
    for (const duration length : {0ns, 1ns, 1000ns, 50'000ns, 1'000'000ns, 3'000'000ns}) {
        const auto start = clock::exact_now();
        co_await sleep_for(length);
        CHECK(clock::exact_now() - start >= length);
    }
}

OURO_TEST("sleeps end in the order of their deadlines") {
    std::vector<int> order;
    auto sleeper = [](std::vector<int>& into, int n) -> task<> {
        co_await sleep_for(std::chrono::microseconds(n));
        into.push_back(n);
    };
    std::vector<join_handle<void>> all;
    for (int n : {500, 1, 70'000, 20, 3, 900}) all.push_back(spawn(sleeper, std::ref(order), n));
    for (auto& one : all) co_await one;
    CHECK(order == std::vector<int>{1, 3, 20, 500, 900, 70'000});
}

OURO_TEST("a cancelled sleep leaves no timer behind") {
    auto handle = spawn([]() -> task<> { co_await sleep_for(1h); });
    co_await sleep_for(1ms);
    CHECK(executor::current().timers().size() == 1);
    handle.cancel();
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
    CHECK(executor::current().timers().empty());
}

TEST_CASE("lengths of time read well") {
    CHECK(duration_text(0ns) == "0 s");
    CHECK(duration_text(-5s) == "0 s");
    CHECK(duration_text(17ns) == "17 ns");
    CHECK(duration_text(2500ns) == "2.5 us");
    CHECK(duration_text(250ms) == "250 ms");
    CHECK(duration_text(3200ms) == "3.2 s");
    CHECK(duration_text(90min) == "1.5 h");
}
