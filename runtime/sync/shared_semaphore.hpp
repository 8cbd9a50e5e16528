// shared_semaphore.hpp: counts permits across workers and threads; served in arrival order.
#pragma once

#include <ouro/runtime/sync/holding.hpp>
#include <ouro/runtime/sync/shared_waiter.hpp>

#include <cstddef>
#include <mutex>

namespace ouro {

/// Limits how many tasks and threads hold a permit at once, on whatever worker they are.
///
///     auto permit = co_await downloads.acquire();   // given back when it dies
///
/// Every call is allowed from any thread; waiting tasks go on on their own worker. Released permits
/// go straight to the oldest waiter, so a newcomer never overtakes it, and one that wants many is
/// not starved by those that want few. Nothing is allocated. Within one worker, `semaphore` does
/// the same without a lock. Destroying one that has waiters is a bug.
class shared_semaphore {
public:
    class permit;
    class acquire_op;

    explicit shared_semaphore(std::size_t permits) noexcept : free_(permits) {}

    /// Waits for `count` permits and yields them as one object. Throws errc::cancelled, and
    /// errc::closed after close(); then none were taken.
    acquire_op acquire(std::size_t count = 1) noexcept;

    /// `count` permits now, or an empty object: when there are too few, somebody waits, or the
    /// semaphore is closed.
    [[nodiscard]] permit try_acquire(std::size_t count = 1) noexcept;

    /// acquire() for plain threads and for calls inside blocking(): blocks the calling thread. An
    /// empty object after close(). Not on a worker.
    [[nodiscard]] permit acquire_blocking(std::size_t count = 1) noexcept;

    /// Adds permits. Those that acquire() yields are given back by their destructor; this is for
    /// new ones, and for those that were kept with permit::forget().
    void release(std::size_t count = 1) noexcept;

    /// Nobody gets a permit any more: who waits, and who comes later, is told errc::closed.
    /// Permits that are out stay valid.
    void close() noexcept;

    /// Permits that nobody holds, at this moment.
    std::size_t available() const noexcept;

private:
    struct share {
        void give_back(shared_semaphore& of) const noexcept { of.release(count); }
        std::size_t count = 0;
    };

    bool take(std::size_t count) noexcept;
    void grant(shared_wait_list& woken) noexcept;

    mutable std::mutex lock_;  // guards everything below
    std::size_t free_;
    bool closed_ = false;
    shared_wait_list waiters_;  // the oldest of them wants more than free_
};

/// Permits of a shared_semaphore; gives them back when it dies, on whatever thread.
class [[nodiscard]] shared_semaphore::permit : public holding<shared_semaphore, share> {
public:
    /// Holds nothing.
    permit() noexcept = default;

    std::size_t count() const noexcept { return *this ? share().count : 0; }

    /// Gives them back now.
    void release() noexcept {
        OURO_ASSERT(*this && "shared_semaphore: released by a permit that holds nothing");
        give_back();
    }

    /// Keeps them out without an owner; shared_semaphore::release brings them back.
    void forget() noexcept {
        if (*this) let_go();
    }

private:
    friend class shared_semaphore;

    permit(shared_semaphore& of, std::size_t count) noexcept : holding(of, {count}) {}
};

/// Waits for permits; see shared_semaphore::acquire.
class [[nodiscard, gnu::warn_unused]] shared_semaphore::acquire_op final
    : public shared_op<acquire_op, permit> {
public:
    acquire_op(shared_semaphore& of, std::size_t count) noexcept
        : shared_op("shared_semaphore", &count_), of_(of), count_(count) {}

private:
    friend shared_op;

    std::mutex& lock() noexcept { return of_.lock_; }
    bool attempt(shared_wait_list&) noexcept {
        if (!of_.closed_) return of_.take(count_);
        fail(errc::closed);
        return true;
    }
    shared_wait_list& queue() noexcept { return of_.waiters_; }
    void left(shared_wait_list& woken) noexcept { of_.grant(woken); }
    permit value() noexcept { return permit(of_, count_); }

    shared_semaphore& of_;
    std::size_t count_;
};

inline shared_semaphore::acquire_op shared_semaphore::acquire(std::size_t count) noexcept {
    return acquire_op(*this, count);
}

}  // namespace ouro
