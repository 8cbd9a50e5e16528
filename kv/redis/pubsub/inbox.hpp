// inbox.hpp: the messages that wait for one subscriber.
#pragma once

#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/net/session/inbox.hpp>

#include <cstdint>
#include <optional>

extern template class ouro::net::inbox<ouro::redis::message>;

namespace ouro::redis {

/// What happens when messages come faster than the subscriber takes them, and how many may wait.
/// A server that is held back for too long ends the connection (client-output-buffer-limit pubsub),
/// and then messages are missing, too. While a subscription waits for its confirmation the limits
/// may be exceeded.
using net::inbox_options;
using net::slow_policy;

/// Keeps what was not taken yet. Worker-local; does not move.
///
/// News that a subscription has ended is never dropped; everything else is, when it is the oldest.
class inbox : public net::inbox<message> {
public:
    explicit inbox(const inbox_options& options)
        : net::inbox<message>(options, "redis message"), notice_({.kind = message_kind::dropped}) {}

protected:
    ~inbox() = default;

private:
    bool make_notice(std::uint64_t missing, std::optional<message>& into) noexcept override;
    bool is_kept(const message& one) const noexcept override {
        return one.kind() == message_kind::ended;
    }

    message notice_;  // that some are missing, made while there was memory
};

}  // namespace ouro::redis
