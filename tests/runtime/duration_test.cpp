#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

constexpr duration forever = duration::max();

static_assert(std::is_trivially_copyable_v<duration>);  // options structs stay so

struct limits {
    duration idle = 5s;
};

template <class Unit>
task<> is_for_ever() {
    const auto limited = co_await as_result(timeout(Unit::max(), sleep_for(50ms)));
    CHECK(limited);
    const auto slept = co_await as_result(timeout(200ms, sleep_for(Unit::max())));
    CHECK(slept.error() == errc::timed_out);
    const auto until = co_await as_result(timeout(200ms, sleep_until(clock::now() + Unit::max())));
    CHECK(until.error() == errc::timed_out);
}

}  // namespace

TEST_CASE("a length too long to count is for ever, in any unit") {
    CHECK(duration(std::chrono::hours::max()) == forever);
    CHECK(duration(std::chrono::seconds::min()) == duration::min());
    CHECK(duration(std::chrono::duration<double>(1e30)) == forever);
    CHECK(duration(std::chrono::duration<std::uint64_t, std::nano>(~0ULL)) == forever);
    const limits wide{.idle = std::chrono::minutes::max()};
    CHECK(wide.idle == forever);
}

TEST_CASE("a fraction of a nanosecond counts as a whole one") {
    CHECK(duration(std::chrono::duration<int, std::pico>(1)) == 1ns);
    CHECK(duration(std::chrono::duration<int, std::pico>(-1)) == 0ns);
    CHECK(duration(std::chrono::duration<double, std::nano>(2.5)) == 3ns);
    CHECK(duration(std::chrono::duration<int, std::ratio<1, 3>>(1)) == 333'333'334ns);
}

TEST_CASE("sums of lengths end at for ever") {
    CHECK(forever + 1ns == forever);
    CHECK(5h + forever == forever);
    CHECK(forever * 2 == forever);
    CHECK(duration::min() - 1s == duration::min());
    CHECK(-duration::min() == forever);
    duration sum = 100h * 24 * 365;
    sum += sum;
    CHECK(sum == 200h * 24 * 365);
    sum *= 1'000'000;
    CHECK(sum == forever);
    CHECK(std::min(forever, sum / 2) == forever / 2);
}

TEST_CASE("no sum with a point in time begins anew") {
    const time_point now{100h};
    CHECK(now + forever == time_point::max());
    CHECK(now + std::chrono::hours::max() == time_point::max());
    CHECK(std::chrono::seconds::max() + now == time_point::max());
    CHECK(time_point{} - 1s - forever == time_point::min());
    CHECK(time_point::max() - time_point::min() == forever);
    CHECK(now + 5ms - now == 5ms);
    CHECK(after(std::chrono::steady_clock::now(), forever) ==
          std::chrono::steady_clock::time_point::max());
}

OURO_TEST("timeouts and sleeps take for ever in any unit") {
    co_await is_for_ever<std::chrono::nanoseconds>();
    co_await is_for_ever<std::chrono::milliseconds>();
    co_await is_for_ever<std::chrono::seconds>();
    co_await is_for_ever<std::chrono::hours>();
}
