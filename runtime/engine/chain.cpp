#include <ouro/runtime/engine/chain.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdio>
#include <exception>

namespace ouro {

const char* to_string(cancel_reason reason) noexcept {
    switch (reason) {
        case cancel_reason::none: return "none";
        case cancel_reason::user: return "user";
        case cancel_reason::timeout: return "timeout";
        case cancel_reason::shutdown: return "shutdown";
        case cancel_reason::sibling: return "sibling";
    }
    return "?";
}

chain::chain(chain* parent) noexcept : parent_(parent) {
    if (parent) deadline_ = parent->deadline_;
}

void chain::cancel(cancel_reason reason) noexcept {
    OURO_ASSERT(reason != cancel_reason::none);
    if (cancelled()) return;
    reason_ = reason;
    if (leaf_) leaf_->cancel(reason);
}

void chain::ended() noexcept { OURO_ASSERT(!"a chain without an owner ended"); }

bool give_way_if_cancelled(promise_base& frame) noexcept {
    if (!frame.owner->cancelled()) return false;
    return executor::current().answered_at_once(frame);
}

bool leaf::wait(promise_base& frame) noexcept {
    frame_ = &frame;
    if (frame.owner->cancelled()) return false;
    wait_regardless(frame);
    return true;
}

void leaf::wait_regardless(promise_base& frame) noexcept {
    OURO_ASSERT(!waiting() && "an operation is awaited by one task at a time: make one for each");
    OURO_ASSERT(frame.owner->leaf_ == nullptr);
    chain_ = frame.owner;
    frame_ = &frame;
    chain_->leaf_ = this;
}

void never_awaited(const char* what) noexcept {
    if (std::uncaught_exceptions() > 0) return;
    char text[200];
    std::snprintf(text, sizeof text,
                  "%s: an operation was made and never awaited, so it did nothing: co_await it in "
                  "the expression that makes it",
                  what);
    assertion_failed(text, __FILE__, __LINE__);
}

bool lambda_place::in_arguments_of(const std::source_location& call) const noexcept {
    if (line == 0 || file != call.file_name()) return false;
    if (line == call.line()) return column > call.column();
    return line == call.line() + 1;  // the arguments stand on a line of their own
}

void leaf::unwait() noexcept {
    OURO_ASSERT(chain_ && chain_->leaf_ == this);
    chain_->leaf_ = nullptr;
    chain_ = nullptr;
}

bool leaf::answered_at_once() noexcept {
    unwait();
    return executor::current().answered_at_once(*frame_);
}

void leaf::resume() noexcept {
    unwait();
    executor::current().make_ready(*frame_);
}

}  // namespace ouro
