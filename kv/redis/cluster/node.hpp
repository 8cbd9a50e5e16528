// node.hpp: one server of a cluster, and the client's connections to it.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace ouro::redis {

/// Is told when something happened that may mean that the cluster has changed.
class cluster_node_observer {
public:
    /// A connection to a node has ended, or could not be made.
    virtual void node_in_trouble() noexcept = 0;

protected:
    ~cluster_node_observer() = default;
};

/// One connection for many, opened when it is first used and again after it was lost, but after a
/// failed attempt, or a second connection that did not last, not before its time: who asks
/// meanwhile is told what failed.
class node_connection final : private session_observer {
public:
    node_connection(session_options how, cluster_node_observer& observer) noexcept;
    node_connection(const node_connection&) = delete;
    ~node_connection() { drop(); }

    /// The session. It stays open as long as somebody has it; null when connecting has failed and
    /// it is too early to try again: see trouble().
    std::shared_ptr<session> get();
    /// Forgets the session, so that the next one who asks gets another. Who waits there waits on.
    void drop() noexcept;
    /// Whether there is a connection now.
    bool is_connected() const noexcept { return session_ && session_->is_connected(); }
    /// Whether the last attempt to connect has failed.
    bool in_trouble() const noexcept;
    /// Why.
    std::error_code trouble() const noexcept { return trouble_; }
    /// What the server said, or the system, about the last attempt to connect.
    const std::string& trouble_words() const noexcept { return trouble_words_; }
    void set_trouble(std::error_code why) noexcept {
        if (trouble_ != why) trouble_words_.clear();
        trouble_ = why;
    }
    /// The session, if it was opened.
    const std::shared_ptr<session>& present() const noexcept { return session_; }

private:
    void refused(std::error_code why, std::string_view words) noexcept override;
    void connected() noexcept override;
    void disconnected(std::error_code why) noexcept override;

    session_options how_;
    cluster_node_observer& observer_;
    std::shared_ptr<session> session_;
    backoff wait_;
    time_point opened_at_;
    time_point not_before_;
    time_point connected_at_;
    std::error_code trouble_;
    std::string trouble_words_;
    bool answered_ = false;  // the session was connected once
    bool lost_ = false;      // and is no more
    bool unsteady_ = false;  // the last one did not last
};

/// One server of a cluster. Worker-local, stays where it is.
class cluster_node {
public:
    cluster_node(const node_endpoint& where, session_options how, std::size_t dedicated_max,
                 cluster_node_observer& observer);
    cluster_node(const cluster_node&) = delete;

    const node_endpoint& where() const noexcept { return where_; }

    /// The connection for everything but reads from a replica.
    node_connection& commands() noexcept { return commands_; }
    /// The one on which READONLY was said.
    node_connection& reads() noexcept { return reads_; }
    /// A connection of one's own.
    net::pool<connection>::acquire_op lease();
    /// The options of a session for this node alone, such as one for pub/sub.
    const session_options& how() const noexcept { return how_; }

    /// How long a PING takes, smoothed; zero: it was never asked.
    duration latency() const noexcept { return latency_; }
    /// A PING took so long.
    void measured(duration took) noexcept;

    /// Leased connections are closed when they come back, and not lent again.
    void retire_leased();
    /// Lets go of all connections; who uses one keeps it until he is done.
    void drop() noexcept;
    /// Closes those that are lent to one each, and waits until they are.
    task<> close();

private:
    node_endpoint where_;
    session_options how_;
    std::size_t dedicated_max_;
    node_connection commands_;
    node_connection reads_;
    std::unique_ptr<net::pool<connection>> own_;  // made when first needed
    duration latency_{0};
};

}  // namespace ouro::redis
