// topics.hpp: who wants to hear what on one connection, and what the server has been told of it.
//
//   listener ──membership── topic ──changed──> compose() ──> SUBSCRIBE …, PING with a token
//                             ^                                        │
//                             └── confirmations (pushes), errors <─────┘
//
//  1. What is wanted (a topic has members) and what is (its state) are kept apart. A topic in which
//     they differ is in the list of the changed ones, and the next round mends all of them in one
//     write. So who comes and goes while a round is on its way needs no special care, and a new
//     connection is a round that begins with nothing.
//  2. One round is on its way at a time: confirmations between its sending and the reply to its
//     PING belong to it. The PING has a token that no other round has, and only that ends the
//     round.
//  3. A subscribing command that succeeds has no reply, only pushes, one for each name; when it
//     fails, it has an error and no push. Replies come in the order of the commands, so an error
//     belongs to the first command whose confirmations have not all come.
//  4. When the slot of a shard channel moves, the server says `sunsubscribe` without being asked.
//     This looks like the confirmation of a SUNSUBSCRIBE on its way, which then has an error
//     all the same. So that push says that the channel is gone, and not that the command was
//     answered; whose the errors are is known when the round is over. With every command answered
//     for sure, an error is the PING's, and the round is over, too.
//  5. A command of several names is refused as a whole. Each name then gets a command of its own,
//     so that the one that is at fault is known and the others live.
//  6. Who becomes a member of a topic that the server knows is heard at once; nothing is sent. The
//     last one who leaves has it given up.
#pragma once

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/pubsub/inbox.hpp>
#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/kv/redis/value.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <vector>

namespace ouro::redis {

class topic;
class topic_table;

/// One subscriber, as those who deliver know it.
class listener final : public inbox, public list_hook<listener> {
public:
    class membership;

    listener(topic_table& home, const inbox_options& options) : inbox(options), home_(home) {}
    /// Leaves everything; whoever waits must have ended.
    ~listener();

    /// Topics it is a member of.
    std::size_t topics() const noexcept { return memberships_.size(); }
    /// Null when it is not a member.
    membership* find(const topic& of) noexcept;

private:
    friend class topic_table;

    void taken() noexcept override;

    topic_table& home_;
    std::unordered_map<const topic*, membership> memberships_;
    std::size_t missing_ = 0;   // confirmed memberships whose topic the server does not know now
    bool interrupted_ = false;  // was told so, and has not been told that it goes on
    bool full_ = false;         // holds the connection back
};

/// That a listener wants a topic.
class listener::membership : public list_hook<membership> {
public:
    membership(listener& who, topic& of) noexcept : who(who), of(of) {}

    listener& who;
    topic& of;
    bool confirmed = false;     // the server has known the topic since, or did before
    std::uint32_t waiting = 0;  // calls that wait for the confirmation
};

/// A channel, pattern or shard channel that somebody wants, or that the server still sends.
class topic : public list_hook<topic> {
public:
    enum class state : std::uint8_t {
        absent,         // the server does not know of it
        subscribing,    // in the round on its way
        present,        // the server sends its messages
        unsubscribing,  // in the round on its way
        refused,        // the server would not have it: `code` and `words`
        stuck,          // present, and the server would not give it up
    };

    topic(topic_kind kind, std::string name) : kind(kind), name(std::move(name)) {}

    const topic_kind kind;
    const std::string name;
    state is = state::absent;
    bool alone = false;            // to be asked for by a command of its own
    std::uint32_t part = no_part;  // of the round it is in, until that has ended
    std::error_code code;          // when refused or stuck
    std::string words;
    intrusive_list<listener::membership, listener::membership> members;

    static constexpr std::uint32_t no_part = ~std::uint32_t{0};

    bool heard() const noexcept { return is == state::present || is == state::stuck; }
    bool in_round() const noexcept { return part != no_part; }
    bool wants_round() const noexcept {
        return members.empty() ? is == state::present : is == state::absent;
    }
};

/// The topics of one connection. Knows bytes and values, no socket and no time; its listeners'
/// inboxes wake those who wait. Worker-local; does not move.
class topic_table {
public:
    topic_table() noexcept = default;
    topic_table(const topic_table&) = delete;
    topic_table& operator=(const topic_table&) = delete;

    /// Makes `who` a member, or finds that it is. May throw std::bad_alloc.
    listener::membership& join(listener& who, topic_kind kind, std::string_view name);
    void leave(listener::membership& from) noexcept;
    void leave_all(listener& who) noexcept;
    /// Topics of one kind that it is a member of.
    std::vector<std::string> topics_of(const listener& who, topic_kind kind) const;

