// blocking_pool.hpp: helper threads for calls that block.
//
// What outlives what, when a call blocks:
//
//   worker (loop, task, frame)            helper thread (crew, run)
//     submit ──────── queue ────────────>   work
//     done   <─────── posted ────────────   worked
//     withdraw: out of the queue again      …
//     leave: nobody waits for it            left: ends the job's life
//
//  1. A thread owns a share of its crew (lock, queue, list of threads) and of its run (`workers`).
//     Both therefore live until the last call that was begun has returned, however long after the
//     end of run() that is, and neither refers to anything that dies sooner.
//  2. A job belongs to who submitted it, until a thread has taken it off the queue; then to both,
//     until the thread has said under the lock either `worked_` or that it found `left_`. Whoever
//     leaves does so under the same lock. So exactly one of them ends the job's life.
//  3. A thread touches a loop in one place, to post a job that is done, and only inside a
//     workers::visit: refused once the run is over, and the run does not take its loops down
//     meanwhile. A call that outlives its run is therefore told to nobody.
//  4. What a call of the user finds by itself (workers::current() in spawn_on, request_stop,
//     metrics and the like) is the run of 1, which says that it is over: see workers.cpp.
//  5. The job of a task that was left behind stays valid: its frame lies in a loop that is never
//     destroyed (workers.cpp, 4). A job that was left to its thread lies in memory of its own.
//  6. shut_down drops what waits in the queue, since only tasks that were left behind can wait
//     there, and waits for no thread whose job was left to it. After it no thread begins anything.
//  7. Threads that are joined have left the list of the living under the lock and take the lock no
//     more; threads that are detached find themselves in no list and just end.
//  8. A thread is started only by who submits, when fewer are idle than jobs wait; it ends when it
//     was idle for a while. Threads and waiting jobs have a bound each, and each kind of job has a
//     pool of its own, so what hangs in one holds up no other.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace ouro {

class workers;

/// What a blocking job is for. Each kind has threads and a queue of its own, so that one kind that
/// hangs holds up no other.
enum class blocking_lane : std::uint8_t {
    calls,    ///< what users give to blocking()
    files,    ///< operations on files, where no ring performs them
    lookups,  ///< names that are looked up
};
inline constexpr unsigned blocking_lanes = 3;

/// Work for a helper thread. Derive from it; it must stay where it is from submission until `done`,
/// or until it was withdrawn. Who waits for it is a task of the worker that submitted it, or keeps
/// that worker's run from ending in another way.
class blocking_job : public remote_call, public list_hook<blocking_job> {
public:
    /// The work, on a helper thread.
    virtual void work() noexcept = 0;

    /// Called on the worker that submitted the job, some time after `work` has returned. May end
    /// the job's life. Not called when the run is over.
    virtual void done() noexcept = 0;

    /// Called instead of `done` when the job was left to its thread, on that thread, when there may
    /// be no run any more: ends the job's life, and touches nothing else.
    virtual void left() noexcept;

    blocking_lane lane() const noexcept { return lane_; }

protected:
    explicit blocking_job(blocking_lane lane = blocking_lane::calls) noexcept : lane_(lane) {}
    ~blocking_job() = default;

private:
    friend class blocking_pool;
    friend result<void> submit_blocking(blocking_job&) noexcept;

    void run() noexcept final;

    executor* home_ = nullptr;
    const blocking_lane lane_;
    bool worked_ = false;  // guarded by the pool's lock: `done` will be called
    bool left_ = false;    // the same: `left` will be called
};

/// What became of a job that its owner no longer waits for.
enum class parting : std::uint8_t {
    taken_back,      ///< no thread had begun with it: it is the owner's
    left_to_thread,  ///< a thread works on it: it is the thread's now
    too_late,        ///< the work is done: `done` will be called
};

/// Gives a job to the helper threads of this run that are for its kind; they take jobs in the order
/// of submission. Refused, and nothing happened: errc::overloaded when the queue is full,
/// errc::no_thread when there is none and none can be had.
///
/// Where there is no run (simulation, tests on a bare executor) the work is done before this
/// returns, on the calling thread, so that what happens stays a function of the seed; `done` is
/// called from the loop all the same.
result<void> submit_blocking(blocking_job& job) noexcept;

/// Takes a job back. False when a thread has begun with it: `done` will be called.
[[nodiscard]] bool withdraw_blocking(blocking_job& job) noexcept;

/// Takes a job back or, when a thread has begun with it, leaves it to that thread. For jobs that
/// own all they use and know how to be `left`.
[[nodiscard]] parting leave_blocking(blocking_job& job) noexcept;

/// The helper threads of one run for one kind of job: started on demand, ended when idle for a
/// while.
class blocking_pool {
public:
    /// Jobs that wait for a thread number `queue_max` at most.
    struct limits {
        unsigned threads_max = 16;
        std::size_t queue_max = 16'384;
        std::chrono::milliseconds idle_time = std::chrono::seconds(5);
    };

    /// `run` is null in tests. Throws std::bad_alloc.
    blocking_pool(workers* run, const limits& how);
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// See submit_blocking and withdraw_blocking. From a worker, the same one for one job.
    result<void> submit(blocking_job& job) noexcept;
    [[nodiscard]] bool withdraw(blocking_job& job) noexcept;
    [[nodiscard]] parting leave(blocking_job& job) noexcept;

    /// Ends the threads and joins them, but for those whose job was left to them; jobs that wait
    /// for a thread are dropped. False when another one was still at work after `limit`. What is
    /// at work goes on, detached, and needs neither this object nor the run.
    bool shut_down(duration limit) noexcept;

    /// Threads that exist now, and jobs that wait for one.
    unsigned threads() noexcept;
    std::size_t queued() noexcept;

private:
    struct crew;

    workers* run_;
    std::shared_ptr<crew> crew_;  // each thread shares it
};

}  // namespace ouro
