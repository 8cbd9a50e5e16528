#include <ouro/runtime/engine/blocking_pool.hpp>

#include <ouro/runtime/log.hpp>
#include <ouro/runtime/workers.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace ouro {

void blocking_job::left() noexcept { OURO_ASSERT(false && "a job that cannot be left"); }

void blocking_job::run() noexcept {
    home_->expect_post(-1);
    done();
}

result<void> submit_blocking(blocking_job& job) noexcept {
    if (workers* run = workers::current_or_null()) return run->pool(job.lane()).submit(job);
    job.home_ = &executor::current();
    job.home_->expect_post(+1);
    job.work();
    job.home_->post(job);
    return {};
}

bool withdraw_blocking(blocking_job& job) noexcept {
    workers* run = workers::current_or_null();
    return run && run->pool(job.lane()).withdraw(job);
}

parting leave_blocking(blocking_job& job) noexcept {
    workers* run = workers::current_or_null();
    return run ? run->pool(job.lane()).leave(job) : parting::too_late;
}

/// What the threads of a pool share with it, and with each other when it is gone.
struct blocking_pool::crew {
    explicit crew(const limits& how) noexcept : most(how) {}

    result<void> enqueue(const std::shared_ptr<crew>& self, workers* run,
                         blocking_job& job) noexcept;
    bool start_thread(const std::shared_ptr<crew>& self, workers* run) noexcept;
    bool dequeue(blocking_job& job) noexcept;
    void serve(workers* run) noexcept;
    bool await_job(std::unique_lock<std::mutex>& held) noexcept;
    void finish(blocking_job& job, workers* run, std::unique_lock<std::mutex>& held) noexcept;
    void retire() noexcept;
    void join_retired(std::unique_lock<std::mutex>& held) noexcept;

    const limits most;

    std::mutex lock;  // guards everything below
    std::condition_variable work_to_do;
    std::condition_variable thread_ended;  // or was left alone with its job
    intrusive_list<blocking_job, blocking_job> queue;
    std::size_t queued = 0;
    unsigned idle = 0;
    unsigned left_alone = 0;  // threads that work on what was left to them
    bool closing = false;
    std::vector<std::thread> threads;
    std::vector<std::thread> retired;  // about to end, to be joined
};

blocking_pool::blocking_pool(workers* run, const limits& how)
    : run_(run), crew_(std::make_shared<crew>(how)) {
    OURO_ASSERT(how.threads_max > 0 && "runtime_options: a pool has at least one thread");
}

blocking_pool::~blocking_pool() {
    OURO_ASSERT((crew_->closing || crew_->threads.empty()) && "a pool is shut down before it ends");
}

result<void> blocking_pool::submit(blocking_job& job) noexcept {
    job.home_ = &executor::current();
    job.worked_ = false;
    job.home_->expect_post(+1);
    result<void> taken = crew_->enqueue(crew_, run_, job);
    if (!taken) job.home_->expect_post(-1);
    return taken;
}

result<void> blocking_pool::crew::enqueue(const std::shared_ptr<crew>& self, workers* run,
                                          blocking_job& job) noexcept {
    std::unique_lock held(lock);
    if (closing) return errc::cancelled;
    if (queued >= most.queue_max) return errc::overloaded;
    OURO_ASSERT(idle <= threads.size());
    // A thread counts as idle until it has taken its job, so compare with the jobs, not with zero.
    if (idle <= queued && threads.size() < most.threads_max && !start_thread(self, run) &&
        threads.empty())
        return errc::no_thread;
    queue.push_back(job);
    ++queued;
    work_to_do.notify_one();
    join_retired(held);
    return {};
}

/// Takes a job off the queue; false when it is not there. Under the lock.
bool blocking_pool::crew::dequeue(blocking_job& job) noexcept {
    auto& hook = static_cast<list_hook<blocking_job>&>(job);
    if (!hook.linked()) return false;
    hook.unlink();
    OURO_ASSERT(queued > 0);
    --queued;
    return true;
}

bool blocking_pool::withdraw(blocking_job& job) noexcept {
    {
        const std::lock_guard held(crew_->lock);
        if (!crew_->dequeue(job)) return false;
    }
    job.home_->expect_post(-1);
    return true;
}

