// mutex.hpp: one task at a time; the lock is handed to whoever has waited longest.
#pragma once

#include <ouro/runtime/sync/holding.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

namespace ouro {

/// Mutual exclusion across awaits. Code that does not await in between needs none: tasks of one
/// worker never run at the same time.
///
///     auto held = co_await state_lock.lock();
///     … co_await anything …                    // nobody else is in here
///
/// Worker-local. Released locks go straight to the oldest waiter, so a newcomer never overtakes.
/// Not recursive. Destroying a mutex that is locked is a bug.
class mutex {
public:
    class guard;
    class lock_op;

    mutex() noexcept = default;
    ~mutex() {
        OURO_ASSERT(!locked_ && "mutex: a locked mutex is destroyed: let its guard die first");
    }

    /// Waits for the lock and yields a guard. Throws errc::cancelled; a cancelled waiter does not
    /// hold the lock.
    lock_op lock() noexcept;

    /// A guard that holds the lock, or an empty one.
    [[nodiscard]] guard try_lock() noexcept;

    bool locked() const noexcept { return locked_; }

private:
    friend class condition;

    struct share {
        static void give_back(mutex& of) noexcept { of.unlock(); }
    };

    bool take() noexcept {
        if (locked_) return false;
        locked_ = true;
        return true;
    }

    void unlock() noexcept {
        OURO_ASSERT(locked_);
        if (waiters_.empty())
            locked_ = false;
        else
            waiters_.wake_one();  // it is locked for the one who wakes
    }

    bool locked_ = false;  // false only while waiters_ is empty
    wait_list waiters_;
};

/// Holds the lock of a mutex until it dies or `unlock()` is called.
class [[nodiscard]] mutex::guard : public holding<mutex, share> {
public:
    /// Holds nothing.
    guard() noexcept = default;

    /// Gives the lock back before the guard dies.
    void unlock() noexcept {
        OURO_ASSERT(*this && "mutex: unlocked by a guard that holds nothing");
        give_back();
    }

private:
    friend class mutex;
    friend class condition;

    explicit guard(mutex& of) noexcept : holding(of) {}
};

/// Waits for the lock; see mutex::lock.
class [[nodiscard, gnu::warn_unused]] mutex::lock_op final : public sync_op<lock_op, guard> {
public:
    explicit lock_op(mutex& of) noexcept : sync_op("mutex"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.take(); }
    wait_list& queue() noexcept { return of_.waiters_; }
    guard value() noexcept { return guard(of_); }

    mutex& of_;
};

inline mutex::lock_op mutex::lock() noexcept { return lock_op(*this); }

inline mutex::guard mutex::try_lock() noexcept { return take() ? guard(*this) : guard(); }

}  // namespace ouro
