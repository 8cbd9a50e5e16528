#include <ouro/runtime/timeout.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/duration_text.hpp>

namespace ouro {

void inner_chain::enter(promise_base& frame) noexcept {
    chain& outer = *frame.owner;
    wait_regardless(frame);
    below_.emplace(&outer);
    if (outer.cancelled() && kind_ == kind::timeout) below_->cancel(outer.reason());
    frame.owner = &*below_;
}

void inner_chain::leave() noexcept {
    OURO_ASSERT(below_ && frame()->owner == &*below_);
    OURO_ASSERT(below_->waiting_for() == nullptr);
    frame()->owner = waiting_chain();
    unwait();
}

void inner_chain::cancel(cancel_reason reason) noexcept {
    if (kind_ == kind::timeout) below_->cancel(reason);
}

void inner_chain::describe(leaf_description& into) const {
    into.text(kind_ == kind::shield
                  ? "shield"
                  : "timeout, " + duration_text(below_->deadline() - clock::now()) + " left");
    into.child(*below_);
}

time_point current_deadline() noexcept {
    const promise_base* running = executor::current().running();
    return running ? running->owner->deadline() : time_point::max();
}

cancel_reason current_cancellation() noexcept {
    const promise_base* running = executor::current().running();
    return running ? running->owner->reason() : cancel_reason::none;
}

}  // namespace ouro
