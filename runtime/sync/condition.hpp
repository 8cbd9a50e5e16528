// condition.hpp: waiting, with a mutex let go of meanwhile, until what it protects has changed.
#pragma once

#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstdint>

namespace ouro {

/// A condition variable for ouro::mutex.
///
///     auto held = co_await lock.lock();
///     co_await changed.wait(held, [&] { return !jobs.empty(); });
///
/// Worker-local. There are no spurious wake-ups, but between the notification and the moment the
/// lock is held again another task may have held it: pass the predicate. Destroying a condition
/// that has waiters is a bug.
class condition {
public:
    class wait_op;

    /// Lets go of the lock, waits for a notification, and returns once the lock is held again.
    ///
    /// The lock is held when it ends, however it ends. So a cancelled wait leaves the condition at
    /// once but throws errc::cancelled only when its turn for the lock has come. A waiter that was
    /// notified first succeeds, so a notification is never lost. In a chain that was asked to stop
    /// before, it is refused without letting go of the lock. `held` must hold its lock, and stay
    /// where it is.
    wait_op wait(mutex::guard& held) noexcept;

    /// Waits until `done()`, called with the lock held, answers true. `done` is copied.
    template <class Predicate>
    task<> wait(mutex::guard& held, Predicate done);

    /// Wakes the waiter that came first; nobody when nobody waits.
    void notify_one() noexcept;

    /// Wakes all who wait now.
    void notify_all() noexcept {
        while (!waiters_.empty()) notify_one();
    }

private:
    wait_list waiters_;
};

/// Waits for a notification, then for the lock; see condition::wait.
class [[nodiscard, gnu::warn_unused]] condition::wait_op final : public waiter {
public:
    wait_op(condition& of, mutex::guard& held) noexcept
        : waiter("condition"), of_(of), lock_(held.of()) {}
    ~wait_op() { assert_awaited(what()); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    void await_resume() const {
        if (interrupted_) throw_error(errc::cancelled);
    }
    result<void> await_result() const noexcept {
        return interrupted_ ? result<void>(errc::cancelled) : result<void>();
    }

    void describe(leaf_description& into) const override;

private:
    friend class condition;

    // It is in the list of the condition first, in that of the mutex then.
    enum class phase : std::uint8_t { notification, lock };

    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    /// Out of the condition's list: takes the lock, or queues for it.
    void want_lock() noexcept;

    condition& of_;
    mutex& lock_;
    phase phase_ = phase::notification;
    bool interrupted_ = false;
};

inline condition::wait_op condition::wait(mutex::guard& held) noexcept {
    OURO_ASSERT(
        held &&
        "condition: waited for without the lock: a condition is waited for with the lock held");
    return wait_op(*this, held);
}

template <class Predicate>
task<> condition::wait(mutex::guard& held, Predicate done) {
    if (executor::current().running()->owner->cancelled()) throw_error(errc::cancelled);
    while (!done()) co_await wait(held);
}

}  // namespace ouro
