#include <ouro/runtime/engine/timers.hpp>

#include <algorithm>
#include <bit>
#include <limits>

// A hierarchical timing wheel.
//
// Time is cut into ticks of 2^14 ns. A deadline's tick is read as a number of nine base-64 digits,
// and so is the current tick. The highest digit in which they differ is the timer's level, and the
// deadline's own digit there is its slot: far deadlines share wide slots, near ones have slots of a
// tick. When time enters a wide slot, its timers are placed anew and fall to lower levels; most are
// disarmed before that ever happens. What makes it right:
//
//  1. A slot is a circular list whose head lies in `heads_`; its bit in `occupied_` is set exactly
//     while it holds a timer. Once a timer is unlinked, its neighbours are one and the same only if
//     that is a head, so `disarm` finds the bit to clear without knowing the slot.
//  2. A timer of level 1 and above lies ahead of the current tick, agrees with it in all higher
//     digits, and is greater in its level's digit. So timers of a lower level come before those of
//     a higher one, those of a lower slot before those of a higher, and the first slot of the
//     lowest occupied level holds the earliest deadline.
//  3. `fire` empties every slot whose first tick has come, so level 0 holds no tick of the past:
//     the slot of the current tick is its first. Timers armed too late join that slot.
//  4. All timers of one tick lie in one slot, for their level follows from the two ticks alone; and
//     a slot is placed anew from front to back, into slots that are empty. So each list keeps the
//     order of arming among timers of one deadline.
//  5. A slot of level 0 is in order of deadlines unless its bit in `unordered_` is set; the bit may
//     be set in vain. The sort is stable, so (4) survives it. `fire` leaves the first slot of
//     level 0 in order for `next`, which then need not search it.
//  6. `fire` first moves what is due to `due_`, in order, and only then calls anyone. So a timer
//     armed by a firing one cannot fire in the same call, and one that is disarmed just leaves
//     `due_` (whose bit nobody reads).
//  7. Every step of `fire` empties an occupied slot, and a timer falls at most eight levels in its
//     life. A jump over a year costs what the timers in it cost, nothing for the time between.

namespace ouro {

timer_wheel::timer_wheel(std::int64_t now) noexcept : tick_(now >> tick_bits) {
    OURO_ASSERT(now >= 0);
    for (timer_link& head : heads_) head.next_ = head.prev_ = &head;
}

void timer_wheel::arm(timer& which, std::int64_t when) noexcept {
    OURO_ASSERT(!which.armed());
    which.when_ = when;
    place(which);
    ++size_;
}

void timer_wheel::disarm(timer& which) noexcept {
    OURO_ASSERT(which.armed());
    unlink(which);
}

std::size_t timer_wheel::fire(std::int64_t now) noexcept {
    OURO_ASSERT(due_.next_ == &due_);
    collect(now);

    std::size_t fired = 0;
    for (; due_.next_ != &due_; ++fired) {
        timer& first = static_cast<timer&>(*due_.next_);
        unlink(first);
        first.fire();
    }
    return fired;
}

std::int64_t timer_wheel::next() const noexcept {
    OURO_ASSERT(due_.next_ == &due_);
    if (empty()) return std::numeric_limits<std::int64_t>::max();

    const unsigned slot = first_slot();
    const timer_link& head = heads_[slot];
    const bool alone = head.next_ == head.prev_;
    if (alone) return when_of(*head.next_);
    if (slot >= slots_per_level) return first_tick(slot) << tick_bits;

    std::int64_t earliest = when_of(*head.next_);
    if (unordered_ >> slot & 1) {
        for (const timer_link* at = head.next_; at != &head; at = at->next_)
            earliest = std::min(earliest, when_of(*at));
    }
    return earliest;
}

// Slots are numbered through all levels, 64 to each.
unsigned timer_wheel::slot_of(std::int64_t when) const noexcept {
    const auto tick = static_cast<std::uint64_t>(std::max(when >> tick_bits, tick_));
    const auto differing = tick ^ static_cast<std::uint64_t>(tick_);
    const auto highest_bit = static_cast<unsigned>(std::bit_width(differing | 1)) - 1;
    const unsigned level = highest_bit / slot_bits;
    const auto digit = static_cast<unsigned>(tick >> level * slot_bits) % slots_per_level;
    return level * slots_per_level + digit;
}

// The occupied slot with the earliest deadline; `slots` if there is none.
unsigned timer_wheel::first_slot() const noexcept {
    for (unsigned level = 0; level < levels; ++level) {
        if (occupied_[level] == 0) continue;
        const auto digit = static_cast<unsigned>(std::countr_zero(occupied_[level]));
        return level * slots_per_level + digit;
    }
    return slots;
}

std::int64_t timer_wheel::first_tick(unsigned slot) const noexcept {
    const unsigned shift = slot / slots_per_level * slot_bits;
    const std::int64_t digit = slot % slots_per_level;
    const std::int64_t higher_digits = tick_ >> (shift + slot_bits) << slot_bits;
    return (higher_digits | digit) << shift;
}

void timer_wheel::place(timer& which) noexcept {
    const unsigned slot = slot_of(which.when_);
    timer_link& head = heads_[slot];
    timer_link& last = *head.prev_;
    if (slot < slots_per_level && &last != &head && which.when_ < when_of(last))
        unordered_ |= std::uint64_t{1} << slot;

    which.prev_ = &last;
    which.next_ = &head;
    last.next_ = &which;
    head.prev_ = &which;
    occupied_[slot / slots_per_level] |= std::uint64_t{1} << slot % slots_per_level;
}

void timer_wheel::unlink(timer& which) noexcept {
    timer_link* const prev = which.prev_;
    timer_link* const next = which.next_;
    prev->next_ = next;
    next->prev_ = prev;
    which.next_ = nullptr;
    --size_;
    const bool alone = prev == next;  // then it is the head
    if (alone) mark_empty(static_cast<unsigned>(prev - heads_.data()));
}

void timer_wheel::mark_empty(unsigned slot) noexcept {
    occupied_[slot / slots_per_level] &= ~(std::uint64_t{1} << slot % slots_per_level);
}

// Moves everything due to `due_` and makes the tick of `now` the current one.
void timer_wheel::collect(std::int64_t now) noexcept {
    const std::int64_t tick = now >> tick_bits;
    OURO_ASSERT(tick_ <= tick);

    for (;;) {
        const unsigned slot = first_slot();
        if (slot == slots || first_tick(slot) > tick) break;
        if (slot >= slots_per_level) {
            cascade(slot);
            continue;
        }
        order(slot);
        take_due(slot, now);
        const bool some_left = heads_[slot].next_ != &heads_[slot];
        if (some_left) break;  // they are for later in the tick of `now`
    }
    OURO_ASSERT(tick_ <= tick);
    tick_ = tick;
    if (first_slot() < slots_per_level) order(first_slot());
}

// Time enters a wide slot: its timers fall to lower levels.
void timer_wheel::cascade(unsigned slot) noexcept {
    timer_link& head = heads_[slot];
    OURO_ASSERT(slot >= slots_per_level && head.next_ != &head);
    OURO_ASSERT(tick_ <= first_tick(slot));
    tick_ = first_tick(slot);
    timer_link* at = head.next_;
    head.prev_->next_ = nullptr;
    head.next_ = head.prev_ = &head;
    mark_empty(slot);

    while (at != nullptr) {
        timer& falling = static_cast<timer&>(*at);
        at = at->next_;
        place(falling);
    }
}

// Sorts a slot of level 0 if it needs it.
void timer_wheel::order(unsigned slot) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << slot;
    if ((unordered_ & bit) == 0) return;
    unordered_ &= ~bit;

