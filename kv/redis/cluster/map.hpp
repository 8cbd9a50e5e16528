// map.hpp: the nodes of a cluster, and which of them serves which slot.
#pragma once

#include <ouro/kv/redis/cluster/node.hpp>
#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/runtime/time/chance.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace ouro::redis {

/// The nodes that answer reads.
enum class read_preference : std::uint8_t {
    master,    ///< the master of the slot: what was written is read
    replicas,  ///< its replicas in turn, the master when none answers; may be a little behind
    nearest,   ///< whichever of them has the lowest latency; may be a little behind
};

/// The nodes by their places, and a table of slots.
///
/// A new table is built aside by who reads it, and takes the place of the old one at once. Nodes
/// that are in neither the table nor use then disappear: whoever still waits for one of their
/// replies holds the session, which closes after the last of them.
class cluster_map {
public:
    using node_ptr = std::shared_ptr<cluster_node>;

    cluster_map(session_options how, std::size_t dedicated_max, cluster_node_observer& observer)
        : how_(std::move(how)), dedicated_max_(dedicated_max), observer_(observer) {}

    /// The node at a place; a new one if it was not known.
    node_ptr at(const node_endpoint& where);

    /// Swaps in another table. Returns whether it says anything new. Nodes that are not in it are
    /// let go of.
    bool replace(slot_table table);
    /// A slot belongs to another master now, says a node.
    void move(std::uint16_t slot, const node_endpoint& to);

    const slot_table& table() const noexcept { return table_; }

    /// The master of a slot; null when nobody serves it.
    node_ptr master_of(std::uint16_t slot) const;
    /// A replica for a read, or the master when that is better. Null: as above.
    node_ptr reader_of(std::uint16_t slot, read_preference preference);
    /// Some master, each in turn, those in trouble only if all are; null when there is none.
    node_ptr any_master();

    /// The masters that serve slots.
    std::vector<node_ptr> masters() const;
    /// Masters and replicas.
    std::vector<node_ptr> nodes() const;
    /// Those, and others that are known.
    std::vector<node_ptr> known() const;

    /// Lets go of all connections; see cluster_node::drop.
    void drop_all() noexcept;
    /// Forgets everything.
    void clear() noexcept;

private:
    struct members {
        node_ptr master;
        std::vector<node_ptr> replicas;
        std::size_t next_replica = 0;  // whose turn it is
    };

    members members_of(const shard& from);
    node_ptr reader_in(members& of, read_preference preference);
    void forget_strangers() noexcept;
    void forget_all_but(std::vector<node_ptr> wanted) noexcept;

    session_options how_;
    std::size_t dedicated_max_;
    cluster_node_observer& observer_;
    std::map<node_endpoint, node_ptr> nodes_;
    slot_table table_;
    std::vector<members> shards_;  // beside table_.shards()
    std::size_t next_master_ = 0;
};

}  // namespace ouro::redis
