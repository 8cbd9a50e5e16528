// workers.hpp: the workers of a run, for what crosses between them.
#pragma once

#include <ouro/runtime/executor.hpp>
#include <ouro/runtime/run.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ouro {

class blocking_pool;
class loop_meter;

/// One run: n executors on n threads, started together and stopped together.
///
/// No worker leaves its loop while a task of any worker lives or something that may start one is on
/// its way, so that whatever is posted to a sibling finds it alive. How that is known stands on top
/// of workers.cpp.
class workers final : private sleep_guard {
public:
    explicit workers(const runtime_options& options);
    ~workers();
    workers(const workers&) = delete;
    workers& operator=(const workers&) = delete;

    /// The run that the calling thread belongs to, as a worker or as a thread of the blocking pool;
    /// null outside.
    static workers* current_or_null() noexcept { return of_thread_; }
    static workers& current() noexcept {
        OURO_ASSERT(of_thread_ != nullptr);
        return *of_thread_;
    }
    /// Makes the calling thread one of the run; for helper threads.
    void adopt_thread() noexcept { of_thread_ = this; }

    unsigned count() const noexcept { return static_cast<unsigned>(slots_.size()); }
    /// The executor of a worker; valid from any thread of the run while it lasts.
    executor& at(unsigned worker) noexcept {
        OURO_ASSERT(worker < count());
        return *slots_[worker].loop.load(std::memory_order_acquire);
    }
    const runtime_options& options() const noexcept { return options_; }
    std::string_view reactor_reason(unsigned worker) const noexcept {
        return slots_[worker].reason;
    }
    blocking_pool& pool() noexcept { return *pool_; }
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
    /// waiting for it. Called by the sender, before it posts.
    void departed() noexcept { busy_.fetch_add(1, std::memory_order_relaxed); }
    /// The counterpart, called on the receiving worker when the task has been started.
    void arrived() noexcept { one_less_busy(); }
    /// Called on a worker by whatever comes from another one, before it starts a task.
    void stay() noexcept;

    /// How much a worker has to do: its tasks and those on their way to it.
    std::size_t load(unsigned worker) noexcept;
    /// Spawned tasks on their way to a worker, for `load`.
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
        bool signed_in = false;   // as a stuck sleeper
        bool found_deadlock = false;
        root_task* main = nullptr;  // on worker 0, while it lives

        std::thread thread;
        std::string reason;  // why this reactor
        std::unique_ptr<loop_meter> meter;
        std::exception_ptr failure;
        print_call print;
    };

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
    void one_less_busy() noexcept;
    void wake_all() noexcept;

    bool may_sleep(bool stuck) noexcept override;
    void woke() noexcept override;
    bool may_leave(const slot& self, executor& loop) const noexcept;
    slot& own_slot() noexcept { return slots_[executor::current().worker()]; }
    bool nothing_posted() const noexcept;

    static constinit thread_local workers* of_thread_;

    runtime_options options_;
    std::vector<slot> slots_;
    std::unique_ptr<blocking_pool> pool_;
    std::atomic<unsigned> up_ = 0;    // workers at the gate before the first turn
    std::atomic<unsigned> left_ = 0;  // workers at the gate after the last one
    std::atomic<bool> failed_to_start_ = false;
    std::atomic<bool> stopping_ = false;
    bool main_was_asked_ = false;  // worker 0's
    std::atomic<bool> deadlocked_ = false;
    std::atomic<unsigned> busy_;               // what still keeps the loops going
    std::atomic<std::uint64_t> sleepers_ = 0;  // changes << 32 | stuck workers that sleep
    std::atomic<std::size_t> left_behind_ = 0;
};

}  // namespace ouro
