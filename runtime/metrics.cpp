#include <ouro/runtime/metrics.hpp>

#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/workers.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ouro {

// --- histogram ------------------------------------------------------------------------------

std::uint64_t log2_histogram::count() const noexcept {
    std::uint64_t all = 0;
    for (const counter& bucket : buckets_) all += bucket;
    return all;
}

std::uint64_t log2_histogram::percentile(double percent) const noexcept {
    const std::uint64_t all = count();
    if (all == 0) return 0;
    const double wanted = std::ceil(static_cast<double>(all) * percent / 100.0);
    const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
    std::uint64_t seen = 0;
    for (unsigned width = 0; width < 64; ++width) {
        seen += buckets_[width];
        const std::uint64_t highest = (std::uint64_t{1} << width) - 1;
        if (seen >= rank) return std::min<std::uint64_t>(highest, max_);
    }
    return max_;
}

void log2_histogram::add(const log2_histogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    max_ = std::max(max_.value(), other.max_.value());
}

// --- figures --------------------------------------------------------------------------------

namespace {

worker_metrics figures_of(executor& loop, const loop_meter* meter) {
    const executor_stats& loop_did = loop.stats();
    const reactor_stats& io_did = loop.io().stats();
    worker_metrics figures;
    figures.worker = loop.worker();
    figures.reactor = loop.io().name();
    figures.tasks = loop.tasks().alive();
    figures.spawned = loop_did.spawned;
    figures.failed = loop_did.failed_detached;
    figures.turns = loop_did.turns;
    figures.polls = loop_did.resumptions;
    figures.ready_depth = loop_did.ready_depth;
    figures.ready_depth_max = loop_did.ready_depth_max;
    figures.timers_fired = loop_did.timers_fired;
    figures.remote_calls = loop_did.remote_calls;
    figures.submissions = io_did.submissions;
    figures.completions = io_did.completions;
    figures.system_calls = io_did.system_calls;
    figures.sleeps = io_did.waits;
    if (meter) figures.times = meter->times();
    return figures;
}

void add(worker_metrics& sum, const worker_metrics& one) {
    sum.tasks += one.tasks;
    sum.spawned += one.spawned;
    sum.failed += one.failed;
    sum.turns += one.turns;
    sum.polls += one.polls;
    sum.ready_depth += one.ready_depth;
    sum.ready_depth_max = std::max(sum.ready_depth_max, one.ready_depth_max);
    sum.timers_fired += one.timers_fired;
    sum.remote_calls += one.remote_calls;
    sum.submissions += one.submissions;
    sum.completions += one.completions;
    sum.system_calls += one.system_calls;
    sum.sleeps += one.sleeps;
    sum.times.poll_time.add(one.times.poll_time);
    sum.times.loop_lag.add(one.times.loop_lag);
    sum.times.batch.add(one.times.batch);
    sum.times.stalls += one.times.stalls;
}

std::string times_text(const char* what, const log2_histogram& times) {
    auto text = [](std::uint64_t ns) { return duration_text(duration(ns)); };
    return fmt::format("{} p50 {}, p99 {}, max {}", what, text(times.percentile(50)),
                       text(times.percentile(99)), text(times.max()));
}

}  // namespace

double worker_metrics::mean_batch() const noexcept {
    if (system_calls == 0) return 0;
    return static_cast<double>(submissions) / static_cast<double>(system_calls);
}

worker_metrics runtime_metrics::total() const {
    worker_metrics sum;
    if (!workers.empty()) sum.reactor = workers.front().reactor;
    for (const worker_metrics& one : workers) add(sum, one);
    return sum;
}

runtime_metrics metrics() {
    runtime_metrics all;
    workers* run = workers::current_or_null();
    if (!run) {
        all.workers.push_back(figures_of(executor::current(), nullptr));
        return all;
    }
    const workers::visit inside(*run);
    for (unsigned worker = 0; inside && worker < run->count(); ++worker)
        all.workers.push_back(figures_of(run->at(worker), run->meter(worker)));
    return all;
}

