#include <ouro/runtime/sync/shared_semaphore.hpp>

#include <limits>

namespace ouro {

bool shared_semaphore::take(std::size_t count) noexcept {
    if (!waiters_.empty() || count > free_) return false;
    free_ -= count;
    return true;
}

/// Serves the oldest waiters for as long as there is enough for the first of them.
void shared_semaphore::grant(shared_wait_list& woken) noexcept {
    while (!waiters_.empty()) {
        const std::size_t wanted = *static_cast<std::size_t*>(waiters_.front().subject());
        if (wanted > free_) return;
        free_ -= wanted;
        waiters_.answer_front(woken);
    }
}

shared_semaphore::permit shared_semaphore::try_acquire(std::size_t count) noexcept {
    const std::lock_guard held(lock_);
    return !closed_ && take(count) ? permit(*this, count) : permit();
}

shared_semaphore::permit shared_semaphore::acquire_blocking(std::size_t count) noexcept {
    shared_thread_waiter self(&count);
    {
        const std::lock_guard held(lock_);
        if (closed_) return permit();
        if (take(count)) return permit(*this, count);
        waiters_.push_back(self);
    }
    self.sleep();
    return self.failed() ? permit() : permit(*this, count);
}

void shared_semaphore::release(std::size_t count) noexcept {
    shared_wait_list woken;
    {
        const std::lock_guard held(lock_);
        OURO_ASSERT(count <= std::numeric_limits<std::size_t>::max() - free_ &&
                    "shared_semaphore: more permits than can be counted");
        free_ += count;
        grant(woken);
    }
    woken.wake_all();
}

void shared_semaphore::close() noexcept {
    shared_wait_list woken;
    {
        const std::lock_guard held(lock_);
        closed_ = true;
        waiters_.answer_all(woken, errc::closed);
    }
    woken.wake_all();
}

std::size_t shared_semaphore::available() const noexcept {
    const std::lock_guard held(lock_);
    return free_;
}

}  // namespace ouro
