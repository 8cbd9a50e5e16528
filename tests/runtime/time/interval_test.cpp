#include <ouro/runtime/time/interval.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// When each tick came, in ms after the start; the caller is busy for `busy` after the first.
task<std::vector<long>> beats(missed_tick policy, int count, duration busy) {
    const auto start = clock::now();
    interval every(10ms, policy);
    std::vector<long> times;
    for (int i = 0; i < count; ++i) {
        co_await every.tick();
        times.push_back((clock::now() - start) / 1ms);
        if (i == 0) co_await sleep_for(busy);
    }
    co_return times;
}

}  // namespace

OURO_TEST("an interval keeps its beat whatever the work between takes") {
    const auto got = co_await beats(missed_tick::skip, 4, 7ms);
    CHECK(got == std::vector<long>{10, 20, 30, 40});
}

OURO_TEST("burst makes up for missed ticks") {
    const auto got = co_await beats(missed_tick::burst, 5, 25ms);
    CHECK(got == std::vector<long>{10, 35, 35, 40, 50});
}

OURO_TEST("delay starts a new beat") {
    const auto got = co_await beats(missed_tick::delay, 4, 25ms);
    CHECK(got == std::vector<long>{10, 35, 45, 55});
}

OURO_TEST("skip ticks once and returns to the old beat") {
    const auto got = co_await beats(missed_tick::skip, 4, 25ms);
    CHECK(got == std::vector<long>{10, 35, 40, 50});
}

OURO_TEST("a cancelled tick counts as taken") {
    const auto start = clock::now();
    interval every(10ms);
    const auto cut = co_await as_result(timeout(5ms, every.tick()));
    CHECK(cut.error() == errc::timed_out);
    co_await every.tick();
    CHECK(clock::now() - start == 20ms);
}

namespace {

task<int> count_ticks(duration period, missed_tick policy) {
    interval off(period, policy);
    int ticks = 0;
    for (int i = 0; i < 4; ++i) {
        const auto ticked = co_await as_result(timeout(20ms, off.tick()));
        if (ticked) ++ticks;
    }
    co_return ticks;
}

}  // namespace

OURO_TEST("a beat of for ever never comes, whatever was missed") {
    for (const auto policy : {missed_tick::burst, missed_tick::delay, missed_tick::skip}) {
        CHECK(co_await count_ticks(duration::max(), policy) == 0);
        CHECK(co_await count_ticks(std::chrono::hours(24 * 365 * 200), policy) == 0);
        CHECK(co_await count_ticks(std::chrono::seconds::max(), policy) == 0);
    }
}
