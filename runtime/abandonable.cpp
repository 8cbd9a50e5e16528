#include <ouro/runtime/abandonable.hpp>

#include <ouro/runtime/check.hpp>

namespace ouro {

bool abandonable_leaf::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        refused_ = errc::cancelled;
        return false;
    }
    job_->waiter_ = this;
    const auto taken = submit_blocking(*job_);
    if (taken) return true;
    unwait();
    refused_ = taken.error();
    return false;
}

void abandonable_leaf::cancel(cancel_reason) noexcept {
    OURO_ASSERT(job_ && !refused_);
    const parting how = leave_blocking(*job_);
    if (how == parting::too_late) return;  // its outcome is on the way
    if (how == parting::left_to_thread) static_cast<void>(job_.release());
    refused_ = errc::cancelled;
    resume();
}

void abandonable_leaf::describe(leaf_description& into) const {
    into.text(job_ && job_->lane() == blocking_lane::lookups ? "name lookup" : "blocking call");
}

}  // namespace ouro
