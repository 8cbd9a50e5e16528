// latch.hpp: opens once, after a known number of arrivals.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>

namespace ouro {

/// Counts down to zero, once; then everybody passes.
///
/// Worker-local. Destroying a latch that has waiters is a bug.
class latch {
public:
    class wait_op;

    explicit latch(std::size_t count) noexcept : left_(count) {}

    /// `count` arrivals, at most as many as are left. The last one wakes all who wait.
    void count_down(std::size_t count = 1) noexcept {
        OURO_ASSERT(count <= left_ &&
                    "latch: more arrivals than the latch was made for: count those who arrive");
        left_ -= count;
        if (left_ == 0) waiters_.wake_all();
    }

    /// Whether it is open.
    bool open() const noexcept { return left_ == 0; }
    /// Arrivals that are still missing.
    std::size_t left() const noexcept { return left_; }

    /// Returns when it is open. Throws errc::cancelled.
    wait_op wait() noexcept;

    /// Arrives, now, and waits for the others. The arrival counts even when the wait is cancelled.
    wait_op arrive_and_wait() noexcept;

private:
    std::size_t left_;
    wait_list waiters_;  // empty while open
};

/// Waits for the latch to open; see latch::wait.
class [[nodiscard, gnu::warn_unused]] latch::wait_op final : public sync_op<wait_op, void> {
public:
    explicit wait_op(latch& of) noexcept : sync_op("latch"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.open(); }
    wait_list& queue() noexcept { return of_.waiters_; }
    void value() noexcept {}

    latch& of_;
};

inline latch::wait_op latch::wait() noexcept { return wait_op(*this); }

inline latch::wait_op latch::arrive_and_wait() noexcept {
    count_down();
    return wait_op(*this);
}

}  // namespace ouro
