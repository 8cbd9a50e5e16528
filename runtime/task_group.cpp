#include <ouro/runtime/task_group.hpp>

#include <ouro/runtime/check.hpp>

namespace ouro {

void task_group::cancel_members(cancel_reason reason) noexcept {
    members_.for_each([&](root_task& member) { member.cancel(reason); });
}

bool task_group::wait_for_members(promise_base& frame) noexcept {
    if (members_.empty()) return false;
    const chain& waiting = *frame.owner;
    wait_regardless(frame);
    if (waiting.cancelled()) cancel_members(waiting.reason());
    return true;
}

void task_group::task_ended(root_task& member) noexcept {
    OURO_ASSERT(member.owner() == this && member.finished());
    member.unlink();
    member_ended(member);
    if (members_.empty() && waiting()) resume();
}

void task_group::describe(leaf_description& into) const {
    into.text(what_);
    members_.for_each([&](root_task& member) { into.child(member); });
}

bool is_cancellation(const std::exception_ptr& failure) noexcept {
    try {
        std::rethrow_exception(failure);
    } catch (const std::system_error& error) {
        return error.code() == errc::cancelled;
    } catch (...) {
        return false;
    }
}

}  // namespace ouro
