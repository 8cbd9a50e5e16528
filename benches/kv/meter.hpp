// meter.hpp: the measured part of a work.
#pragma once

#include <ouro/runtime/clock.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace kv_load {

/// Counts the requests of a work and takes what they need.
///
/// One task, the leader, asks between its requests, or batches of them, whether there is to be
/// another one; the others go on until it is over. Everybody counts. The first fifth of the time
/// is warm-up. The latencies are the leader's alone: to read the clock for every request of
/// everybody would cost more than a tenth of what is measured.
class meter {
public:
    explicit meter(ouro::duration whole);

    /// For the leader, where one request ends and the next one begins.
    bool goes_on() noexcept;
    void count(std::uint64_t requests) noexcept {
        if (!over()) requests_ += requests;
    }
    bool over() const noexcept { return phase_ == phase::over; }

    /// Prints one line of JSON: requests, wall_ns, cpu_ns (of the whole process),
    /// requests_per_second, latencies in microseconds; system_calls of the reactor and allocations,
    /// both in total.
    void report(std::string_view work);

private:
    enum class phase : std::uint8_t { fresh, warm_up, measured, over };

    struct reading {
        std::int64_t wall_ns = 0;
        std::int64_t cpu_ns = 0;
        std::uint64_t allocations = 0;
        std::uint64_t system_calls = 0;
    };

    static reading read() noexcept;
    void begin_to_measure() noexcept;
    void end() noexcept;
    double percentile_us(double share);

    std::int64_t whole_ns_;
    std::int64_t until_ns_ = 0;  // when the phase ends
    std::int64_t last_ns_ = 0;   // when the leader's request began
    std::uint64_t requests_ = 0;
    std::vector<std::int64_t> latencies_;  // does not grow in the measured part
    reading began_;
    reading used_;
    phase phase_ = phase::fresh;
};

}  // namespace kv_load
