// wait_group.hpp: waits until work that is counted in and out is done.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>

namespace ouro {

/// A counter that tasks can wait for to become zero. Unlike a latch it may rise again.
///
/// Worker-local. For tasks of one's own a scope is the better choice: it cannot be miscounted.
/// Destroying a wait_group that has waiters is a bug.
class wait_group {
public:
    class wait_op;

    explicit wait_group(std::size_t count = 0) noexcept : count_(count) {}

    void add(std::size_t count = 1) noexcept { count_ += count; }

    /// One less; the last one wakes all who wait. They go on even when it rises again before they
    /// run.
    void done() noexcept {
        OURO_ASSERT(count_ > 0 && "wait_group: more done than added: add() before each done()");
        if (--count_ == 0) waiters_.wake_all();
    }

    std::size_t count() const noexcept { return count_; }

    /// Returns when the count is zero. Throws errc::cancelled.
    wait_op wait() noexcept;

private:
    std::size_t count_;
    wait_list waiters_;  // empty while count_ is 0
};

/// Waits for zero; see wait_group::wait.
class [[nodiscard, gnu::warn_unused]] wait_group::wait_op final : public sync_op<wait_op, void> {
public:
    explicit wait_op(wait_group& of) noexcept : sync_op("wait_group"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept { return of_.count_ == 0; }
    wait_list& queue() noexcept { return of_.waiters_; }
    void value() noexcept {}

    wait_group& of_;
};

inline wait_group::wait_op wait_group::wait() noexcept { return wait_op(*this); }

}  // namespace ouro
