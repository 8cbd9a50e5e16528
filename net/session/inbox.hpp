// inbox.hpp: messages that wait for one reader: bounded, with a policy for when it is full.
//
//   put ──> [oldest … newest] ──> next            full, drop_oldest: the oldest go, and are counted
//                │                                full, block: full() is true until has_room()
//                └─ a notice: "17 are missing"
//
//  1. What waits is bounded by number and by bytes. Under `drop_oldest` the newest always stays,
//     however large it is. Under `block` whoever fills it looks at full() and holds its source back
//     (session::pause_reading); `taken` tells when to look again.
//  2. What was dropped, or had no memory, is never silent: it is counted, and told in the stream at
//     the place where it is missing, by messages that can say so.
//  3. A message goes straight to a task that waits; a task that is cancelled has taken nothing.
//  4. An inbox ends once, with a reason or without. `end` drops what waits, `finish` leaves it to
//     be taken first.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::net {

/// What happens when messages come faster than the reader takes them.
enum class slow_policy : std::uint8_t {
    drop_oldest,  ///< the oldest are left out, and the reader is told how many
    /// The connection is not read until there is room, so that the sender is held back: for a
    /// connection of the reader's own. A sender that is held back for too long may end it.
    block,
};

/// How much may wait for a reader.
struct inbox_options {
    std::size_t messages_max = 4096;               ///< at least 1
    std::size_t bytes_max = std::size_t{8} << 20;  ///< of memory; one message may be larger
    slow_policy when_full = slow_policy::drop_oldest;
};
static_assert(std::is_trivially_copyable_v<inbox_options>);

/// What an inbox is, whatever its messages are: limits, counts, its end.
class inbox_base {
public:
    inbox_base(const inbox_base&) = delete;
    inbox_base& operator=(const inbox_base&) = delete;

    /// As full as it may be. The limit counts where the policy is to block.
    bool full() const noexcept {
        return size_ >= options_.messages_max || bytes_ >= options_.bytes_max;
    }
    /// Half empty again.
    bool has_room() const noexcept {
        return size_ <= options_.messages_max / 2 && bytes_ <= options_.bytes_max / 2;
    }
    slow_policy policy() const noexcept { return options_.when_full; }

    /// Messages that wait, and their memory.
    std::size_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept { return bytes_; }
    /// Messages that were dropped since it was made.
    std::uint64_t dropped() const noexcept { return dropped_; }
    /// Whether nothing more comes.
    bool has_ended() const noexcept { return ended_; }

protected:
    /// `what` is how dumps call who waits: a literal.
    inbox_base(const inbox_options& options, const char* what) noexcept
        : options_(options), what_(what) {
        OURO_ASSERT(options.messages_max > 0 && "inbox_options: messages_max is at least 1");
    }
    ~inbox_base() = default;

    /// A message was taken, or dropped at the end.
    virtual void taken() noexcept {}

    bool is_over_limit() const noexcept {
        return size_ > options_.messages_max || bytes_ > options_.bytes_max;
    }

    const inbox_options options_;
    const char* const what_;
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
    std::uint64_t untold_ = 0;  // dropped since it was told
    std::uint64_t dropped_ = 0;
    std::error_code reason_;  // of the end
    bool ended_ = false;
    wait_list waiters_;  // empty unless there is nothing to take
};

/// Keeps messages until they are taken, in their order. Worker-local; does not move. Any number of
/// tasks may wait; each message goes to one.
///
/// A `Message` has `std::size_t bytes() const noexcept`, its memory; it moves without throwing, and
/// an empty one can be made.
template <class Message>
class inbox : public inbox_base {
public:
    class next_op;

    explicit inbox(const inbox_options& options, const char* what = "message") noexcept
        : inbox_base(options, what) {}

    /// Gives it to the task that waits, or keeps it; drops the oldest when that is the policy.
    /// Memory that cannot be had makes it a dropped one. Does nothing behind the end.
    void put(Message one) noexcept;
    /// Counts a message as dropped, for which there was no memory; whoever waits is told.
    void miss() noexcept;

    /// The next message; nothing at the end, or, when that has a reason, throws it. Throws
    /// errc::cancelled, and has taken nothing then.
    next_op next() noexcept { return next_op(*this); }

    /// Nothing more comes, and what waits is dropped: whoever waits gets the end.
    void end(std::error_code why = {}) noexcept;
    /// Nothing more comes; what waits can still be taken, and then comes the end.
    void finish(std::error_code why = {}) noexcept;

protected:
    ~inbox() = default;

    /// Puts into `into` a message that says that `missing` others are missing here. False: not now,
    /// or never, as without an override; it is asked again for the next message.
    virtual bool make_notice(std::uint64_t /*missing*/, std::optional<Message>& /*into*/) noexcept {
        return false;
    }
    /// Whether it must not be dropped, though it is the oldest: news rather than data.
    virtual bool is_kept(const Message&) const noexcept { return false; }

private:
    bool take(std::optional<Message>& into) noexcept;
    bool tell_missing(std::optional<Message>& into) noexcept;
    void keep(Message& one);
    Message pop() noexcept;
    void drop_oldest() noexcept;
    void close(std::error_code why) noexcept;

