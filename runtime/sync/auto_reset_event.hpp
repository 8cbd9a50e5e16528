// auto_reset_event.hpp: a signal that one waiter takes; kept until then.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <utility>

namespace ouro {

/// A signal for one: `set()` wakes the oldest waiter or, when nobody waits, is kept for the next.
/// Several signals that nobody waited for are one. (tokio: Notify.)
///
/// Worker-local. Destroying it while somebody waits is a bug.
class auto_reset_event {
public:
    class wait_op;

    explicit auto_reset_event(bool is_set = false) noexcept : set_(is_set) {}

    /// Wakes the oldest waiter, or is kept. A waiter that was woken has taken the signal, also
    /// when it is cancelled before it runs.
    void set() noexcept {
        if (waiters_.empty()) {
            set_ = true;
            return;
        }
        OURO_ASSERT(!set_ && "auto_reset_event: somebody waits for a signal that is kept");
        waiters_.wake_one();
    }

    /// Wakes all who wait now; keeps nothing.
    void set_all() noexcept { waiters_.wake_all(); }

    /// Drops a kept signal.
    void reset() noexcept { set_ = false; }

    /// Whether a signal is kept.
    bool is_set() const noexcept { return set_; }

    /// Takes the kept signal, or waits for the next. Throws errc::cancelled.
    wait_op wait() noexcept;

private:
    bool set_;
    wait_list waiters_;  // empty while set_
};

/// Waits for a signal; see auto_reset_event::wait.
class [[nodiscard, gnu::warn_unused]] auto_reset_event::wait_op final
    : public sync_op<wait_op, void> {
public:
    explicit wait_op(auto_reset_event& of) noexcept : sync_op("auto_reset_event"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept { return std::exchange(of_.set_, false); }
    wait_list& queue() noexcept { return of_.waiters_; }
    void value() noexcept {}

    auto_reset_event& of_;
};

inline auto_reset_event::wait_op auto_reset_event::wait() noexcept { return wait_op(*this); }

}  // namespace ouro
