#include <ouro/runtime/blocking_pool.hpp>

#include <ouro/runtime/log.hpp>
#include <ouro/runtime/workers.hpp>

#include <algorithm>
#include <system_error>
#include <utility>

namespace ouro {

void blocking_job::run() noexcept {
    home_->expect_post(-1);
    done();
}

bool submit_blocking(blocking_job& job) noexcept {
    if (workers* run = workers::current_or_null()) return run->pool().submit(job);
    job.home_ = &executor::current();
    job.home_->expect_post(+1);
    job.work();
    job.home_->post(job);
    return true;
}

bool withdraw_blocking(blocking_job& job) noexcept {
    workers* run = workers::current_or_null();
    return run && run->pool().withdraw(job);
}

blocking_pool::~blocking_pool() { OURO_ASSERT(threads_.empty() && retired_.empty()); }

bool blocking_pool::submit(blocking_job& job) noexcept {
    job.home_ = &executor::current();
    job.home_->expect_post(+1);
    if (enqueue(job)) return true;
    job.home_->expect_post(-1);
    return false;
}

bool blocking_pool::enqueue(blocking_job& job) noexcept {
    std::unique_lock held(lock_);
    if (closing_ || queued_ >= limits_.queue_max) return false;
    // A thread counts as idle until it has taken its job, so compare with the jobs, not with zero.
    if (idle_ <= queued_ && threads_.size() < limits_.threads_max && !start_thread() &&
        threads_.empty())
        return false;
    queue_.push_back(job);
    ++queued_;
    work_to_do_.notify_one();
    join_retired(held);
    return true;
}

bool blocking_pool::withdraw(blocking_job& job) noexcept {
    {
        const std::lock_guard held(lock_);
        auto& hook = static_cast<list_hook<blocking_job>&>(job);
        if (!hook.linked()) return false;
        hook.unlink();
        --queued_;
    }
    job.home_->expect_post(-1);
    return true;
}

bool blocking_pool::start_thread() noexcept {
    try {
        threads_.reserve(limits_.threads_max);
        retired_.reserve(limits_.threads_max);
        threads_.emplace_back([this] { serve(); });
        return true;
    } catch (const std::exception& error) {
        if (log_enabled())
            log(log_level::warning, std::string("no thread for blocking calls: ") + error.what());
        return false;
    }
}

void blocking_pool::serve() noexcept {
    if (run_) run_->adopt_thread();
    std::unique_lock held(lock_);
    for (;;) {
        ++idle_;
        const bool woken = work_to_do_.wait_for(held, limits_.idle_time,
                                                [this] { return queued_ > 0 || closing_; });
        --idle_;
        if (queued_ == 0 && (closing_ || !woken)) break;
        blocking_job& job = queue_.pop_front();
        --queued_;
        executor* home = job.home_;
        held.unlock();
        job.work();
        home->post(job);  // the job may be gone from here on
        held.lock();
    }
    retire();
}

void blocking_pool::retire() noexcept {
    const auto self = std::this_thread::get_id();
    auto mine = std::find_if(threads_.begin(), threads_.end(),
                             [&](const std::thread& one) { return one.get_id() == self; });
    if (mine == threads_.end()) return;  // detached by shut_down
    retired_.push_back(std::move(*mine));
    threads_.erase(mine);
    thread_ended_.notify_all();
}

void blocking_pool::join_retired(std::unique_lock<std::mutex>& held) noexcept {
    while (!retired_.empty()) {
        std::thread one = std::move(retired_.back());
        retired_.pop_back();
        held.unlock();
        one.join();  // it has nothing left to do
        held.lock();
    }
}

bool blocking_pool::shut_down(duration limit) noexcept {
    std::unique_lock held(lock_);
    closing_ = true;
    work_to_do_.notify_all();
    // The clock of the wait must not overflow.
    const duration patience = std::min<duration>(limit, std::chrono::hours(24 * 365));
    const bool ended = thread_ended_.wait_for(held, patience, [this] { return threads_.empty(); });
    for (std::thread& stuck : threads_) stuck.detach();
    threads_.clear();
    join_retired(held);
    return ended;
}

unsigned blocking_pool::threads() noexcept {
    const std::lock_guard held(lock_);
    return static_cast<unsigned>(threads_.size());
}

std::size_t blocking_pool::queued() noexcept {
    const std::lock_guard held(lock_);
    return queued_;
}

}  // namespace ouro
