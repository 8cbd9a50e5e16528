// event.hpp: something that has happened, or has not; everybody who waits goes on when it has.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

namespace ouro {

/// A flag that tasks can wait for; stays up until reset().
///
/// Worker-local. Destroying an event that has waiters is a bug.
class event {
public:
    class wait_op;

    explicit event(bool is_set = false) noexcept : set_(is_set) {}

    /// Raises the flag and wakes all who wait, oldest first. They go on even when it is lowered
    /// again before they run.
    void set() noexcept {
        set_ = true;
        waiters_.wake_all();
    }

    /// Lowers the flag.
    void reset() noexcept { set_ = false; }

    bool is_set() const noexcept { return set_; }

    /// Returns when the flag is up. Throws errc::cancelled.
    wait_op wait() noexcept;

private:
    bool set_;
    wait_list waiters_;  // empty while set_
};

/// Waits for the flag; see event::wait.
class [[nodiscard, gnu::warn_unused]] event::wait_op final : public sync_op<wait_op, void> {
public:
    explicit wait_op(event& of) noexcept : sync_op("event"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.set_; }
    wait_list& queue() noexcept { return of_.waiters_; }
    void value() noexcept {}

    event& of_;
};

inline event::wait_op event::wait() noexcept { return wait_op(*this); }

}  // namespace ouro