std::string to_string(const worker_metrics& figures) {
    std::string text = fmt::format(
        "worker {} ({}): {} tasks, {} spawned, {} failed, {} polls in {} turns, ready depth {} "
        "(max {})\n"
        "  {} submissions, {} completions, {} system calls ({:.2f} operations each), {} sleeps, "
        "{} timers, {} remote calls\n",
        figures.worker, figures.reactor, figures.tasks, figures.spawned, figures.failed,
        figures.polls, figures.turns, figures.ready_depth, figures.ready_depth_max,
        figures.submissions, figures.completions, figures.system_calls, figures.mean_batch(),
        figures.sleeps, figures.timers_fired, figures.remote_calls);
    const loop_times& times = figures.times;
    if (times.loop_lag.count() == 0) return text;
    return text + fmt::format("  {}; {}; batch max {}; {} stalls\n",
                              times_text("poll", times.poll_time),
                              times_text("loop lag", times.loop_lag), times.batch.max(),
                              times.stalls.value());
}

std::string to_string(const runtime_metrics& figures) {
    std::string text;
    for (const worker_metrics& one : figures.workers) text += to_string(one);
    return text;
}

// --- meter ----------------------------------------------------------------------------------

std::unique_ptr<loop_meter> loop_meter::make(executor& loop, const runtime_options& options) {
    if (!options.measure_loop && options.stall_threshold <= duration::zero()) return nullptr;
    auto meter = std::make_unique<loop_meter>(loop, options.stall_threshold);
    loop.observe(meter.get());
    return meter;
}

void loop_meter::turn_started(time_point now) noexcept {
    turn_began_ = last_reading_ = now.time_since_epoch().count();
    const std::uint64_t completions = loop_.io().stats().completions;
    if (completions != completions_) times_.batch.record(completions - completions_);
    completions_ = completions;
    ran_ = false;
}

void loop_meter::resuming(promise_base& frame) noexcept {
    ran_ = true;
    frame_ = nullptr;
    if (stall_threshold_ == 0) {
        if (--until_sample_ > 0) return;
        until_sample_ = sample_every;
        last_reading_ = loop_.io().now();
    }
    // With a threshold every resumption is timed, and the end of one is the beginning of the next.
    resumed_at_ = last_reading_;
    frame_ = &frame;
    from_ = frame.where;
}

void loop_meter::resumed() noexcept {
    if (!frame_) return;
    last_reading_ = loop_.io().now();
    const std::int64_t length = last_reading_ - resumed_at_;
    times_.poll_time.record(static_cast<std::uint64_t>(length));
    if (stall_threshold_ != 0 && length >= stall_threshold_) report_stall(length);
}

void loop_meter::polling() noexcept {
    if (ran_) times_.loop_lag.record(static_cast<std::uint64_t>(loop_.io().now() - turn_began_));
}

void loop_meter::report_stall(std::int64_t length) noexcept {
    ++times_.stalls;
    if (!log_enabled()) return;
    const chain* root = frame_->owner;
    while (root->parent()) root = root->parent();
    std::string who = "a task";
    if (auto* task = dynamic_cast<const root_task*>(root)) {
        who = fmt::format("task {}", task->number());
        if (!task->name().empty()) who += fmt::format(" \"{}\"", task->name());
    }
    std::string text = fmt::format("stall: {} held worker {} for {}", who, loop_.worker(),
                                   duration_text(duration(length)));
    auto place = [](const std::source_location& where) {
        return fmt::format("{}:{}", short_file_name(where.file_name()), where.line());
    };
    // Where it was resumed says where the work began, where it waits now says where it ended.
    const std::source_location& to = frame_->where;
    if (to.line() != 0) text += " in " + short_function_name(to.function_name());
    if (from_.line() != 0) text += ", after " + place(from_);
    if (!frame_->handle().done() && to.line() != 0) text += ", before " + place(to);
    log(log_level::warning, text);
    last_reading_ = loop_.io().now();
}

}  // namespace ouro
