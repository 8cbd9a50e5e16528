// semaphore.hpp: counts permits; waiters are served in arrival order.
#pragma once

#include <ouro/runtime/sync/holding.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>
#include <limits>

namespace ouro {

/// Limits how many tasks hold a permit at once.
///
///     auto permit = co_await connections.acquire();   // given back when it dies
///
/// Worker-local. Released permits go straight to the oldest waiter, so a newcomer never overtakes
/// it, and one that wants many is not starved by those that want few. Destroying a semaphore that
/// has waiters is a bug.
class semaphore {
public:
    class permit;
    class acquire_op;

    explicit semaphore(std::size_t permits) noexcept : free_(permits) {}

    /// Waits for `count` permits and yields them as one object. Throws errc::cancelled, and
    /// errc::closed after close(); then none were taken.
    acquire_op acquire(std::size_t count = 1) noexcept;

    /// `count` permits now, or an empty object: when there are too few, somebody waits, or the
    /// semaphore is closed.
    [[nodiscard]] permit try_acquire(std::size_t count = 1) noexcept;

    /// Adds permits. Those that acquire() yields are given back by their destructor; this is for
    /// new ones, and for those that were kept with permit::forget().
    void release(std::size_t count = 1) noexcept {
        OURO_ASSERT(count <= std::numeric_limits<std::size_t>::max() - free_ &&
                    "semaphore: more permits than can be counted");
        free_ += count;
        if (!waiters_.empty()) grant();
    }

    /// Nobody gets a permit any more: who waits, and who comes later, is told errc::closed.
    /// Permits that are out stay valid.
    void close() noexcept {
        closed_ = true;
        waiters_.wake_all(errc::closed);
    }

    bool closed() const noexcept { return closed_; }
    /// Permits that nobody holds. Not zero while the oldest waiter wants more than that.
    std::size_t available() const noexcept { return free_; }

private:
    struct share {
        void give_back(semaphore& of) const noexcept { of.release(count); }
        std::size_t count = 0;
    };

    bool take(std::size_t count) noexcept {
        if (!waiters_.empty() || count > free_) return false;
        free_ -= count;
        return true;
    }

    void grant() noexcept;

    std::size_t free_;
    bool closed_ = false;
    wait_list waiters_;  // the oldest of them wants more than free_
};

/// Permits of a semaphore; gives them back when it dies.
class [[nodiscard]] semaphore::permit : public holding<semaphore, share> {
public:
    /// Holds nothing.
    permit() noexcept = default;

    std::size_t count() const noexcept { return *this ? share().count : 0; }

    /// Gives them back now.
    void release() noexcept {
        OURO_ASSERT(*this && "semaphore: released by a permit that holds nothing");
        give_back();
    }

    /// Keeps them out without an owner; semaphore::release brings them back.
    void forget() noexcept {
        if (*this) let_go();
    }

private:
    friend class semaphore;

    permit(semaphore& of, std::size_t count) noexcept : holding(of, {count}) {}
};

/// Waits for permits; see semaphore::acquire.
class [[nodiscard, gnu::warn_unused]] semaphore::acquire_op final
    : public sync_op<acquire_op, permit> {
public:
    acquire_op(semaphore& of, std::size_t count) noexcept
        : sync_op("semaphore"), of_(of), count_(count) {}

private:
    friend sync_op;
    friend class semaphore;

    bool attempt() noexcept {
        if (!of_.closed_) return of_.take(count_);
        fail(errc::closed);
        return true;
    }
    wait_list& queue() noexcept { return of_.waiters_; }
    permit value() noexcept { return permit(of_, count_); }
    void left() noexcept override { of_.grant(); }

    semaphore& of_;
    std::size_t count_;
};

inline semaphore::acquire_op semaphore::acquire(std::size_t count) noexcept {
    return acquire_op(*this, count);
}

inline semaphore::permit semaphore::try_acquire(std::size_t count) noexcept {
    return !closed_ && take(count) ? permit(*this, count) : permit();
}

}  // namespace ouro
