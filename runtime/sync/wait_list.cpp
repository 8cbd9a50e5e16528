#include <ouro/runtime/sync/wait_list.hpp>

namespace ouro {

void waiter::suspend(wait_list& queue, promise_base& frame) noexcept {
    OURO_ASSERT(executor::current().running() == &frame);
    if (state_ == state::answered) {
        executor::current().make_ready(frame);
    } else {
        state_ = state::awaited;
        wait_in(queue, frame);
    }
}

void waiter::cancel(cancel_reason) noexcept {
    unlink();
    error_ = errc::cancelled;
    resume();
    left();
}

void wait_list::wake_one(errc error) noexcept {
    waiter& oldest = take_front<waiter>();
    oldest.error_ = error;
    oldest.resume();
}

void waiter::describe(leaf_description& into) const { into.text(what_); }

}  // namespace ouro
