// timers.hpp: the timers of one worker; arming, disarming and firing allocate and search nothing.
#pragma once

#include <ouro/runtime/check.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace ouro {

/// A timer's place in a wheel. Only the wheel looks inside.
class timer_link {
    friend class timer;
    friend class timer_wheel;

    timer_link* next_ = nullptr;
    timer_link* prev_ = nullptr;
};

/// One deadline. Derive from it and say in `fire()` what happens then.
///
/// Lives where its owner lives, usually in an awaiter, and does not move. Destroying an armed timer
/// is a bug.
class timer : private timer_link {
public:
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

    bool armed() const noexcept { return next_ != nullptr; }

    /// The deadline it was last armed with, in nanoseconds.
    std::int64_t when() const noexcept { return when_; }

protected:
    timer() noexcept = default;
    ~timer() { OURO_ASSERT(!armed()); }

private:
    friend class timer_wheel;

    /// Called once per arming, when the deadline has come; the timer is no longer armed. May arm
    /// and disarm any timer, this one included, and may end this timer's life.
    virtual void fire() noexcept = 0;

    std::int64_t when_ = 0;
};

/// Keeps armed timers and fires them in the order of their deadlines; never early.
///
/// Worker-local. Times are nanoseconds since the reactor's epoch; they never go back and may jump
/// ahead by any amount. Destroying a wheel that has timers is a bug. How it works and why it may be
/// trusted stands on top of timers.cpp.
class timer_wheel {
public:
    explicit timer_wheel(std::int64_t now = 0) noexcept;
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;
    ~timer_wheel() { OURO_ASSERT(empty()); }

    /// Arms a timer that is not armed. A deadline in the past is legal; it is due at once.
    void arm(timer& which, std::int64_t when) noexcept;

    /// Disarms a timer of this wheel that is armed.
    void disarm(timer& which) noexcept;

    /// Fires every timer whose deadline is `now` or earlier, in the order of deadlines and then of
    /// arming; returns how many. What a firing timer arms waits for the next call, even if it is
    /// due already; what it disarms does not fire. A firing timer calls neither this nor `next`.
    std::size_t fire(std::int64_t now) noexcept;

    /// When to call `fire` next: never later than the earliest deadline, INT64_MAX without timers.
    ///
    /// Exact as far as the finest level reaches, up to a millisecond ahead, and for a deadline
    /// without neighbours. Otherwise it may be early: `fire` then finds nothing due but looks
    /// closer, so that the next answer is later; at most eight times on the way to a deadline. In
    /// the past if a timer is overdue.
    std::int64_t next() const noexcept;

    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

private:
    static constexpr int tick_bits = 14;  // 16.4 us: what one slot of the lowest level spans
    static constexpr int slot_bits = 6;   // the slots of a level fit the bits of one word
    static constexpr unsigned slots_per_level = 1u << slot_bits;
    static constexpr unsigned levels = 9;  // 14 + 9 * 6 bits: every deadline has a slot
    static constexpr unsigned slots = levels * slots_per_level;

    unsigned slot_of(std::int64_t when) const noexcept;
    unsigned first_slot() const noexcept;
    std::int64_t first_tick(unsigned slot) const noexcept;

    void place(timer& which) noexcept;
    void unlink(timer& which) noexcept;
    void mark_empty(unsigned slot) noexcept;

    void collect(std::int64_t now) noexcept;
    void cascade(unsigned slot) noexcept;
    void order(unsigned slot) noexcept;
    void take_due(unsigned slot, std::int64_t now) noexcept;

    static std::int64_t when_of(const timer_link& link) noexcept;
    static timer_link* sort(timer_link* unsorted) noexcept;
    static timer_link* take_run(timer_link*& rest) noexcept;
    static timer_link* merge(timer_link* older, timer_link* newer) noexcept;

    std::int64_t tick_;  // the latest `now`, in ticks
    std::size_t size_ = 0;
    std::uint64_t unordered_ = 0;  // slots of level 0 that may be out of order

    // One word and 64 heads per level. The last of each is that of `due_`, what is about to fire.
    std::array<std::uint64_t, levels + 1> occupied_{};
    std::array<timer_link, slots + 1> heads_;
    timer_link& due_ = heads_[slots];
};

}  // namespace ouro
