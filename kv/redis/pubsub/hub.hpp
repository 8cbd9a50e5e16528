// hub.hpp: keeps one connection's subscriptions as its subscribers want them.
#pragma once

#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/pubsub/topics.hpp>
#include <ouro/net/session/fate.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/wait_list.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// What the subscribers on one connection share.
///
/// A task of its own tells the server what has changed, a round at a time (see topics.hpp), as long
/// as there is something to tell: so a caller that is cancelled in the middle leaves no half of an
/// exchange behind. Worker-local; does not move.
class pubsub_hub final : private session_observer,
                         public topic_table,
                         public std::enable_shared_from_this<pubsub_hub> {
public:
    /// On a connection of its own, which is closed when the last copy of the pointer dies.
    static std::shared_ptr<pubsub_hub> open(session_options how);
    /// On a connection that others use, too. It must speak RESP3, or be for pub/sub alone.
    static std::shared_ptr<pubsub_hub> share(session& with);

    /// `keeper` is null where others own the session.
    pubsub_hub(session& on, std::shared_ptr<session> keeper);
    ~pubsub_hub();

    /// Waits until it is connected for the first time, or throws why that failed.
    task<> ready() { return session_->ready(); }

    /// Makes `who` a member of all these topics, and returns when the server sends their messages.
    /// Throws redis::error with the server's words; then, and when it is cancelled, what this call
    /// has added is taken back.
    task<> subscribe(listener& who, topic_kind kind, std::vector<std::string> names);
    /// Takes `who` out at once, and returns when the server has given up what nobody wants.
    task<> unsubscribe(listener& who, topic_kind kind, std::vector<std::string> names);

    /// Whoever is added gets the end when the connection ends for good.
    void add(listener& who) noexcept;
    /// Leaves everything for `who`. Returns at once; the server is told soon.
    void remove(listener& who) noexcept;
    /// Waits until the server has been told all there is to tell it, or there is no server.
    task<> idle();

    /// Whether nobody listens.
    bool empty() const noexcept { return listeners_.empty(); }

    /// Ends it: every inbox ends, and a connection of its own is closed.
    void close() noexcept;
    /// The same, and waits until a connection of its own has been closed.
    task<> closed();
    bool is_closed() const noexcept { return ended_; }
    /// Whether the connection is its own.
    bool owns() const noexcept { return keeper_ != nullptr; }

    session& on() const noexcept { return *session_; }

private:
    class round_request;
    class round_wait;
    class claim;

    /// Begins to work when there was no memory for it before.
    class work_again final : public timer {
    public:
        explicit work_again(pubsub_hub& of) noexcept : hub_(of) {}

    private:
        void fire() noexcept override { hub_.work(); }

        pubsub_hub& hub_;
    };

    void connected() noexcept override;
    void disconnected(std::error_code why) noexcept override;
    void ended() noexcept override;
    void pushed(const value& from) noexcept override;
    void let_go() noexcept override { session_->resume(); }

    void work() noexcept;
    /// Keeps the hub alive as long as its task lives, also before its first step.
    static task<> run(std::shared_ptr<pubsub_hub> self);
    void end_rounds(std::error_code why, net::fate how_far) noexcept;
    task<> round_end(std::string_view about);
    task<> limited(task<> waiting);
    task<> settled(listener& who, topic_kind kind, const std::vector<std::string>& names);
    task<> gone(topic_kind kind, const std::vector<std::string>& names);

    std::shared_ptr<session> keeper_;  // closes the session when it is let go of; null when shared
    std::shared_ptr<session> session_;
    intrusive_list<listener, listener> listeners_;
    wait_list rounds_;  // who waits for the end of a round
    work_again again_{*this};
    bool working_ = false;
    bool ended_ = false;
};

}  // namespace ouro::redis
