// redis_groups.hpp: redis servers that belong together: a cluster, a master with its sentinels.
#pragma once

#include <ouro/tests/kv/servers.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro {

struct redis_cluster_options {
    std::size_t masters = 3;
    std::size_t replicas = 1;  ///< of each master
    std::chrono::milliseconds node_timeout = std::chrono::seconds(2);
    std::string password;
    std::vector<std::string> config;     ///< more lines of every node's redis.conf
    std::optional<server_tls> tls = {};  ///< of every node
};

/// A cluster made by `redis-cli --cluster create`. The constructor returns when every node says
/// that it is whole and every replica has its master's data.
class redis_cluster {
public:
    explicit redis_cluster(redis_cluster_options options = {});

    std::size_t size() const noexcept { return nodes_.size(); }
    /// In the order in which they were started; at first, the masters come first.
    redis_server& node(std::size_t at) const noexcept { return *nodes_[at]; }

    /// The node that is master of a slot by what the running nodes know.
    redis_server& owner(unsigned slot) const;
    redis_server& owner_of(std::string_view key) const { return owner(slot_of(key)); }
    /// A running replica of the given master.
    redis_server& replica_of(const redis_server& master) const;
    /// The slot of a key, as the server reckons it.
    unsigned slot_of(std::string_view key) const;
    /// The 40 digits by which the nodes know this one.
    static std::string id_of(const redis_server& node);

    // A slot moves in three acts, so that a test can stand in the middle. In between, the old owner
    // answers ASK for keys that are gone and TRYAGAIN for several of which only some are.

    void begin_move(unsigned slot, const redis_server& to) const;
    /// Moves one key of a slot that moves, or at most `keys_max` of them; how many.
    void move_key(std::string_view key, const redis_server& to) const;
    std::size_t move_keys(unsigned slot, const redis_server& to, std::size_t keys_max = 1000) const;
    /// Returns when every running node knows the new owner.
    void finish_move(unsigned slot, const redis_server& to) const;
    /// All of it at once.
    void move_slot(unsigned slot, const redis_server& to) const;

    /// Has a replica take its master's place (CLUSTER FAILOVER) and returns when all know it.
    void fail_over_to(redis_server& replica) const;

    /// Waits until every running node says that all slots are served, all of them agree who serves
    /// them, and each running replica is connected to a running master.
    void wait_until_whole() const;

private:
    void create() const;
    bool is_whole() const;
    std::vector<std::string> with_password(std::vector<std::string> command) const;

    redis_cluster_options options_;
    std::vector<std::unique_ptr<redis_server>> nodes_;
};

struct redis_sentinels_options {
    std::size_t replicas = 2;
    std::size_t sentinels = 3;
    std::chrono::milliseconds down_after = std::chrono::seconds(1);
    std::chrono::milliseconds failover_timeout = std::chrono::seconds(5);
    std::string password;                ///< of master and replicas
    std::string sentinel_password;       ///< of the sentinels
    std::optional<server_tls> tls = {};  ///< of all of them
};

/// A master, its replicas, and the sentinels that watch over them under the name "mymaster". The
/// constructor returns when every sentinel knows all the others and could fail over.
class redis_sentinels {
public:
    static constexpr std::string_view name = "mymaster";

    explicit redis_sentinels(redis_sentinels_options options = {});

    std::size_t servers() const noexcept { return servers_.size(); }
    /// 0 is the first master, the others are its replicas.
    redis_server& server(std::size_t at) const noexcept { return *servers_[at]; }
    std::size_t sentinels() const noexcept { return sentinels_.size(); }
    redis_server& sentinel(std::size_t at) const noexcept { return *sentinels_[at]; }

    /// The server that the running sentinels name as master; throws when they do not agree.
    redis_server& master() const;
    /// Waits until every running sentinel names a running master other than `old`, and that one
    /// says so itself.
    void wait_until_failed_over(const redis_server& old) const;
    /// Waits until every running sentinel sees all the others, and each replica has its master's
    /// data.
    void wait_until_whole() const;

private:
    bool is_whole() const;
    void start_sentinel();

    redis_sentinels_options options_;
    std::vector<std::unique_ptr<redis_server>> servers_;
    std::vector<std::unique_ptr<redis_server>> sentinels_;
};

}  // namespace ouro
