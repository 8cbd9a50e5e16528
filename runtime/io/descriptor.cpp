#include <ouro/runtime/io/descriptor.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/op.hpp>

#include <cstdio>

namespace ouro {

void descriptor::close() noexcept {
    if (heir_) bequeath();
    if (const int number = give_up(); number >= 0)
        executor::current("a socket or file").io().close(number);
}

void descriptor::close_at_once() noexcept {
    if (const int number = give_up(); number >= 0)
        executor::current("a socket or file").io().close_at_once(number);
}

int descriptor::give_up() noexcept {
    if (!idle())
        misused(
            "closed or destroyed while a task sends or receives on it: co_await close(), or "
            "end that task first");
    OURO_ASSERT(heir_ == nullptr);
    waiter_ = nullptr;
    if (!is_open()) return -1;
    if (!at_home()) misused("closed on another worker than its own: release() there, adopt() here");
    leases_.forget();
    const int number = std::exchange(number_, -1);
    if (!through_) return number;
    auto through = std::move(through_);
    passage& way = *through;
    return way.leave(number, through) ? -1 : number;
}

void descriptor::bequeath() noexcept {
    OURO_ASSERT(writing_ && is_open());
    leases_.forget();
    writing_ = nullptr;
    std::exchange(heir_, nullptr)->inherit(std::exchange(number_, -1), std::move(through_));
}

void close_inherited(int number, std::unique_ptr<passage> through) noexcept {
    if (through && through->leave(number, through)) return;
    executor::current().io().close(number);
}

int descriptor::release() noexcept {
    if (!idle()) misused("released while a task sends or receives on it: end that task first");
    if (!is_open()) return -1;
    if (!at_home()) misused("released on another worker than its own");
    if (through_ && !through_->is_idle())
        misused("released while its layer still sends: close it, which waits for that");
    leases_.forget();
    through_.reset();
    executor::current("a socket or file").io().forget(number_);
    return std::exchange(number_, -1);
}

void descriptor::misused(const char* how) const noexcept {
    char text[200];
    std::snprintf(text, sizeof text, "stream, socket or file %d: %s", number_, how);
    assertion_failed(text, __FILE__, __LINE__);
}

void descriptor::begin_close(idle_waiter& waiter) noexcept {
    OURO_ASSERT(!idle());
    if (closing()) misused("a second task closes it while one does: let one");
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
