// work.hpp: what a work is, and the watch that measures it.
#pragma once

#include <ouro/runtime/task.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>

namespace inprocess {

/// Counts the operations of a work and takes the time they need.
///
/// A work runs in batches:
///
///     while (watch.goes_on()) {
///         …                         // a batch
///         watch.count(batch);
///     }
///
/// The batches of the first fifth of the time are warm-up. The clocks are read where the warm-up
/// ends and after the last batch; what a work does before and after its loop is not measured. At
/// least one batch is warm-up and at least one is measured, however short the time.
class stopwatch {
public:
    explicit stopwatch(std::chrono::nanoseconds whole) noexcept : whole_(whole) {}

    /// Called between batches: whether there is to be another one.
    bool goes_on() noexcept;

    /// Counts the operations of the batch that has just ended.
    void count(std::uint64_t operations) noexcept { operations_ += operations; }

    /// True when the work was measured to its end.
    bool finished() const noexcept { return phase_ == phase::over; }

    // The figures of a finished work.

    std::uint64_t operations() const noexcept { return operations_; }
    std::int64_t wall_ns() const noexcept { return wall_ns_; }
    /// CPU time of all threads of the process, in user mode and in the kernel.
    std::int64_t cpu_ns() const noexcept { return cpu_ns_; }

private:
    enum class phase : std::uint8_t { fresh, warm_up, measured, over };

    void begin_to_measure() noexcept;
    void end() noexcept;

    std::chrono::nanoseconds whole_;
    phase phase_ = phase::fresh;
    std::int64_t until_ = 0;  // when the phase ends
    std::uint64_t operations_ = 0;
    std::int64_t wall_ns_ = 0;  // until the end: when the measured part began
    std::int64_t cpu_ns_ = 0;
};

/// One thing that is measured.
struct work {
    std::string_view name;
    ouro::task<> (*body)(stopwatch& watch);
    unsigned workers = 1;
};

[[noreturn]] void throw_wrong();

/// A work that computes something wrong has not been measured: throws std::logic_error.
inline void check(bool right) {
    if (!right) throw_wrong();
}

}  // namespace inprocess
