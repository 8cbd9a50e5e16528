// workers.hpp: the workers of a run, for what crosses between them.
#pragma once

#include <ouro/runtime/engine/blocking_pool.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/run.hpp>

#include <array>
#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ouro {

class loop_meter;

/// One run: n executors on n threads, started together and stopped together.
///
/// No worker leaves its loop while a task of any worker lives or something that may start one is on
/// its way, so that whatever is posted to a sibling finds it alive. How that is known stands on top
/// of workers.cpp.
///
/// Shared: blocking calls may return, and handles of remote tasks may be kept, after the run has
/// ended. What they ask for then is refused.
class workers final : public std::enable_shared_from_this<workers>, private sleep_guard {
public:
    class visit;

    /// Throws std::errc::invalid_argument for options under which nothing could run.
    explicit workers(const runtime_options& options);
    ~workers();
    workers(const workers&) = delete;
    workers& operator=(const workers&) = delete;

    /// The run that the calling thread belongs to, as a worker or as a thread of the blocking pool;
    /// null outside.
    static workers* current_or_null() noexcept { return of_thread_; }
    static workers& current() noexcept {
        OURO_ASSERT(of_thread_ != nullptr &&
                    "workers: used on a thread that is of no run: call it in a task of run()");
        return *of_thread_;
    }
    /// Makes the calling thread one of `run`, which must outlive that, or of none; for helper
    /// threads.
    static void adopt_thread(workers* run) noexcept { of_thread_ = run; }

    unsigned count() const noexcept { return static_cast<unsigned>(slots_.size()); }
    /// The executor of a worker; for workers while the run lasts, for other threads during a visit
    /// and between departed() and the arrival.
    executor& at(unsigned worker) noexcept {
        OURO_ASSERT(worker < count() &&
                    "workers: there is no worker of that number: it is below worker_count()");
        return *slots_[worker].loop.load(std::memory_order_acquire);
    }
    const runtime_options& options() const noexcept { return options_; }
    /// Its name and why it was chosen: "epoll: asked for".
    std::string_view reactor_choice(unsigned worker) const noexcept {
        return slots_[worker].reactor_choice;
    }
    /// The helper threads of one kind; from workers while the run lasts.
    blocking_pool& pool(blocking_lane which = blocking_lane::calls) noexcept {
        return *pools_[static_cast<unsigned>(which)];
    }
    /// The histograms of a worker; null unless the options ask for them.
    const loop_meter* meter(unsigned worker) const noexcept { return slots_[worker].meter.get(); }

    /// Runs `main` on worker 0, on this thread, and everything else until the end.
    void run(task<> main);

    /// Asks all workers to stop; from any thread of the run, and from a signal handler.
    void request_stop() noexcept;
    bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

    bool deadlocked() const noexcept { return deadlocked_.load(); }
    /// True when main has ended after it was asked to stop.
    bool main_was_asked() const noexcept { return main_was_asked_; }
    /// Tasks that were left behind after the grace period.
    std::size_t left_behind() const noexcept { return left_behind_.load(); }

    /// Has every worker print its tasks to standard error, each as soon as it comes round to it.
    void print_tasks() noexcept;

    // For what crosses between workers.

    /// Counts something on its way to a worker that may start a task there without another task
    /// waiting for it. Called by the sender, on any thread, before it posts. False: the run is
    /// over, or its grace period is, and nothing may be posted.
    [[nodiscard]] bool departed() noexcept;
    /// The counterpart, called on the receiving worker when the task has been started.
    void arrived() noexcept { one_less_busy(); }
    /// Called on a worker by whatever comes from another one, before it starts a task. False: the
    /// run is over, and nothing may be started. Never so for what has departed.
    [[nodiscard]] bool stay() noexcept;

