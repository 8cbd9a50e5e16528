// sleep.hpp: waiting for time to pass.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/task.hpp>

namespace ouro {

/// A sleep; made by sleep_for and sleep_until. Lives in the awaiting frame, allocates nothing.
class [[nodiscard, gnu::warn_unused]] sleep_await final : public leaf, private timer {
public:
    explicit sleep_await(time_point until) noexcept : until_(until) {}
    ~sleep_await() { assert_awaited("sleep"); }

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
    void fire() noexcept override { resume(); }

    time_point until_;
    bool cancelled_ = false;
};

/// Resumes at `until` or up to 100 us later, never earlier; at the next turn if it has passed.
/// Throws errc::cancelled.
inline sleep_await sleep_until(time_point until) noexcept { return sleep_await(until); }

/// Resumes `length` from now; see sleep_until.
inline sleep_await sleep_for(duration length) noexcept {
    return sleep_await(after(clock::exact_now(), length));
}

}  // namespace ouro
