// clock.hpp: the time a worker lives by; real on a machine, virtual in simulation.
#pragma once

#include <ouro/runtime/duration.hpp>

#include <chrono>
#include <cstdint>

namespace ouro {

/// A steady clock read through the worker's reactor.
///
/// `now()` is the moment at which the current turn of the loop began, so it costs nothing and all
/// tasks of a turn agree on it; `exact_now()` asks the reactor. Outside a worker both read the
/// machine's steady clock.
struct clock {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<clock, duration>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept;
    static time_point exact_now() noexcept;
};

using time_point = clock::time_point;

/// `start + length`, or the end of time where there is no such point. The operators below say the
/// same: no sum with a point in time begins anew, whatever the unit of the length.
template <class Clock>
constexpr std::chrono::time_point<Clock, std::chrono::nanoseconds> after(
    std::chrono::time_point<Clock, std::chrono::nanoseconds> start, duration length) noexcept {
    return std::chrono::time_point<Clock, std::chrono::nanoseconds>(
        std::chrono::nanoseconds(saturating_add(start.time_since_epoch().count(), length.count())));
}

template <class Rep, class Period>
constexpr time_point operator+(time_point start,
                               std::chrono::duration<Rep, Period> length) noexcept {
    return after(start, length);
}
template <class Rep, class Period>
constexpr time_point operator+(std::chrono::duration<Rep, Period> length,
                               time_point start) noexcept {
    return after(start, length);
}
template <class Rep, class Period>
constexpr time_point operator-(time_point end, std::chrono::duration<Rep, Period> length) noexcept {
    return time_point(std::chrono::nanoseconds(
        saturating_sub(end.time_since_epoch().count(), duration(length).count())));
}
constexpr duration operator-(time_point end, time_point start) noexcept {
    return duration(end.time_since_epoch()) - duration(start.time_since_epoch());
}

}  // namespace ouro