    /// The worker with the least load; the calling one when it is among them, else each in turn.
    unsigned least_loaded() noexcept;
    /// Calls and tasks on their way to a worker: a part of its load.
    std::atomic<unsigned>& on_the_way(unsigned worker) noexcept {
        return slots_[worker].on_the_way;
    }

private:
    class main_watch;

    /// Prints the tasks of one worker when it comes round to it.
    class print_call final : public remote_call {
    public:
        void run() noexcept override;
        std::atomic<bool> posted = false;
    };

    struct slot {
        std::atomic<executor*> loop = nullptr;
        std::atomic<unsigned> on_the_way = 0;

        // The worker's own.
        bool counted = true;      // in busy_
        bool draining = false;    // its tasks have been asked to stop
        bool grace_over = false;  // and have had time enough
        bool named = false;       // those left behind have been
        bool signed_in = false;   // as a stuck sleeper
        bool found_deadlock = false;
        root_task* main = nullptr;  // on worker 0, while it lives

        std::thread thread;
        std::string reactor_choice;  // "epoll: asked for"
        std::unique_ptr<loop_meter> meter;
        std::exception_ptr failure;
        print_call print;
    };

    /// How much a worker has to do: its tasks, and what is on the way to it.
    std::size_t load(unsigned worker) noexcept;
    static void watch_forks();
    void start_threads();
    void work(unsigned worker, task<>* main) noexcept;
    std::unique_ptr<executor> make_loop(unsigned worker);
    void serve(executor& loop, task<>* main);
    void turn(executor& loop);
    void drain(executor& loop);
    void name_left_behind(executor& loop);
    void report_deadlock();
    void arrive(std::atomic<unsigned>& at_gate, unsigned n = 1) noexcept;
    void await_all(std::atomic<unsigned>& at_gate) noexcept;
    bool one_more_busy() noexcept;
    void one_less_busy() noexcept;
    void wake_all() noexcept;
    void end_visits() noexcept;

    bool may_sleep(bool stuck) noexcept override;
    void woke() noexcept override;
    bool may_leave(const slot& self, executor& loop) const noexcept;
    slot& own_slot() noexcept { return slots_[executor::current().worker()]; }
    bool nothing_posted() const noexcept;

    static constinit thread_local workers* of_thread_;
    static constinit thread_local bool forked_;  // since this thread last began a run

    runtime_options options_;
    std::vector<slot> slots_;
    std::array<std::unique_ptr<blocking_pool>, blocking_lanes> pools_;
    std::atomic<unsigned> up_ = 0;    // workers at the gate before the first turn
    std::atomic<unsigned> left_ = 0;  // workers at the gate after the last one
    std::atomic<bool> failed_to_start_ = false;
    std::atomic<bool> stopping_ = false;
    bool main_was_asked_ = false;  // worker 0's
    std::atomic<bool> deadlocked_ = false;
    std::atomic<unsigned> busy_;            // what still keeps the loops going; 0 is final
    std::atomic<bool> grace_over_ = false;  // somewhere a task was left behind
    std::atomic<bool> over_ = false;        // no thread from outside may touch a loop
    std::atomic<unsigned> visitors_ = 0;    // threads that may be doing it now
    std::atomic<unsigned> next_of_equals_ = 0;
    std::atomic<std::uint64_t> sleepers_ = 0;  // changes << 32 | stuck workers that sleep
    std::atomic<std::size_t> left_behind_ = 0;
};

/// The time in which a thread that is no worker, such as one of the pool, may use the loops of a
/// run: `if (workers::visit inside(run); inside) run.at(0).wake();`. False once the run is over.
/// Keep it short: the run's end waits for it.
class workers::visit {
public:
    explicit visit(workers& run) noexcept : run_(run) {
        run_.visitors_.fetch_add(1);
        open_ = !run_.over_.load();
    }
    ~visit() { run_.visitors_.fetch_sub(1); }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

    explicit operator bool() const noexcept { return open_; }

private:
    workers& run_;
    bool open_;
};

}  // namespace ouro
