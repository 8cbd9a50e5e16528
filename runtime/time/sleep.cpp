#include <ouro/runtime/time/sleep.hpp>

#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/engine/executor.hpp>

namespace ouro {

bool sleep_await::suspend(promise_base& frame) noexcept {
    cancelled_ = !wait(frame);
    if (cancelled_) return false;
    executor::current().timers().arm(*this, until_.time_since_epoch().count());
    return true;
}

void sleep_await::cancel(cancel_reason) noexcept {
    executor::current().timers().disarm(*this);
    cancelled_ = true;
    resume();
}

void sleep_await::describe(leaf_description& into) const {
    into.text("sleep, " + duration_text(until_ - clock::now()) + " left");
}

}  // namespace ouro
