// backoff.hpp: how long to wait before trying again, and how often at all.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/time/chance.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace ouro {

/// Which part of a wait is left to chance, so that clients which lost the same server at the same
/// moment do not come back at the same moment.
enum class jitter : std::uint8_t {
    none,   ///< nothing: the wait itself
    equal,  ///< half of it: from half the wait to all of it
    full,   ///< all of it: from zero to the wait
};

struct backoff_options {
    duration first = std::chrono::milliseconds(50);  ///< the first wait, before jitter
    duration ceiling = std::chrono::seconds(5);      ///< no wait is longer
    double factor = 2;                               ///< each wait to the one before; at least 1
    jitter spread = jitter::equal;
    std::size_t attempts_max = std::numeric_limits<std::size_t>::max();  ///< for exhausted()
    std::uint64_t seed = 0;  ///< what the jitter is drawn from; 0: see chance
};

/// Waits that grow: `first`, `first * factor`, … up to `ceiling`, each with its jitter.
///
///     for (backoff wait; !co_await try_to_connect();) {
///         if (wait.exhausted()) throw_error(errc::timed_out);
///         co_await sleep_for(wait.next());
///     }
///
/// It sleeps nowhere itself and reads no clock but for its seed.
class backoff {
public:
    explicit backoff(const backoff_options& options = {}) noexcept;

    /// How long to wait now; the next answer is longer.
    duration next() noexcept;

    /// It worked: the next wait is the first one again.
    void reset() noexcept;

    /// What was waited for has worked for `length`, and then ended. That counts as having worked
    /// when it was as long as the ceiling, and as one more failure otherwise. Says which.
    bool ended_after(duration length) noexcept;

    /// How often next() was called since the last reset.
    std::size_t attempts() const noexcept { return attempts_; }
    /// True when that was `attempts_max` times: do not try again.
    bool exhausted() const noexcept { return attempts_ >= options_.attempts_max; }

private:
    backoff_options options_;
    chance chance_;
    duration wait_;  // before jitter; at most the ceiling
    std::size_t attempts_ = 0;
};

struct retry_budget_options {
    double burst = 10;         ///< retries that may follow each other at once
    double per_second = 1;     ///< retries that time earns
    double per_request = 0.1;  ///< retries that each first attempt earns
};

/// Limits the retries of many requests together, so that a server in trouble gets some more work
/// from its clients, and not several times as much. A bucket of tokens: requests and time fill it,
/// each retry takes one. It begins full. Worker-local.
class retry_budget {
public:
    explicit retry_budget(const retry_budget_options& options = {},
                          time_point now = clock::now()) noexcept;

    /// A request is tried for the first time.
    void request() noexcept;

    /// May something be tried again? True takes a token; false: give up and report the failure.
    [[nodiscard]] bool take(time_point now = clock::now()) noexcept;

    /// Retries that were refused.
    std::uint64_t refused() const noexcept { return refused_; }

private:
    void refill(time_point now) noexcept;

    retry_budget_options options_;
    double tokens_;
    time_point filled_;  // until when time has been counted
    std::uint64_t refused_ = 0;
};

}  // namespace ouro
