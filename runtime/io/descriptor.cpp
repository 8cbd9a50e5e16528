#include <ouro/runtime/io/descriptor.hpp>

#include <ouro/runtime/executor.hpp>
#include <ouro/runtime/io/op.hpp>

namespace ouro {

void descriptor::close() noexcept {
    if (heir_) bequeath();
    OURO_ASSERT(idle());
    waiter_ = nullptr;
    if (!is_open()) return;
    leases_.forget();
    executor::current("a socket or file").io().close(std::exchange(number_, -1));
}

void descriptor::bequeath() noexcept {
    leases_.forget();
    writing_ = nullptr;
    std::exchange(heir_, nullptr)->inherit(std::exchange(number_, -1));
}

int descriptor::release() noexcept {
    OURO_ASSERT(idle());
    if (is_open()) executor::current("a socket or file").io().forget(number_);
    return std::exchange(number_, -1);
}

void descriptor::begin_close(idle_waiter& waiter) noexcept {
    OURO_ASSERT(!idle() && !closing());
    // Each may end within its call, and the last one ends the waiting.
    op* const writing = writing_;
    waiter_ = &waiter;
    if (reading_) reading_->stop();
    if (writing && writing == writing_) writing->stop();
}

void descriptor::operation_ended() noexcept {
    if (idle()) waiter_->became_idle();
}

}  // namespace ouro
