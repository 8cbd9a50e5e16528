#include <ouro/runtime/sync/shared_oneshot.hpp>

namespace ouro {

bool shared_oneshot_state::leave_open(state next) noexcept {
    const state before = state_.exchange(next, std::memory_order_acq_rel);
    OURO_ASSERT(before != state::full && before != state::closed);
    if (before == state::waiting) waiter_->wake();
    return before != state::taken;
}

bool shared_oneshot_state::begin_wait(shared_waiter& waiter) noexcept {
    waiter_ = &waiter;
    state expected = state::open;
    return state_.compare_exchange_strong(expected, state::waiting, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
}

bool shared_oneshot_state::end_wait() noexcept {
    state expected = state::waiting;
    return state_.compare_exchange_strong(expected, state::open, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
}

bool shared_oneshot_state::take() noexcept {
    const state before = state_.exchange(state::taken, std::memory_order_acq_rel);
    OURO_ASSERT(before != state::waiting &&
                "shared_oneshot: destroyed while somebody waits on it: end that task first");
    return before == state::full;
}

}  // namespace ouro
