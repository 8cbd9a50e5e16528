#include <ouro/runtime/time/interval.hpp>

namespace ouro {

sleep_await interval::tick() noexcept {
    const time_point now = clock::exact_now();
    const time_point due = next_;
    if (now <= due || policy_ == missed_tick::burst) {
        next_ = after(due, period_);
    } else if (policy_ == missed_tick::delay) {
        next_ = after(now, period_);
    } else {
        const auto missed = (now - due) / period_;
        next_ = after(due, period_ * (missed + 1));
    }
    return sleep_until(due);
}

}  // namespace ouro
