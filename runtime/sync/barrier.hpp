// barrier.hpp: a meeting point: nobody goes on before all have come; again and again.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>
#include <utility>

namespace ouro {

/// Lets a fixed number of tasks work in rounds.
///
/// Worker-local. Destroying a barrier that has waiters is a bug.
class barrier {
public:
    class arrive_op;

    /// `parties`, at least 1, is how many must come.
    explicit barrier(std::size_t parties) noexcept : parties_(parties) {
        OURO_ASSERT(parties > 0 && "barrier: made for nobody: parties is at least 1");
    }

    /// Waits until all have come, and then yields true to the one that came last and false to the
    /// others. Throws errc::cancelled; a cancelled arrival does not count.
    arrive_op arrive_and_wait() noexcept;

    /// Takes no further part: one party less from this round on. When the others have all come,
    /// they go on, and the first of them is told true.
    void arrive_and_drop() noexcept;

    std::size_t parties() const noexcept { return parties_; }
    /// Who has come in this round.
    std::size_t arrived() const noexcept { return arrived_; }

private:
    bool arrive() noexcept {
        if (++arrived_ < parties_) return false;
        start_round();
        return true;
    }
    void start_round() noexcept {
        arrived_ = 0;
        waiters_.wake_all();
    }

    std::size_t parties_;
    std::size_t arrived_ = 0;  // as many as wait
    wait_list waiters_;
};

/// Waits for the others; see barrier::arrive_and_wait.
class [[nodiscard, gnu::warn_unused]] barrier::arrive_op final : public sync_op<arrive_op, bool> {
public:
    explicit arrive_op(barrier& of) noexcept : sync_op("barrier"), of_(of) {}

private:
    friend sync_op;
    friend class barrier;

    bool attempt() noexcept { return leads_ = of_.arrive(); }
    wait_list& queue() noexcept { return of_.waiters_; }
    bool value() const noexcept { return leads_; }
    void left() noexcept override {
        OURO_ASSERT(of_.arrived_ > 0);
        --of_.arrived_;
    }

    barrier& of_;
    bool leads_ = false;
};

inline barrier::arrive_op barrier::arrive_and_wait() noexcept { return arrive_op(*this); }

inline void barrier::arrive_and_drop() noexcept {
    OURO_ASSERT(parties_ > arrived_ &&
                "barrier: everybody else waits already: make it for one more");
    --parties_;
    if (arrived_ == 0 || arrived_ < parties_) return;
    waiters_.front<arrive_op>().leads_ = true;
    start_round();
}

}  // namespace ouro