    timer_link& head = heads_[slot];
    head.prev_->next_ = nullptr;
    head.next_ = sort(head.next_);

    timer_link* last = &head;
    for (timer_link* at = head.next_; at != nullptr; at = at->next_) {
        at->prev_ = last;
        last = at;
    }
    last->next_ = &head;
    head.prev_ = last;
}

// Moves the front of an ordered slot, up to `now`, behind what is due already.
void timer_wheel::take_due(unsigned slot, std::int64_t now) noexcept {
    timer_link& head = heads_[slot];
    OURO_ASSERT(slot < slots_per_level && head.next_ != &head);
    timer_link* end = &head;  // the first that stays
    if (when_of(*head.prev_) > now) {
        end = head.next_;
        while (when_of(*end) <= now) end = end->next_;
    }
    if (end == head.next_) return;

    timer_link& first = *head.next_;
    timer_link& last = *end->prev_;
    head.next_ = end;
    end->prev_ = &head;
    if (end == &head) mark_empty(slot);

    first.prev_ = due_.prev_;
    last.next_ = &due_;
    due_.prev_->next_ = &first;
    due_.prev_ = &last;
}

std::int64_t timer_wheel::when_of(const timer_link& link) noexcept {
    return static_cast<const timer&>(link).when_;
}

// Stable merge sort of a chain that ends with nullptr. Runs that are in order already are merged
// like a binary counter counts: `merged[i]` is empty or holds 2^i runs, all older than those below.
// It has more digits than there can be timers in memory, so it never overflows.
timer_link* timer_wheel::sort(timer_link* unsorted) noexcept {
    std::array<timer_link*, 48> merged{};
    unsigned digits = 0;
    while (unsorted != nullptr) {
        timer_link* run = take_run(unsorted);
        unsigned digit = 0;
        for (; merged[digit] != nullptr; ++digit) {
            run = merge(merged[digit], run);
            merged[digit] = nullptr;
        }
        OURO_ASSERT(digit < merged.size());
        merged[digit] = run;
        digits = std::max(digits, digit + 1);
    }

    timer_link* sorted = nullptr;
    for (unsigned digit = 0; digit < digits; ++digit) {
        if (merged[digit] != nullptr) sorted = merge(merged[digit], sorted);
    }
    return sorted;
}

// Cuts the longest front of `rest` that is in order.
timer_link* timer_wheel::take_run(timer_link*& rest) noexcept {
    timer_link* const run = rest;
    timer_link* last = run;
    while (last->next_ != nullptr && when_of(*last) <= when_of(*last->next_)) last = last->next_;
    rest = last->next_;
    last->next_ = nullptr;
    return run;
}

// Among equals those of `older` come first.
timer_link* timer_wheel::merge(timer_link* older, timer_link* newer) noexcept {
    timer_link* merged = nullptr;
    timer_link** end = &merged;
    while (older != nullptr && newer != nullptr) {
        timer_link*& smaller = when_of(*newer) < when_of(*older) ? newer : older;
        *end = smaller;
        end = &smaller->next_;
        smaller = smaller->next_;
    }
    *end = older != nullptr ? older : newer;
    return merged;
}

}  // namespace ouro