parting blocking_pool::leave(blocking_job& job) noexcept {
    executor* const home = job.home_;
    parting how = parting::taken_back;
    {
        const std::lock_guard held(crew_->lock);
        if (!crew_->dequeue(job)) {
            if (job.worked_) return parting::too_late;
            OURO_ASSERT(!job.left_ && "a job is left once");
            job.left_ = true;  // from here on it is the thread's, and may be gone
            ++crew_->left_alone;
            crew_->thread_ended.notify_all();
            how = parting::left_to_thread;
        }
    }
    home->expect_post(-1);
    return how;
}

bool blocking_pool::crew::start_thread(const std::shared_ptr<crew>& self, workers* run) noexcept {
    std::string why;
    try {
        threads.reserve(threads.size() + 1);
        retired.reserve(threads.size() + retired.size() + 1);  // so that retire() cannot fail
        std::shared_ptr<workers> of_run = run ? run->shared_from_this() : nullptr;
        threads.emplace_back([self, of_run] { self->serve(of_run.get()); });
        return true;
    } catch (const std::exception& error) {
        if (!log_enabled()) return false;
        try {
            log(log_level::warning, std::string("no thread for blocking calls: ") + error.what());
        } catch (const std::bad_alloc&) {
            log(log_level::warning, "no thread for blocking calls, and no memory to say why");
        }
    }
    return false;
}

void blocking_pool::crew::serve(workers* run) noexcept {
    workers::adopt_thread(run);
    {
        std::unique_lock held(lock);
        while (await_job(held)) {
            blocking_job& job = queue.pop_front();
            --queued;
            held.unlock();
            job.work();
            held.lock();
            finish(job, run, held);
        }
        retire();
    }
    workers::adopt_thread(nullptr);
}

/// False when there is nothing left to do for the calling thread.
bool blocking_pool::crew::await_job(std::unique_lock<std::mutex>& held) noexcept {
    ++idle;
    work_to_do.wait_for(held, most.idle_time, [this] { return queued > 0 || closing; });
    --idle;
    return queued > 0;
}

void blocking_pool::crew::finish(blocking_job& job, workers* run,
                                 std::unique_lock<std::mutex>& held) noexcept {
    OURO_ASSERT(!job.worked_ && "a job is done once");
    OURO_ASSERT(!job.left_ || left_alone > 0);
    const bool left = job.left_;
    if (left)
        --left_alone;
    else
        job.worked_ = true;
    executor* const home = job.home_;
    held.unlock();
    if (left) {
        job.left();
    } else if (!run) {
        home->post(job);  // the job may be gone from here on
    } else if (const workers::visit inside(*run); inside) {
        home->post(job);
    }
    held.lock();
}

void blocking_pool::crew::retire() noexcept {
    const auto self = std::this_thread::get_id();
    auto mine = std::find_if(threads.begin(), threads.end(),
                             [&](const std::thread& one) { return one.get_id() == self; });
    if (mine == threads.end()) return;  // detached by shut_down
    retired.push_back(std::move(*mine));
    threads.erase(mine);
    thread_ended.notify_all();
}

void blocking_pool::crew::join_retired(std::unique_lock<std::mutex>& held) noexcept {
    while (!retired.empty()) {
        std::thread one = std::move(retired.back());
        retired.pop_back();
        held.unlock();
        one.join();  // it has nothing left to do
        held.lock();
    }
}

bool blocking_pool::shut_down(duration limit) noexcept {
    crew& all = *crew_;
    std::unique_lock held(all.lock);
    all.closing = true;
    while (!all.queue.empty()) all.queue.pop_front();
    all.queued = 0;
    all.work_to_do.notify_all();
    // The clock of the wait must not overflow.
    const duration patience = std::min<duration>(limit, std::chrono::hours(24 * 365));
    const bool ended = all.thread_ended.wait_for(
        held, patience, [&] { return all.threads.size() <= all.left_alone; });
    for (std::thread& at_work : all.threads) at_work.detach();
    all.threads.clear();
    all.join_retired(held);
    return ended;
}

unsigned blocking_pool::threads() noexcept {
    const std::lock_guard held(crew_->lock);
    return static_cast<unsigned>(crew_->threads.size());
}

std::size_t blocking_pool::queued() noexcept {
    const std::lock_guard held(crew_->lock);
    return crew_->queued;
}

}  // namespace ouro
