// blocking_pool.hpp: helper threads for calls that block.
#pragma once

#include <ouro/runtime/executor.hpp>
#include <ouro/runtime/intrusive_list.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace ouro {

class workers;

/// Work for a helper thread. Derive from it; it lives where its owner lives and must stay there
/// from submission until `done`, or until it was withdrawn.
class blocking_job : public remote_call, public list_hook<blocking_job> {
public:
    /// The work, on a helper thread.
    virtual void work() noexcept = 0;

    /// Called on the worker that submitted the job, some time after `work` has returned. May end
    /// the job's life.
    virtual void done() noexcept = 0;

protected:
    ~blocking_job() = default;

private:
    friend class blocking_pool;
    friend bool submit_blocking(blocking_job&) noexcept;

    void run() noexcept final;

    executor* home_ = nullptr;
};

/// Gives a job to the helper threads of this run; they take jobs in the order of submission. False,
/// and nothing happened, when the queue is full or no thread can be had.
///
/// Where there is no run (simulation, tests on a bare executor) the work is done before this
/// returns, on the calling thread, so that what happens stays a function of the seed; `done` is
/// called from the loop all the same.
[[nodiscard]] bool submit_blocking(blocking_job& job) noexcept;

/// Takes a job back. False when a thread has begun with it: `done` will be called.
[[nodiscard]] bool withdraw_blocking(blocking_job& job) noexcept;

/// The helper threads of one run: started on demand, ended when idle for a while.
class blocking_pool {
public:
    /// Jobs that wait for a thread number `queue_max` at most.
    struct limits {
        unsigned threads_max = 16;
        std::size_t queue_max = 16'384;
        std::chrono::milliseconds idle_time = std::chrono::seconds(5);
    };

    blocking_pool(workers* run, const limits& how) noexcept : run_(run), limits_(how) {}
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// See submit_blocking and withdraw_blocking. From a worker, the same one for one job.
    [[nodiscard]] bool submit(blocking_job& job) noexcept;
    [[nodiscard]] bool withdraw(blocking_job& job) noexcept;

    /// Ends and joins the threads. False when one was still at work after `limit`: it has been
    /// detached, and the pool must be leaked, since the thread will look at it again.
    [[nodiscard]] bool shut_down(duration limit) noexcept;

    /// Threads that exist now, and jobs that wait for one.
    unsigned threads() noexcept;
    std::size_t queued() noexcept;

private:
    bool enqueue(blocking_job& job) noexcept;
    void serve() noexcept;
    bool start_thread() noexcept;
    void retire() noexcept;
    void join_retired(std::unique_lock<std::mutex>& held) noexcept;

    workers* run_;
    const limits limits_;

    std::mutex lock_;  // guards everything below
    std::condition_variable work_to_do_;
    std::condition_variable thread_ended_;
    intrusive_list<blocking_job, blocking_job> queue_;
    std::size_t queued_ = 0;
    unsigned idle_ = 0;
    bool closing_ = false;
    std::vector<std::thread> threads_;
    std::vector<std::thread> retired_;  // about to end, to be joined
};

}  // namespace ouro
