// clock.hpp: the time a worker lives by; real on a machine, virtual in simulation.
#pragma once

#include <chrono>
#include <cstdint>

namespace ouro {

using duration = std::chrono::nanoseconds;

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

/// `start + length`, or the end of time where that would overflow.
constexpr time_point after(time_point start, duration length) noexcept {
    return length > time_point::max() - start ? time_point::max() : start + length;
}

}  // namespace ouro
