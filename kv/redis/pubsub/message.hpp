// message.hpp: what a subscriber is told: what was published, and what became of a subscription.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace ouro::redis {

/// What can be subscribed to.
enum class topic_kind : std::uint8_t {
    channel,  ///< SUBSCRIBE: a channel by its name
    pattern,  ///< PSUBSCRIBE: every channel whose name fits: "news.*"
    shard,    ///< SSUBSCRIBE: a channel that lives on the node of its slot
};

/// What a message tells.
enum class message_kind : std::uint8_t {
    published,    ///< payload() was published to channel()
    interrupted,  ///< the connection was lost, payload() says why: nothing comes until `resumed`
    resumed,      ///< everything is subscribed again; what was published in between is missing
    dropped,      ///< the subscriber was too slow: count() messages are missing at this place
    ended,  ///< the server ended the subscription to channel() or pattern(); payload() says why
};

/// The English word for it.
const char* to_string(message_kind kind) noexcept;

/// One message, with memory of its own that its copies share. Worker-local.
///
/// The views are valid as long as one of the copies lives.
class message {
public:
    /// What a message is made of; whatever does not belong to its kind stays empty.
    struct parts {
        message_kind kind = message_kind::published;
        topic_kind topic = topic_kind::channel;
        std::string_view channel = {};
        std::string_view pattern = {};
        std::string_view payload = {};
        std::uint64_t count = 0;
    };

    message() noexcept = default;
    /// Copies the texts. May throw std::bad_alloc.
    explicit message(const parts& from);
    message(const message& other) noexcept : at_(other.at_) {
        if (at_) ++at_->copies;
    }
    message(message&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    message& operator=(message other) noexcept {
        std::swap(at_, other.at_);
        return *this;
    }
    ~message() {
        if (at_ && --at_->copies == 0) release();
    }

    /// Whether it is one: false for one that was moved from, or never made.
    explicit operator bool() const noexcept { return at_ != nullptr; }

    message_kind kind() const noexcept { return at_->kind; }
    bool is_published() const noexcept { return kind() == message_kind::published; }
    /// Through which kind of subscription it came, or which one has ended.
    topic_kind topic() const noexcept { return at_->topic; }
    /// The channel it was published to.
    std::string_view channel() const noexcept { return {text(), at_->channel_bytes}; }
    /// The pattern that it fits; empty unless topic() is `pattern`.
    std::string_view pattern() const noexcept {
        return {text() + at_->channel_bytes, at_->pattern_bytes};
    }
    std::string_view payload() const noexcept {
        return {text() + at_->channel_bytes + at_->pattern_bytes, at_->payload_bytes};
    }
    /// How many messages were dropped.
    std::uint64_t count() const noexcept { return at_->count; }
    /// Says another number of dropped messages; of one that has no copies.
    void set_count(std::uint64_t count) noexcept {
        OURO_ASSERT(!has_copies());
        at_->count = count;
    }
    bool has_copies() const noexcept { return at_->copies > 1; }
    /// The memory it takes.
    std::size_t bytes() const noexcept {
        return sizeof(head) + at_->channel_bytes + at_->pattern_bytes + at_->payload_bytes;
    }

private:
    struct head {
        std::uint64_t count;
        std::size_t channel_bytes;
        std::size_t pattern_bytes;
        std::size_t payload_bytes;
        std::uint32_t copies;
        message_kind kind;
        topic_kind topic;
    };

    const char* text() const noexcept { return reinterpret_cast<const char*>(at_ + 1); }
    void release() noexcept;

    head* at_ = nullptr;  // the texts lie behind it: channel, pattern, payload
};

}  // namespace ouro::redis
