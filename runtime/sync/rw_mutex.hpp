// rw_mutex.hpp: many readers or one writer, in the order of their arrival.
#pragma once

#include <ouro/runtime/sync/holding.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>

namespace ouro {

/// A lock that any number of readers hold together, or one writer alone.
///
/// Worker-local; needed only where a holder awaits. Strictly first come, first served: a reader
/// that comes after a waiting writer waits behind it, so neither side starves. A task that holds
/// it as a reader must therefore not ask for it again. Destroying it while held is a bug.
class rw_mutex {
public:
    class guard;
    class shared_guard;
    class lock_op;
    class lock_shared_op;

    rw_mutex() noexcept = default;
    ~rw_mutex() {
        OURO_ASSERT(!written_ && readers_ == 0 &&
                    "rw_mutex: a held lock is destroyed: let its guards die first");
    }

    /// Waits until nobody holds it, and yields a guard. Throws errc::cancelled.
    lock_op lock() noexcept;

    /// Waits until no writer holds it or came before, and yields a guard. Throws errc::cancelled.
    lock_shared_op lock_shared() noexcept;

    /// A guard that holds the lock, or an empty one.
    [[nodiscard]] guard try_lock() noexcept;
    [[nodiscard]] shared_guard try_lock_shared() noexcept;

    /// Whether a writer holds it.
    bool locked() const noexcept { return written_; }
    /// Readers that hold it.
    std::size_t readers() const noexcept { return readers_; }

private:
    class turn;

    struct whole {
        static void give_back(rw_mutex& of) noexcept { of.unlock(); }
    };
    struct share {
        static void give_back(rw_mutex& of) noexcept { of.unlock_shared(); }
    };

    bool take() noexcept {
        if (written_ || readers_ > 0) return false;
        written_ = true;
        return true;
    }
    bool take_shared() noexcept {
        if (written_ || !waiters_.empty()) return false;
        ++readers_;
        return true;
    }
    void unlock() noexcept {
        OURO_ASSERT(written_ && readers_ == 0);
        written_ = false;
        admit();
    }
    void unlock_shared() noexcept {
        OURO_ASSERT(readers_ > 0 && !written_);
        --readers_;
        admit();
    }

    /// Lets in who can come in now: one writer, or readers up to the next writer.
    void admit() noexcept;

    std::size_t readers_ = 0;
    bool written_ = false;  // then there are no readers
    wait_list waiters_;     // while there are any, the oldest cannot come in
};

/// Holds a rw_mutex as its writer.
class [[nodiscard]] rw_mutex::guard : public holding<rw_mutex, whole> {
public:
    /// Holds nothing.
    guard() noexcept = default;

    /// Gives the lock back before the guard dies.
    void unlock() noexcept {
        OURO_ASSERT(*this && "rw_mutex: unlocked by a guard that holds nothing");
        give_back();
    }

    /// Goes on as a reader, without a moment in which another writer could come in. Readers that
    /// wait at the front come in, too.
    shared_guard downgrade() noexcept;

private:
    friend class rw_mutex;

    explicit guard(rw_mutex& of) noexcept : holding(of) {}
};

/// Holds a rw_mutex as one of its readers.
class [[nodiscard]] rw_mutex::shared_guard : public holding<rw_mutex, share> {
public:
    /// Holds nothing.
    shared_guard() noexcept = default;

    /// Gives the lock back before the guard dies.
    void unlock() noexcept {
        OURO_ASSERT(*this && "rw_mutex: unlocked by a guard that holds nothing");
        give_back();
    }

private:
    friend class rw_mutex;

    explicit shared_guard(rw_mutex& of) noexcept : holding(of) {}
};

/// A place in the queue of a rw_mutex.
class rw_mutex::turn : public waiter {
protected:
    turn(rw_mutex& of, bool writes, const char* what) noexcept
        : waiter(what), of_(of), writes_(writes) {}
    ~turn() = default;

    wait_list& queue() noexcept { return of_.waiters_; }

    rw_mutex& of_;

private:
    friend class rw_mutex;

    void left() noexcept override { of_.admit(); }

    bool writes_;
};

/// Waits to be the writer; see rw_mutex::lock.
class [[nodiscard, gnu::warn_unused]] rw_mutex::lock_op final
    : public sync_op<lock_op, guard, turn> {
public:
    explicit lock_op(rw_mutex& of) noexcept : sync_op(of, true, "rw_mutex write") {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.take(); }
    guard value() noexcept { return guard(of_); }
};

/// Waits to be a reader; see rw_mutex::lock_shared.
class [[nodiscard, gnu::warn_unused]] rw_mutex::lock_shared_op final
    : public sync_op<lock_shared_op, shared_guard, turn> {
public:
    explicit lock_shared_op(rw_mutex& of) noexcept : sync_op(of, false, "rw_mutex read") {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.take_shared(); }
    shared_guard value() noexcept { return shared_guard(of_); }
};

inline rw_mutex::lock_op rw_mutex::lock() noexcept { return lock_op(*this); }

inline rw_mutex::lock_shared_op rw_mutex::lock_shared() noexcept { return lock_shared_op(*this); }

inline rw_mutex::guard rw_mutex::try_lock() noexcept { return take() ? guard(*this) : guard(); }

inline rw_mutex::shared_guard rw_mutex::try_lock_shared() noexcept {
    return take_shared() ? shared_guard(*this) : shared_guard();
}

}  // namespace ouro
