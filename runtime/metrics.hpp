// metrics.hpp: what the workers of a run have done, in figures.
#pragma once

#include <ouro/runtime/engine/counter.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/run.hpp>

#include <array>
#include <bit>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ouro {

/// A coarse distribution: one bucket per power of two. One thread records, any thread reads or
/// copies, at the cost of a plain increment.
class log2_histogram {
public:
    void record(std::uint64_t value) noexcept {
        ++buckets_[std::bit_width(value)];
        if (value > max_) max_ = value;
    }

    std::uint64_t count() const noexcept;
    std::uint64_t max() const noexcept { return max_; }

    /// The upper end of the bucket below which `percent` % of the values lie, at most max(); 0 when
    /// there are none. Up to twice the true value.
    std::uint64_t percentile(double percent) const noexcept;

    /// Values v with bit_width(v) == `width`, so from 2^(width-1) up to 2^width - 1.
    std::uint64_t in_bucket(unsigned width) const noexcept { return buckets_[width]; }

    void add(const log2_histogram& other) noexcept;

private:
    std::array<counter, 65> buckets_{};
    counter max_;
};

/// The histograms of a loop; empty unless runtime_options::measure_loop or stall_threshold is set.
struct loop_times {
    log2_histogram poll_time;  ///< ns from resuming a task to its next suspension, sampled 1 in 8
    log2_histogram loop_lag;   ///< ns a turn took before the reactor was looked at again
    log2_histogram batch;      ///< completions taken in one turn
    counter stalls;            ///< times a task held the loop for stall_threshold or longer
};

/// The figures of one worker at one moment; since its start where nothing else is said.
struct worker_metrics {
    unsigned worker = 0;
    std::string reactor;      ///< "uring"
    std::uint64_t tasks = 0;  ///< alive now
    std::uint64_t spawned = 0;
    std::uint64_t failed = 0;       ///< detached tasks that ended with an exception
    std::uint64_t turns = 0;        ///< of the loop
    std::uint64_t polls = 0;        ///< resumptions of frames
    std::uint64_t ready_depth = 0;  ///< frames that were ready in the last turn
    std::uint64_t ready_depth_max = 0;
    std::uint64_t timers_fired = 0;
    std::uint64_t remote_calls = 0;  ///< messages from other threads
    std::uint64_t submissions = 0;
    std::uint64_t completions = 0;
    std::uint64_t system_calls = 0;
    std::uint64_t sleeps = 0;
    loop_times times;

    /// Operations per system call; 0 before the first.
    double mean_batch() const noexcept;
};

/// The figures of all workers.
struct runtime_metrics {
    std::vector<worker_metrics> workers;

    /// Their sum; maxima are the largest one.
    worker_metrics total() const;
};

/// Reads the figures of all workers of the run; of the calling executor where there is no run. From
/// any thread of the run, without asking or disturbing the workers: figures of one worker may be an
/// instant apart.
runtime_metrics metrics();

/// Three lines per worker, for logs.
std::string to_string(const worker_metrics& figures);
std::string to_string(const runtime_metrics& figures);

/// Fills the histograms of one loop and names the tasks that hold it too long.
class loop_meter final : public loop_observer {
public:
    /// A meter that observes `loop`; null when the options ask for nothing.
    static std::unique_ptr<loop_meter> make(executor& loop, const runtime_options& options);

    /// `stall_threshold` zero: no stall is looked for.
    loop_meter(executor& loop, duration stall_threshold) noexcept
        : loop_(loop), stall_threshold_(stall_threshold.count()) {}

    const loop_times& times() const noexcept { return times_; }

    void turn_started(time_point) noexcept override;
    void resuming(promise_base& frame) noexcept override;
    void resumed() noexcept override;
    void polling() noexcept override;

private:
    static constexpr unsigned sample_every = 8;

    void report_stall(std::int64_t length) noexcept;

    executor& loop_;
    const std::int64_t stall_threshold_;
    loop_times times_;
    std::uint64_t completions_ = 0;
    std::int64_t turn_began_ = 0;
    std::int64_t resumed_at_ = 0;
    std::int64_t last_reading_ = 0;  // of the clock, still true when the next frame is resumed
    promise_base* frame_ = nullptr;  // being timed
    std::source_location from_;
    unsigned until_sample_ = sample_every;
    bool ran_ = false;  // something was resumed in this turn
};

}  // namespace ouro
