#include <ouro/runtime/time/backoff.hpp>

#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>

#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

std::vector<duration> waits(backoff& wait, int count) {
    std::vector<duration> all;
    for (int i = 0; i < count; ++i) all.push_back(wait.next());
    return all;
}

task<std::vector<duration>> unseeded_waits() {
    backoff wait;
    co_await yield();
    co_return waits(wait, 10);
}

TEST_CASE("without jitter each wait is the factor times the one before, up to the ceiling") {
    backoff wait({.first = 10ms, .ceiling = 100ms, .factor = 3, .spread = jitter::none});
    CHECK(waits(wait, 5) == std::vector<duration>{10ms, 30ms, 90ms, 100ms, 100ms});
}

TEST_CASE("a factor of one keeps the wait") {
    backoff wait({.first = 10ms, .factor = 1, .spread = jitter::none});
    CHECK(waits(wait, 3) == std::vector<duration>{10ms, 10ms, 10ms});
}

TEST_CASE("a first wait above the ceiling is the ceiling") {
    backoff wait({.first = 10s, .ceiling = 1s, .spread = jitter::none});
    CHECK(waits(wait, 2) == std::vector<duration>{1s, 1s});
}

TEST_CASE("a ceiling at the end of time is reached without overflow") {
    backoff wait({.first = 1h, .ceiling = duration::max(), .factor = 1e6, .spread = jitter::none});
    CHECK(wait.next() == 1h);
    CHECK(wait.next() == duration(1h) * 1'000'000);
    CHECK(wait.next() == duration::max());
    CHECK(wait.next() == duration::max());
}

TEST_CASE("a first wait of zero stays zero") {
    backoff wait({.first = 0ns});
    CHECK(waits(wait, 3) == std::vector<duration>{0ns, 0ns, 0ns});
}

TEST_CASE("equal jitter takes from half the wait to all of it, full jitter from zero") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        const backoff_options options{.first = 8ms, .ceiling = 50ms, .seed = seed};
        backoff_options all_of_it = options;
        all_of_it.spread = jitter::full;
        backoff equal(options), full(all_of_it);
        for (duration whole : {8ms, 16ms, 32ms, 50ms, 50ms}) {
            const duration a = equal.next();
            CHECK(a >= whole / 2);
            CHECK(a <= whole);
            const duration b = full.next();
            CHECK(b >= 0ns);
            CHECK(b <= whole);
        }
    }
}

TEST_CASE("jitter reaches both ends of its range") {
    backoff wait({.first = 4ns, .factor = 1, .spread = jitter::equal, .seed = 1});
    bool seen[5] = {};
    for (duration each : waits(wait, 200)) seen[each.count()] = true;
    CHECK(!seen[0]);
    CHECK(!seen[1]);
    CHECK(seen[2]);
    CHECK(seen[3]);
    CHECK(seen[4]);
}

TEST_CASE("the same seed gives the same waits") {
    backoff a({.seed = 5}), b({.seed = 5}), c({.seed = 6});
    const auto first = waits(a, 10);
    CHECK(first == waits(b, 10));
    CHECK(first != waits(c, 10));
}

TEST_CASE("without a seed, two runs of one simulation wait alike") {
    CHECK(run_simulated(unseeded_waits()) == run_simulated(unseeded_waits()));
}

TEST_CASE("reset begins with the first wait again") {
    backoff wait({.first = 10ms, .spread = jitter::none, .attempts_max = 2});
    CHECK(waits(wait, 2) == std::vector<duration>{10ms, 20ms});
    CHECK(wait.exhausted());
    wait.reset();
    CHECK(!wait.exhausted());
    CHECK(wait.attempts() == 0);
    CHECK(wait.next() == 10ms);
}

TEST_CASE("it is exhausted after as many waits as were allowed, and not before") {
    backoff wait({.attempts_max = 3});
    for (int i = 0; i < 3; ++i) {
        CHECK(!wait.exhausted());
        (void)wait.next();
    }
    CHECK(wait.exhausted());
    CHECK(backoff({.attempts_max = 0}).exhausted());
    CHECK(!backoff().exhausted());
}

TEST_CASE("a retry budget allows its burst at once and then what time earns") {
    const time_point start(1000s);
    retry_budget budget({.burst = 3, .per_second = 2, .per_request = 0}, start);
    for (int i = 0; i < 3; ++i) CHECK(budget.take(start));
    CHECK(!budget.take(start));
    CHECK(budget.refused() == 1);
    CHECK(!budget.take(start + 499ms));
    CHECK(budget.take(start + 500ms));
    CHECK(!budget.take(start + 500ms));
    for (int i = 0; i < 3; ++i) CHECK(budget.take(start + 1h));  // no more than the burst
    CHECK(!budget.take(start + 1h));
    CHECK(budget.refused() == 4);
}

TEST_CASE("what ends before it has lasted as long as the longest wait lets the waits grow") {
    backoff wait({.first = 1s, .ceiling = 5s, .spread = jitter::none});
    CHECK(wait.next() == 1s);
    CHECK(!wait.ended_after(5s - 1ns));
    CHECK(wait.next() == 2s);
    CHECK(!wait.ended_after(0s));
    CHECK(wait.next() == 4s);
    CHECK(wait.ended_after(5s));
    CHECK(wait.next() == 1s);
    CHECK(wait.attempts() == 1);
}

TEST_CASE("requests earn retries") {
    const time_point start(1000s);
    retry_budget budget({.burst = 2, .per_second = 0, .per_request = 0.25}, start);
    CHECK(budget.take(start));
    CHECK(budget.take(start));
    for (int i = 0; i < 3; ++i) budget.request();
    CHECK(!budget.take(start));
    budget.request();
    CHECK(budget.take(start));
    for (int i = 0; i < 100; ++i) budget.request();
    CHECK(budget.take(start));
    CHECK(budget.take(start));
    CHECK(!budget.take(start));
}

TEST_CASE("a clock that stands still or goes back earns nothing") {
    const time_point start(1000s);
    retry_budget budget({.burst = 1, .per_second = 1, .per_request = 0}, start);
    CHECK(budget.take(start));
    CHECK(!budget.take(start - 1h));
    CHECK(!budget.take(start));
    CHECK(budget.take(start + 1s));
}

}  // namespace