    static constexpr std::size_t first_slots = 8;

    std::vector<Message> slots_;  // a ring; its size is a power of two, or zero
    std::size_t first_ = 0;
    std::vector<Message> kept_;  // what was not dropped although it was the oldest
};

/// Waits for a message; see inbox::next.
template <class Message>
class [[nodiscard, gnu::warn_unused]] inbox<Message>::next_op final
    : public sync_op<typename inbox<Message>::next_op, std::optional<Message>> {
    using base = sync_op<next_op, std::optional<Message>>;

public:
    explicit next_op(inbox& of) noexcept : base(of.what_), of_(of) {}

    std::optional<Message> await_resume() {
        std::optional<Message> got = base::await_resume();
        if (!got && of_.reason_) throw_error(of_.reason_);
        return got;
    }
    result<std::optional<Message>> await_result() {
        result<std::optional<Message>> got = base::await_result();
        if (got && !*got && of_.reason_) return of_.reason_;
        return got;
    }

private:
    friend base;
    friend inbox;

    bool attempt() noexcept { return of_.take(got_); }
    wait_list& queue() noexcept { return of_.waiters_; }
    std::optional<Message> value() noexcept { return std::move(got_); }

    inbox& of_;
    std::optional<Message> got_;
};

template <class Message>
void inbox<Message>::put(Message one) noexcept {
    if (ended_) return;
    if (!waiters_.empty()) {
        OURO_ASSERT(size_ == 0 && kept_.empty() && "inbox: somebody waits for what is there");
        waiters_.front<next_op>().got_ = std::move(one);
        waiters_.wake_one();
        return;
    }
    try {
        keep(one);
    } catch (const std::bad_alloc&) {
        miss();
        return;
    }
    if (options_.when_full != slow_policy::drop_oldest) return;
    // The newest stays, however large it is.
    while (size_ > 1 && is_over_limit()) drop_oldest();
}

template <class Message>
void inbox<Message>::miss() noexcept {
    if (ended_) return;
    ++untold_;
    ++dropped_;
    if (!waiters_.empty() && tell_missing(waiters_.front<next_op>().got_)) waiters_.wake_one();
}

template <class Message>
void inbox<Message>::end(std::error_code why) noexcept {
    while (size_ > 0) pop();
    kept_.clear();
    untold_ = 0;
    close(why);
    taken();
}

template <class Message>
void inbox<Message>::finish(std::error_code why) noexcept {
    close(why);
}

template <class Message>
void inbox<Message>::close(std::error_code why) noexcept {
    if (!std::exchange(ended_, true)) reason_ = why;
    waiters_.wake_all();
}

template <class Message>
bool inbox<Message>::take(std::optional<Message>& into) noexcept {
    if (untold_ > 0 && tell_missing(into)) return true;
    if (!kept_.empty()) {
        into = std::move(kept_.front());
        kept_.erase(kept_.begin());
    } else if (size_ > 0) {
        into = pop();
    } else {
        return ended_;
    }
    taken();
    return true;
}

template <class Message>
bool inbox<Message>::tell_missing(std::optional<Message>& into) noexcept {
    if (!make_notice(untold_, into)) return false;
    untold_ = 0;
    return true;
}

template <class Message>
void inbox<Message>::keep(Message& one) {
    if (size_ == slots_.size()) {
        std::vector<Message> more(std::max(first_slots, 2 * slots_.size()));
        for (std::size_t at = 0; at < size_; ++at)
            more[at] = std::move(slots_[(first_ + at) & (slots_.size() - 1)]);
        slots_ = std::move(more);
        first_ = 0;
    }
    bytes_ += one.bytes();
    slots_[(first_ + size_++) & (slots_.size() - 1)] = std::move(one);
}

template <class Message>
Message inbox<Message>::pop() noexcept {
    OURO_ASSERT(size_ > 0);
    Message oldest = std::move(slots_[first_]);
    slots_[first_] = Message();  // what a move leaves may hold memory
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    OURO_ASSERT(oldest.bytes() <= bytes_ && "inbox: a message has grown while it waited");
    bytes_ -= oldest.bytes();
    OURO_ASSERT(size_ > 0 || bytes_ == 0);
    return oldest;
}

template <class Message>
void inbox<Message>::drop_oldest() noexcept {
    Message oldest = pop();
    if (is_kept(oldest)) {
        try {
            kept_.push_back(std::move(oldest));
            return;
        } catch (const std::bad_alloc&) {  // then it is lost, and counted
        }
    }
    miss();
}

}  // namespace ouro::net
