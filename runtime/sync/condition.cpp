#include <ouro/runtime/sync/condition.hpp>

namespace ouro {

bool condition::wait_op::suspend(promise_base& frame) noexcept {
    note_awaited(frame);
    if (frame.owner->cancelled()) {
        interrupted_ = true;
        return executor::current().answered_at_once(frame);
    }
    wait_in(of_.waiters_, frame);
    lock_.unlock();
    return true;
}

void condition::wait_op::cancel(cancel_reason) noexcept {
    if (phase_ == phase::lock) return;  // notified, so it succeeds; and the lock must be had
    interrupted_ = true;
    unlink();
    want_lock();
}

void condition::wait_op::want_lock() noexcept {
    OURO_ASSERT(phase_ == phase::notification && !linked());
    phase_ = phase::lock;
    if (lock_.take())
        resume();
    else
        move_to(lock_.waiters_);
}

void condition::wait_op::describe(leaf_description& into) const {
    into.text(phase_ == phase::lock ? "condition, for its mutex" : "condition");
}

void condition::notify_one() noexcept {
    if (!waiters_.empty()) waiters_.take_front<wait_op>().want_lock();
}

}  // namespace ouro
