// Time: limiting how long something may take, sleeping, and the bare timers.

#include "works.hpp"
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <coroutine>
#include <vector>

namespace inprocess {

namespace {

using namespace std::chrono_literals;

constexpr int batch = 10'000;
constexpr int many = 100'000;

ouro::task<> sleep_once(std::chrono::milliseconds length) { co_await ouro::sleep_for(length); }

/// A timer that is always cancelled before its time.
class alarm final : public ouro::timer {
    void fire() noexcept override {}
};

/// The random numbers of both twins: the 64-bit generator of Knuth's MMIX.
class random_numbers {
public:
    /// Below `limit`, which is below 2^32.
    std::uint64_t below(std::uint64_t limit) noexcept {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return ((state_ >> 32) * limit) >> 32;
    }

private:
    std::uint64_t state_ = 1;
};

/// Somewhere in the hour that begins in one hour, in whole milliseconds.
std::int64_t far_away(std::int64_t start, random_numbers& random) noexcept {
    const std::chrono::milliseconds ahead = 1h + random.below(3'600'000) * 1ms;
    return start + std::chrono::nanoseconds(ahead).count();
}

}  // namespace

/// A timeout of one hour around an awaitable that is ready, so that no timer is needed.
/// Operation: one timeout.
ouro::task<> timeout_ready(stopwatch& watch) {
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) co_await ouro::timeout(1h, std::suspend_never());
        watch.count(batch);
    }
}

/// A timeout of one hour around an awaitable that is pending once, a yield, so that a timer is
/// armed and disarmed.
/// Operation: one timeout.
ouro::task<> timeout_pending(stopwatch& watch) {
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) co_await ouro::timeout(1h, ouro::yield());
        watch.count(batch);
    }
}

/// Spawns 100 000 tasks, number i sleeps i % 100 ms, and joins them all. The CPU time is the
/// figure; the wall clock mostly shows the 99 ms.
/// Operation: one sleep.
ouro::task<> sleeps_100k(stopwatch& watch) {
    auto spawn_all = [](ouro::scope& all) -> ouro::task<> {
        for (int i = 0; i < many; ++i) all.spawn(sleep_once(i % 100 * 1ms));
        co_return;
    };
    while (watch.goes_on()) {
        co_await ouro::with_scope(spawn_all);
        watch.count(many);
    }
}

/// 100 000 timers are armed, to fire between one and two hours from now. A batch picks one of them
/// at random, cancels it and arms it for another random time, 1 000 000 times over.
/// Operation: one cancelled and one armed.
ouro::task<> timers_100k(stopwatch& watch) {
    constexpr int rounds = 1'000'000;
    ouro::timer_wheel& wheel = ouro::executor::current().timers();
    const std::int64_t start = ouro::clock::now().time_since_epoch().count();
    random_numbers random;
    std::vector<alarm> alarms(many);
    for (alarm& one : alarms) wheel.arm(one, far_away(start, random));
    while (watch.goes_on()) {
        for (int i = 0; i < rounds; ++i) {
            alarm& one = alarms[random.below(many)];
            wheel.disarm(one);
            wheel.arm(one, far_away(start, random));
        }
        watch.count(rounds);
    }
    for (alarm& one : alarms) wheel.disarm(one);
    co_return;
}

}  // namespace inprocess