    /// Null when nobody wants it and the server does not know it.
    topic* find(topic_kind kind, std::string_view name) noexcept;
    /// Topics that somebody wants or the server knows.
    std::size_t size() const noexcept;

    /// Whether there is something to tell the server.
    bool changed() const noexcept { return !changed_.empty(); }
    /// Whether what there is to tell was refused for a reason that passes: ask again a bit later.
    bool be_patient() const noexcept { return patient_; }

    /// Begins a round: the commands that say everything that has changed, and a PING behind them.
    /// Valid until the next call. What was in an unfinished round is asked for again. When it
    /// throws, for want of memory, call begin_again().
    std::span<const std::byte> compose();
    void begin_again() noexcept;
    /// Begins a round that is a PING and nothing else.
    std::span<const std::byte> compose_nothing();
    /// What a reply is to the round.
    enum class answer : std::uint8_t {
        more,     // an error of one of its commands; more will come
        last,     // that to its PING: the round is over
        foreign,  // none of its own: the connection is not to be trusted
    };
    answer reply(const value& from);
    /// The round ended without a reply to its PING.
    void abandon_round() noexcept;

    /// A push: a message goes to its listeners, a confirmation to the round, everything else is
    /// ignored.
    void push(const value& from);

    /// Whether a listener is full whose policy is to hold the connection back.
    bool held_back() const noexcept { return full_ > 0; }

    /// The connection was lost: the server knows nothing any more.
    void lost(std::string_view why) noexcept;

protected:
    ~topic_table();

private:
    friend class listener;

    /// Nobody holds the connection back any more.
    virtual void let_go() noexcept {}

    struct name_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept {
            return std::hash<std::string_view>()(name);
        }
    };
    // Keyed by views of the topics' own names.
    using map = std::unordered_map<std::string_view, std::unique_ptr<topic>, name_hash>;

    /// One command of a round.
    struct part {
        std::uint32_t names = 0;
        std::uint32_t confirmed = 0;
        bool subscribe = true;
        bool shard = false;         // then it has one name
        std::uint16_t slot = 0;     // of a shard channel
        std::error_code code = {};  // when it was refused
        std::string words = {};

        bool open() const noexcept { return confirmed < names; }
        /// What confirmed it may have been the server's own news.
        bool doubtful() const noexcept { return shard && !subscribe && !open(); }
    };
    /// An error reply to one of the commands of a round.
    struct failure {
        std::error_code code;
        std::string words;
        std::size_t behind;                 // the first commands, that had been answered for sure
        std::optional<std::uint16_t> slot;  // that it says has moved
    };

    map& of(topic_kind kind) noexcept { return topics_[static_cast<std::size_t>(kind)]; }
    void consider(topic& one) noexcept;
    void add_part(bool subscribe, topic_kind kind, std::span<topic* const> some);
    void add_fence();
    bool is_token(const value& from) const noexcept;
    bool is_of_fence(std::string_view words) const noexcept;
    void confirm(topic& one, bool subscribed) noexcept;
    void confirm_part(const topic& one, bool sure) noexcept;
    void blame() noexcept;
    void forget_round() noexcept;
    void end_round() noexcept;
    void refuse(topic& one, const part& why) noexcept;
    void came_back(topic& one) noexcept;
    void went_away(topic& one, const message& news) noexcept;
    void expel(topic& one, std::string_view why) noexcept;
    void remove(listener::membership& from) noexcept;
    void found(listener& who) noexcept;
    void has_room(listener& who) noexcept;
    void deliver(topic& to, const message::parts& what) noexcept;
    void take_message(topic_kind kind, const value& from);
    void take_confirmation(topic_kind kind, bool subscribed, const value& from);

    std::array<map, 3> topics_;
    intrusive_list<topic, topic> changed_;
    std::vector<topic*> in_round_;
    std::vector<part> parts_;
    std::vector<failure> failures_;  // in the order in which they came
    std::size_t answered_ = 0;       // the last part that was answered for sure, and those before
    std::vector<std::byte> bytes_;   // of the round
    std::string token_;              // of its PING; empty when there is none
    std::uint64_t rounds_ = 0;
    std::size_t full_ = 0;  // listeners that hold the connection back
    bool patient_ = false;
};

}  // namespace ouro::redis
