#include <ouro/runtime/blocking.hpp>

namespace ouro {

bool blocking_leaf::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        refused_ = errc::cancelled;
        return false;
    }
    const auto taken = submit_blocking(*this);
    if (taken) return true;
    unwait();
    refused_ = taken.error();
    return false;
}

void blocking_leaf::cancel(cancel_reason) noexcept {
    if (!withdraw_blocking(*this)) {
        request_stop();
        return;
    }
    refused_ = errc::cancelled;
    resume();
}

void blocking_leaf::check() const {
    if (refused_) throw_error(refused_);
}

void blocking_leaf::describe(leaf_description& into) const { into.text("blocking call"); }

}  // namespace ouro
