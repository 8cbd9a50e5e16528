// core.hpp: what the doors to one cluster share: the map, its upkeep, the way to a slot.
//
//   routed_request ──deliver──> node of its slot ──node_batch──> session of the node
//      ^                                                          │
//      └────── not here, not now: judged, and sent on <───────────┘
//
//  1. One function follows MOVED and everything like it: deliver, in cluster.cpp. A command, each
//     command of a pipeline and a whole transaction are routed requests; each has a budget of its
//     own, and none that succeeded is sent again.
//  2. MOVED changes the map at once, for that slot, and asks for a new one. ASK changes nothing:
//     ASKING goes right in front of the command, in the same write, on the same connection.
//  3. One task reads the map anew: when it is asked to, but not too often, and after a while
//     without being asked. The table is built aside, then swapped in.
//  4. A session lives for one connection. When it ends, its requests come back as unsent or
//     unanswered, and go to where their slots are by then.
#pragma once

#include <ouro/kv/redis/cluster/map.hpp>
#include <ouro/kv/redis/cluster/routed_request.hpp>
#include <ouro/kv/redis/url.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/auto_reset_event.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// Which command tells the table of slots. Each is tried when the other is not understood.
enum class topology_command : std::uint8_t {
    cluster_slots,   ///< every version has it
    cluster_shards,  ///< since 7.0
};

/// How a cluster client behaves.
struct cluster_options {
    read_preference read_from = read_preference::master;
    std::uint8_t redirects_max = 5;  ///< of MOVED and ASK, for each command; waiting costs none
    /// Waits after TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN and when a node cannot be reached.
    backoff_options retry = {.first = std::chrono::milliseconds(10),
                             .ceiling = std::chrono::milliseconds(500)};
    bool repeat_writes = false;  ///< sends writes again, too, that may have been done already
    std::uint8_t repeats = 2;    ///< times that a read is sent again when its connection was lost

    topology_command topology = topology_command::cluster_slots;
    duration refresh_interval = std::chrono::seconds(60);  ///< and up to a quarter less; zero: none
    duration refresh_spacing = std::chrono::milliseconds(250);  ///< between two at the least
    duration refresh_timeout = std::chrono::seconds(1);         ///< for the answer of each node

    std::size_t dedicated_max = 16;            ///< leased connections at a time, to each node
    std::size_t dedicated_from = 2000;         ///< that many commands for a node go on a leased one
    std::string_view client_name = {};         ///< CLIENT SETNAME; copied when connecting
    credential_source* credentials = nullptr;  ///< who we are at every node; see client_options
    duration connect_timeout = std::chrono::seconds(1);  ///< then it counts as gone for now
    /// How each connection is made and kept; its request_timeout is for a command with all that it
    /// meets.
    link_options link = {};
};
// g++ 12 copies what stands in an awaited expression byte by byte.
static_assert(std::is_trivially_copyable_v<cluster_options>);

/// Counts what a cluster client has done since it was made.
struct cluster_figures {
    std::uint64_t moved = 0;             ///< MOVED, followed
    std::uint64_t asked = 0;             ///< ASK, followed
    std::uint64_t waits = 0;             ///< times that a command had to wait for the cluster
    std::uint64_t refreshes = 0;         ///< of the table of slots
    std::uint64_t refreshes_failed = 0;  ///< because no node answered
    std::uint64_t changes = 0;           ///< of these, tables that were new
};

/// Is told when slots have another master. Called from the loop; it must not block.
class slots_observer : public list_hook<slots_observer> {
public:
    virtual void slots_moved() noexcept = 0;

protected:
    ~slots_observer() = default;
};

/// The nodes of a cluster and the way to them. Worker-local.
class cluster_core final : public std::enable_shared_from_this<cluster_core>,
                           private cluster_node_observer {
public:
    using node_ptr = cluster_map::node_ptr;

    /// Connects to the cluster that one of the seeds belongs to. The copies of the pointer keep it;
    /// what was begun with it must have ended before the last of them dies.
    static task<std::shared_ptr<cluster_core>> open(std::vector<url> seeds,
                                                    cluster_options options);

    cluster_core(std::vector<url> seeds, cluster_options options);

    /// Takes every request to the node of its slot, wherever that may be by then, and returns when
    /// each has its replies or has failed. All are under way at once; those for one node are sent
    /// in their order. Reorders the span. `patience` is how long they may take; duration::max():
    /// for ever. Errands on a connection of their own must go alone.
    task<> deliver(std::span<routed_request*> left, duration patience, bool leased = false);
    task<> deliver(std::span<routed_request*> left) { return deliver(left, patience()); }
    /// As the options say: how long a command may take, with all it meets.
    duration patience() const noexcept {
        const duration limit = options_.link.requests.request_timeout;
        return limit > duration::zero() ? limit : duration::max();
    }

    /// Waits until the table has changed, but not for longer than the next wait of `wait`.
    task<> rest(backoff& wait);

    /// Asks for a new table soon. `likely` may know more than others.
    void want_refresh(node_ptr likely = nullptr) noexcept;
    /// Reads the table of slots now. False when no node could tell it.
    task<bool> refresh();

    cluster_map& map() noexcept { return map_; }
    const cluster_options& options() const noexcept { return options_; }
    const cluster_figures& figures() const noexcept { return figures_; }

    /// How to connect to the master of a slot, for who needs a session of his own, such as for
    /// shard channels; nothing when nobody serves it.
    std::optional<session_options> how_to_reach(std::uint16_t slot) const;
    /// A node said MOVED to somebody else than deliver.
    void heed(std::string_view words, const node_endpoint& said_by);
    void observe(slots_observer& observer) noexcept { observers_.push_back(observer); }

    bool is_closed() const noexcept { return closed_; }
    void close() noexcept;
    static task<> closed(std::shared_ptr<cluster_core> self);
    static task<> reauthenticate(std::shared_ptr<cluster_core> self);

private:
    struct leg;
    enum class verdict : std::uint8_t { done, at_once, later };

    // On the way: cluster.cpp.
    static std::span<routed_request*> ready_ones(std::span<routed_request*> left);
    std::span<routed_request*> settle(std::span<routed_request*> left, std::size_t sent,
                                      bool may_wait);
    node_ptr node_for(routed_request& one);
    bool choose(routed_request& one);
    task<> learn_slots();
    task<> carry_all(std::span<routed_request*> now, time_point deadline, bool leased);
    task<> carry(leg& one, time_point deadline, bool leased);
    verdict judge(routed_request& one);
    verdict redirect(routed_request& one, const node_ptr& was_at, bool asked);
    verdict came_back(routed_request& one, const node_ptr& was_at);

    // The map: cluster_core.cpp.
    static task<> keep(std::shared_ptr<cluster_core> self);
    task<> measure();
    task<result<slot_table>> ask(node_ptr node);
    std::vector<node_ptr> candidates();
    void changed() noexcept;
    void node_in_trouble() noexcept override { want_refresh(); }
    static session_options how_to_be(const url& seed, const cluster_options& options);

    std::vector<node_endpoint> seeds_;
    cluster_options options_;
    cluster_map map_;
    cluster_figures figures_;
    chance chance_;

    auto_reset_event wanted_;   // a new table
    auto_reset_event changed_;  // wakes those who wait for one
    node_ptr likely_;
    std::error_code trouble_;  // why nobody could tell
    std::string trouble_about_;
    std::string trouble_words_;
    time_point refreshed_at_;
    intrusive_list<slots_observer, slots_observer> observers_;
    std::optional<join_handle<void>> keeper_;
    event over_;
    bool closed_ = false;
};

}  // namespace ouro::redis
