// run.hpp: from main() into coroutines and back.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/task.hpp>

#include <exception>
#include <string_view>

namespace ouro {

/// How a program wants to be run.
struct runtime_options {
    unsigned workers = 1;  ///< threads, each with its own loop; the first is the calling one
    reactor_options reactor = {};
    turn_limits turn = {};
    /// SIGINT and SIGTERM cancel every task with the reason shutdown; a second one kills.
    bool stop_on_signals = true;
    /// SIGUSR1 prints who waits where to standard error. Without this it keeps its default action,
    /// which ends the program.
    bool dump_on_sigusr1 = false;
    /// How long tasks may take to end once asked at shutdown; then they are named and left behind.
    duration grace = std::chrono::seconds(10);
    unsigned blocking_threads_max = 16;  ///< threads for blocking(), shared by all workers; ≥ 1
    unsigned file_threads_max = 16;      ///< the same for files, where no ring performs them
    unsigned lookup_threads_max = 16;    ///< the same for names that are looked up
    /// Calls that may wait for a thread; of each of the three kinds that many, so that none of them
    /// holds up another. At least 1.
    std::size_t blocking_queue_max = 16'384;
    /// Fills the histograms of metrics(); costs a few nanoseconds per resumption.
    bool measure_loop = false;
    /// A task that holds its loop this long is logged and counted; zero: nobody looks. Costs a
    /// reading of the clock per resumption.
    duration stall_threshold = duration::zero();
};

/// Runs `main` on worker 0 until it ends, then cancels what else runs, waits for it, and returns.
///
/// The result is an exit code: what a task<int> returned; 0 for a task<> that ended well, also when
/// a signal asked it to stop; 1 after printing one line to standard error when it failed, when the
/// runtime could not start, when tasks outlived the grace period, or when the program deadlocked
/// (after the report). A blocking call that is still going on when the grace period is over is left
/// to its thread; what it asks of the run from then on is refused.
///
/// Meanwhile SIGPIPE does nothing, since a write to a closed pipe is an error to be handled; child
/// processes get it back as it was. A SIGINT or SIGTERM that was ignored, as a shell does for jobs
/// in the background, stays ignored. A child that was forked in a task goes on without the run: it
/// may call run or block_on, and otherwise only what needs no worker, until it ends.
int run(task<> main, const runtime_options& options = {});
int run(task<int> main, const runtime_options& options = {});

/// Runs a task to its end on the calling thread and returns its value or throws its exception; a
/// deadlock throws errc::deadlock after the report, and a task that was left behind after the grace
/// period errc::cancelled. For tests and tools; signals are left alone. Not inside a worker.
template <class T>
T block_on(task<T> body, runtime_options options = {});

/// The number of workers of this run, and which one the caller is on.
unsigned worker_count() noexcept;
unsigned this_worker() noexcept;

/// The name of this worker's reactor and why it was chosen: "uring: DEFER_TASKRUN".
std::string_view reactor_choice() noexcept;

/// Asks the whole run to stop, as a signal would. From any worker.
void request_stop() noexcept;

/// What block_on is made of: runs `main`, which does not throw, on a fresh runtime.
void run_to_end(task<> main, const runtime_options& options);

/// Awaits `body` and keeps what it returns or throws.
template <class T>
task<> keep_outcome(task<T> body, task_outcome<T>& into) {
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(body);
            into.return_void();
        } else {
            into.return_value(co_await std::move(body));
        }
    } catch (...) {
        into.unhandled_exception();
    }
}

template <class T>
T block_on(task<T> body, runtime_options options) {
    options.stop_on_signals = false;
    task_outcome<T> outcome;
    run_to_end(keep_outcome(std::move(body), outcome), options);
    if (outcome.empty()) throw_error(errc::cancelled);
    return outcome.take();
}

}  // namespace ouro
