#include <ouro/runtime/combine.hpp>

namespace ouro {

void branch_group::member_ended(root_task& member) noexcept {
    if (goal_ == until::first_ended)
        race_ended(member);
    else if (!failure_) {
        failure_ = member.failure();
        if (failure_) cancel_members(cancel_reason::sibling);
    }
}

void branch_group::race_ended(root_task& member) noexcept {
    if (winner_ && !winner_gave_up_) return;
    auto failure = member.failure();
    const bool gave_up = failure && member.cancelled() && is_cancellation(failure);
    if (winner_ && gave_up) return;
    // The first; or, after all were asked to stop, the first that had something to say.
    winner_ = &member;
    winner_gave_up_ = gave_up;
    failure_ = std::move(failure);
    cancel_members(cancel_reason::sibling);
}

void branch_group::rethrow_failure() const {
    if (interrupted_) throw_error(errc::cancelled);
    if (failure_) std::rethrow_exception(failure_);
}

}  // namespace ouro
