// routed_request.hpp: what is to be asked of whichever node of a cluster serves a slot.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/net/pool/pool.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace ouro::redis {

class cluster_node;
class node_connection;

/// Whether an error reply says "not here" or "not now", rather than anything about the command.
bool concerns_cluster(std::error_code code, std::string_view words) noexcept;

/// A command, or several that go together, on the way to where its slot is: possibly by way of
/// nodes that send it on.
///
/// The cluster moves it; whoever made it supplies the bytes and takes the reply. An error reply
/// that only says "not here" or "not now" is the cluster's business, and reaches `take` never, and
/// `fail` only when the cluster has given up.
class routed_request {
public:
    routed_request(const routed_request&) = delete;
    routed_request& operator=(const routed_request&) = delete;

    /// The slot; nothing when any master will do.
    std::optional<std::uint16_t> slot() const noexcept { return slot_; }
    /// May go to a replica.
    bool reads() const noexcept { return reads_; }
    /// May be sent again when nobody knows whether it was done.
    bool repeatable() const noexcept { return repeatable_; }

protected:
    routed_request() noexcept = default;
    ~routed_request() = default;

    void set_slot(std::optional<std::uint16_t> slot) noexcept { slot_ = slot; }
    void set_reads(bool reads) noexcept { reads_ = reads; }
    void set_repeatable(bool repeatable) noexcept { repeatable_ = repeatable; }
    /// For one node, and no other.
    void pin_to(std::shared_ptr<cluster_node> node) noexcept;
    /// Goes first to the node that has answered `before`, if one has.
    void follow(const routed_request& before) noexcept;

private:
    friend class cluster_core;
    friend class node_batch;

    /// Writes the bytes to send; the same whenever it is asked. See exchange::encode.
    virtual bool encode(net::writer& out) const = 0;
    /// How many replies that has.
    virtual std::uint32_t replies() const noexcept { return 1; }
    /// One of them. May throw std::bad_alloc.
    virtual void take(const value& from) = 0;
    /// There will be no reply, or it was this error, whose words are the server's.
    virtual void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept = 0;
    /// It went on a connection of its own, and has its replies: here it is, for whoever wants it.
    virtual void keep(net::pool<connection>::lease&&) noexcept {}
    /// It is sent again: forget what was taken.
    virtual void restart() noexcept {}

    /// It sets out, as if for the first time.
    void begin() noexcept;
    /// It is about to be sent.
    void attempt() noexcept;
    /// A reply came from a node.
    void accept(const value& from);
    /// The attempt has failed on the way.
    void lost(std::error_code why, net::fate how_far) noexcept;
    /// Its maker is told why it has no reply. A request that was sent and not answered in any
    /// attempt is not unsent, whatever became of the last one.
    void give_up() noexcept;
    /// The connection of its node that it goes on, …
    node_connection& way() const noexcept { return way_through(*node_); }
    /// … or would go on if it went to this node.
    node_connection& way_through(cluster_node& node) const noexcept;

    std::optional<std::uint16_t> slot_;
    bool reads_ = false;
    bool repeatable_ = false;
    bool pinned_ = false;
    std::shared_ptr<cluster_node> first_;  // where it goes first; null: where the slot is
    bool first_at_replica_ = false;

    // Of the last attempt that was.
    std::weak_ptr<cluster_node> answered_by_;
    bool answered_at_replica_ = false;

    // Of the present attempt.
    std::shared_ptr<cluster_node> node_;  // where it is, or shall go; null: where the slot is
    std::shared_ptr<session> session_;    // on which it is
    bool asking_ = false;                 // with ASKING in front
    bool at_replica_ = false;
    std::uint32_t taken_ = 0;                // replies
    std::error_code error_;                  // why it must go on, or has failed
    std::string words_;                      // of the server
    net::fate how_far_ = net::fate::unsent;  // this attempt: see give_up

    // Of all attempts.
    std::uint8_t redirects_ = 0;
    std::uint8_t repeats_ = 0;
    bool waits_ = false;         // not to be sent at once
    bool may_be_done_ = false;   // an attempt was sent and not answered
    bool came_back_ = false;     // a connection has failed it
    bool masters_only_ = false;  // a replica has failed it
};

/// Carries requests to one node: one exchange, in which each that needs it has ASKING right in
/// front.
class [[nodiscard]] node_batch final : public request {
public:
    node_batch(session& on, routed_request& alone) noexcept;
    node_batch(session& on, std::span<routed_request* const> all) noexcept;

    void add_patience() noexcept { be_patient(); }

    void await_resume() const noexcept {}
    result<void> await_result() const noexcept { return {}; }

    void describe(leaf_description& into) const override;

private:
    std::span<routed_request* const> all() const noexcept {
        return alone_ ? std::span<routed_request* const>(&alone_, 1) : many_;
    }
    bool encode(net::writer& out) override;
    bool take(const value& from) noexcept override;
    void failed(std::error_code why, net::fate how_far) noexcept override;
    void count_replies() noexcept;

    routed_request* alone_ = nullptr;
    std::span<routed_request* const> many_;
    std::size_t next_ = 0;       // whose reply comes next
    bool asking_taken_ = false;  // its ASKING was answered
};

}  // namespace ouro::redis
