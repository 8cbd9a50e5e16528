// interval.hpp: a steady beat.
#pragma once

#include <ouro/runtime/time/sleep.hpp>

namespace ouro {

/// What to do about beats that passed while nobody waited.
enum class missed_tick : std::uint8_t {
    burst,  ///< make up for each of them at once
    delay,  ///< one at once, and the beat starts anew from there
    skip,   ///< one at once, then on with the old beat
};

/// Ticks every `period`, the first time one period after it was made.
class interval {
public:
    explicit interval(duration period, missed_tick policy = missed_tick::skip) noexcept
        : next_(after(clock::exact_now(), period)), period_(period), policy_(policy) {
        OURO_ASSERT(period > duration::zero() && "interval: its period is more than zero");
    }

    /// `co_await every.tick();` resumes at the next beat, or at the next turn when that has passed.
    /// A tick that is cancelled counts as taken.
    sleep_await tick() noexcept;

    duration period() const noexcept { return period_; }

private:
    time_point next_;
    duration period_;
    missed_tick policy_;
};

}  // namespace ouro
