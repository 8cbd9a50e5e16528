#include <ouro/runtime/scope.hpp>

#include <ouro/runtime/check.hpp>

namespace ouro {

void scope::cancel() noexcept {
    if (asked_to_stop_) return;
    asked_to_stop_ = true;
    for_each_member([&](root_task& member) {
        if (&member != body_) member.cancel(cancel_reason::user);
    });
}

cancel_reason scope::why_stop() const noexcept {
    if (failure_) return cancel_reason::sibling;
    return asked_to_stop_ ? cancel_reason::user : home_.reason();
}

void scope::fail(std::exception_ptr why) noexcept {
    if (failure_) return;
    failure_ = std::move(why);
    cancel_members(cancel_reason::sibling);
}

void scope::member_ended(root_task& member) noexcept {
    const bool was_body = body_ == &member;
    OURO_ASSERT((was_body || children_ > 0) && "scope: more tasks have ended than were begun");
    if (was_body)
        body_ = nullptr;
    else
        --children_;
    auto failure = member.failure();
    if (!failure) return;
    // Who was asked to stop by the program, and did, has not failed. When the whole scope was
    // asked, however, its work is not complete.
    const bool asked = !was_body && member.cancelled() && !home_.cancelled();
    if (asked && is_cancellation(failure)) return;
    fail(std::move(failure));
}

}  // namespace ouro
