// pubsub.hpp: subscribing to channels, and their messages as an asynchronous stream.
//
//     auto sub = co_await redis::subscriber::connect("redis://127.0.0.1:6379");
//     co_await sub.subscribe("news", "weather");
//     while (auto message = co_await sub.next())
//         if (message->is_published()) use(message->channel(), message->payload());
//
// What Redis publishes it delivers at most once: what is published while there is no connection, or
// while nobody takes it, is missing. That it is missing is told: see message_kind.
#pragma once

#include <ouro/kv/redis/pubsub/hub.hpp>
#include <ouro/kv/redis/pubsub/inbox.hpp>
#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/kv/redis/url.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// How a connection for subscribers is made and kept. (Trivially copyable: see client_options.)
struct pubsub_options {
    std::string_view client_name = {};         ///< CLIENT SETNAME; copied when connecting
    credential_source* credentials = nullptr;  ///< see client_options
    duration connect_timeout = std::chrono::seconds(5);
    /// How the connection is made and kept; its request_timeout is for subscribing and
    /// unsubscribing.
    link_options link = {};
};
static_assert(std::is_trivially_copyable_v<pubsub_options>);

/// A subscriber: what it has subscribed to, and what waits for it.
///
/// Its messages and events come in one stream, in the order in which they happened. A lost
/// connection is made again, and everything is subscribed again in one write; `interrupted` and
/// `resumed` tell it. Messages that are not taken wait in a queue with limits, see inbox_options.
///
/// Subscribing and unsubscribing return when the server has confirmed it, and throw redis::error
/// with its words when it refuses (errc::no_permission), ouro::errc::closed after close(), or the
/// reason why there is no connection after the request timeout. When one of several topics is
/// refused, or the call is cancelled, none of those it has added is kept. What another subscriber
/// on the same connection wants, too, is sent once: the first asks for it, the last gives it up.
///
/// Worker-local. One task at a time may wait in next(); others may subscribe and unsubscribe
/// meanwhile. Moving it moves no message. It must outlive what is awaited of it.
class subscriber {
public:
    /// A subscriber with a connection of its own. Throws like client::connect.
    static task<subscriber> connect(std::string where, inbox_options limits = {},
                                    pubsub_options how = {});
    static task<subscriber> connect(url where, inbox_options limits = {}, pubsub_options how = {});

    /// On a connection that is there already: see pubsub and client::subscriber.
    subscriber(std::shared_ptr<pubsub_hub> on, const inbox_options& limits);
    subscriber(subscriber&&) noexcept = default;
    /// Nobody may wait in this one.
    subscriber& operator=(subscriber&& other) noexcept;
    /// Leaves everything, without waiting for the server.
    ~subscriber();

    /// The next message or event; nothing when it has been closed, or its connection was for good.
    /// Throws errc::cancelled, and has taken nothing then.
    inbox::next_op next() noexcept { return listener_->next(); }

    // SUBSCRIBE, UNSUBSCRIBE: channels by name.
    template <std::convertible_to<std::string_view>... Names>
    task<> subscribe(const Names&... names) {
        return add(topic_kind::channel, list(names...));
    }
    task<> subscribe(std::vector<std::string> names) {
        return add(topic_kind::channel, std::move(names));
    }
    template <std::convertible_to<std::string_view>... Names>
    task<> unsubscribe(const Names&... names) {
        return drop(topic_kind::channel, list(names...));
    }
    task<> unsubscribe(std::vector<std::string> names) {
        return drop(topic_kind::channel, std::move(names));
    }
    task<> unsubscribe_all() { return drop_all(topic_kind::channel); }

    // PSUBSCRIBE, PUNSUBSCRIBE: all channels that fit a pattern. A message that fits several comes
    // several times.
    template <std::convertible_to<std::string_view>... Names>
    task<> psubscribe(const Names&... patterns) {
        return add(topic_kind::pattern, list(patterns...));
    }
    task<> psubscribe(std::vector<std::string> patterns) {
        return add(topic_kind::pattern, std::move(patterns));
    }
    template <std::convertible_to<std::string_view>... Names>
    task<> punsubscribe(const Names&... patterns) {
        return drop(topic_kind::pattern, list(patterns...));
    }
    task<> punsubscribe(std::vector<std::string> patterns) {
        return drop(topic_kind::pattern, std::move(patterns));
    }
    task<> punsubscribe_all() { return drop_all(topic_kind::pattern); }

    // SSUBSCRIBE, SUNSUBSCRIBE: channels of which each lives on the node of its slot (Redis 7). On
    // a node of a cluster only those of its slots; errc::moved says where another one is.
    template <std::convertible_to<std::string_view>... Names>
    task<> ssubscribe(const Names&... names) {
        return add(topic_kind::shard, list(names...));
    }
    task<> ssubscribe(std::vector<std::string> names) {
        return add(topic_kind::shard, std::move(names));
    }
    template <std::convertible_to<std::string_view>... Names>
    task<> sunsubscribe(const Names&... names) {
        return drop(topic_kind::shard, list(names...));
    }
    task<> sunsubscribe(std::vector<std::string> names) {
        return drop(topic_kind::shard, std::move(names));
    }
    task<> sunsubscribe_all() { return drop_all(topic_kind::shard); }

    /// Ends it: what waits is dropped, next() returns nothing. Returns when the server has been
    /// told, or a connection of its own has been closed.
    task<> close();

    /// How many topics it has subscribed to.
    std::size_t topics() const noexcept { return listener_->topics(); }
    /// Messages that wait to be taken.
    std::size_t waiting() const noexcept { return listener_->size(); }
    /// Messages that were dropped because it was too slow.
    std::uint64_t dropped() const noexcept { return listener_->dropped(); }
    /// Of its connection.
    const std::shared_ptr<pubsub_hub>& hub() const noexcept { return hub_; }

private:
    template <class... Names>
    static std::vector<std::string> list(const Names&... names) {
        static_assert(sizeof...(Names) > 0, "which ones? see unsubscribe_all()");
        std::vector<std::string> all;
        all.reserve(sizeof...(Names));
        (all.emplace_back(std::string_view(names)), ...);
        return all;
    }
    task<> add(topic_kind kind, std::vector<std::string> names) {
        return hub_->subscribe(*listener_, kind, std::move(names));
    }
    task<> drop(topic_kind kind, std::vector<std::string> names) {
        return hub_->unsubscribe(*listener_, kind, std::move(names));
    }
    task<> drop_all(topic_kind kind) { return drop(kind, hub_->topics_of(*listener_, kind)); }

    std::shared_ptr<pubsub_hub> hub_;
    std::unique_ptr<listener> listener_;
};

/// A connection for several subscribers, which share what they want alike.
///
/// The connection closes with the last of its subscribers and copies.
class pubsub {
public:
    /// Throws like client::connect.
    static task<pubsub> connect(std::string where, pubsub_options how = {});
    static task<pubsub> connect(url where, pubsub_options how = {});

    /// With the policy to block, one slow subscriber holds up all of them.
    redis::subscriber subscriber(const inbox_options& limits = {}) { return {hub_, limits}; }

    /// Ends it and all its subscribers; returns when the connection has been closed.
    task<> close() { return hub_->closed(); }

    const std::shared_ptr<pubsub_hub>& hub() const noexcept { return hub_; }

private:
    explicit pubsub(std::shared_ptr<pubsub_hub> hub) noexcept : hub_(std::move(hub)) {}

    std::shared_ptr<pubsub_hub> hub_;
};

}  // namespace ouro::redis
