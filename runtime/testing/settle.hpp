// settle.hpp: waiting until everybody else waits.
#pragma once

#include <ouro/runtime/engine/turn_end.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>

namespace ouro {

/// Waits until nothing else can go on by itself; made by settle().
class [[nodiscard, gnu::warn_unused]] settle_await final : public leaf, private flusher {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    void await_resume() const {
        if (cancelled_) throw_error(errc::cancelled);
    }
    result<void> await_result() const noexcept {
        return cancelled_ ? result<void>(errc::cancelled) : result<void>();
    }

    void describe(leaf_description& into) const override;

private:
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void flush() noexcept override;

    int quiet_turns_ = 0;
    std::uint64_t happened_ = 0;  // in the simulated world, when it last looked
    bool cancelled_ = false;
};

/// `co_await settle();` in a test: resumes when every other task of this worker waits and nothing
/// is on its way to them that needs no time.
///
/// In simulation that is exact: no frame is ready, no operation can complete, no event is due at
/// this moment of the virtual clock, which does not move, and a whole turn has passed in which
/// nothing happened. On a real reactor it is a best effort:
/// many turns of the loop in a row made nothing ready; what the kernel still delays (another host,
/// a helper thread) is not waited for. Several tasks that settle at once go on one after the other.
inline settle_await settle() noexcept { return {}; }

}  // namespace ouro
