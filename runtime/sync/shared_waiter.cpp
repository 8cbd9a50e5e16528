#include <ouro/runtime/sync/shared_waiter.hpp>

namespace ouro {

void shared_task_waiter::wait_here(promise_base& frame) noexcept {
    home_ = &executor::current();
    home_->expect_post(+1);
    wait_regardless(frame);
}

void shared_task_waiter::wait_no_more() noexcept {
    home_->expect_post(-1);
    unwait();
}

void shared_task_waiter::cancel(cancel_reason) noexcept {
    if (!leave()) return;  // answered: the post is on its way
    fail(errc::cancelled);
    run();
}

void shared_task_waiter::wake() noexcept {
    if (home_ == executor::current_or_null())
        run();
    else
        home_->post(*this);
}

void shared_task_waiter::run() noexcept {
    OURO_ASSERT(home_ == executor::current_or_null() && "a waiter is told on its own worker");
    home_->expect_post(-1);
    resume();
}

void shared_thread_waiter::sleep() noexcept {
    std::unique_lock held(lock_);
    changed_.wait(held, [this] { return woken_; });
}

void shared_thread_waiter::wake() noexcept {
    // Told under the lock: once it is released, the sleeper may be gone.
    const std::lock_guard held(lock_);
    OURO_ASSERT(!woken_ && "a waiter is answered once");
    woken_ = true;
    changed_.notify_one();
}

}  // namespace ouro
