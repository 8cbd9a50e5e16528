// inbox.hpp: the messages that wait for one subscriber: bounded, with a policy for when it is full.
#pragma once

#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// What happens when messages come faster than the subscriber takes them.
enum class slow_policy : std::uint8_t {
    drop_oldest,  ///< the oldest are left out, and the subscriber is told how many
    /// The connection is not read until there is room: for a connection of its own. A server that
    /// is held back for too long ends it (client-output-buffer-limit pubsub), and then messages are
    /// missing, too. While a subscription waits for its confirmation the limits may be exceeded.
    block,
};

/// How much may wait for a subscriber.
struct inbox_options {
    std::size_t messages_max = 4096;               ///< at least 1
    std::size_t bytes_max = std::size_t{8} << 20;  ///< of memory; one message may be larger
    slow_policy when_full = slow_policy::drop_oldest;
};
static_assert(std::is_trivially_copyable_v<inbox_options>);

/// Keeps what was not taken yet. Worker-local; does not move.
///
/// News that a subscription has ended is never dropped; everything else is, when it is the oldest.
class inbox {
public:
    class next_op;

    explicit inbox(const inbox_options& options)
        : options_(options), notice_({.kind = message_kind::dropped}) {
        OURO_ASSERT(options.messages_max > 0);
    }
    inbox(const inbox&) = delete;
    inbox& operator=(const inbox&) = delete;

    /// Gives it to the task that waits, or keeps it; drops the oldest when that is the policy.
    /// Memory that cannot be had makes it a dropped one.
    void put(const message& one) noexcept;
    /// Counts a message as dropped, for which there was no memory; whoever waits is told.
    void miss() noexcept;

    /// The next message; nothing at the end. Throws errc::cancelled, and has taken nothing then.
    next_op next() noexcept;

    /// Nothing more comes, and what waits is dropped: whoever waits gets the end.
    void end() noexcept;

    /// As full as it may be. The limit counts where the policy is to block.
    bool full() const noexcept {
        return size_ >= options_.messages_max || bytes_ >= options_.bytes_max;
    }
    /// Half empty again.
    bool has_room() const noexcept {
        return size_ <= options_.messages_max / 2 && bytes_ <= options_.bytes_max / 2;
    }
    slow_policy policy() const noexcept { return options_.when_full; }

    std::size_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept { return bytes_; }
    /// Messages that were dropped since it was made.
    std::uint64_t dropped() const noexcept { return dropped_; }

protected:
    ~inbox() = default;
    /// A message was taken.
    virtual void taken() noexcept {}

private:
    bool take(std::optional<message>& into) noexcept;
    void keep(const message& one);
    message pop() noexcept;
    void drop_oldest() noexcept;
    bool tell_dropped(std::optional<message>& into) noexcept;

    const inbox_options options_;
    std::vector<message> slots_;  // a ring; its size is a power of two, or zero
    std::size_t first_ = 0;
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
    std::vector<message> kept_;  // news that was not dropped although it was the oldest
    std::uint64_t untold_ = 0;   // dropped since it was told
    message notice_;             // that some were, made while there was memory
    std::uint64_t dropped_ = 0;
    bool ended_ = false;
    wait_list waiters_;  // empty unless there is nothing to take
};

/// Waits for a message; see inbox::next.
class inbox::next_op final : public sync_op<next_op, std::optional<message>> {
public:
    explicit next_op(inbox& of) noexcept : sync_op("redis message"), of_(of) {}

private:
    friend sync_op;
    friend inbox;

    bool attempt() noexcept { return of_.take(got_); }
    wait_list& queue() noexcept { return of_.waiters_; }
    std::optional<message> value() noexcept { return std::move(got_); }

    inbox& of_;
    std::optional<message> got_;
};

inline inbox::next_op inbox::next() noexcept { return next_op(*this); }

}  // namespace ouro::redis
