// close.hpp: closing a descriptor on which operations may be in flight.
#pragma once

#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

namespace ouro {

/// Asks the operations in flight to stop, waits until they have ended, and closes.
///
/// When it resumes the descriptor is closed: its number and its address may be taken again, and the
/// peer has been told.
///
/// Closing must not be refused, so it also works in a chain that was cancelled; it is as quick as
/// the operations are to end. A descriptor that is not open stays so. One closes at a time.
class [[nodiscard, gnu::warn_unused]] close_op final : public leaf, private idle_waiter {
public:
    explicit close_op(descriptor& on) noexcept : on_(on) {}
    ~close_op() { assert_awaited("close"); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        note_awaited(by.promise());
        if (on_.idle()) return false;
        wait_regardless(by.promise());
        on_.begin_close(*this);
        return true;
    }
    void await_resume() noexcept { on_.close_at_once(); }
    result<void> await_result() noexcept {
        on_.close_at_once();
        return {};
    }

    void describe(leaf_description& into) const override;

private:
    void cancel(cancel_reason) noexcept override {}
    void became_idle() noexcept override { resume(); }

    descriptor& on_;
};

}  // namespace ouro
