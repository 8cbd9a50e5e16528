#include <ouro/runtime/combine.hpp>

namespace ouro {

void branch_group::member_ended(root_task& member) noexcept {
    const bool first = winner_ == nullptr;
    if (first) winner_ = &member;
    if (goal_ == until::first_ended) {
        if (!first) return;
        failure_ = member.failure();
        cancel_members(cancel_reason::sibling);
    } else if (!failure_) {
        failure_ = member.failure();
        if (failure_) cancel_members(cancel_reason::sibling);
    }
}

void branch_group::rethrow_failure() const {
    if (interrupted_) throw_error(errc::cancelled);
    if (failure_) std::rethrow_exception(failure_);
}

}  // namespace ouro
