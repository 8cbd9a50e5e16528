// cluster.hpp: the nodes of a cluster and their slots, for who runs one.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

enum class failover_kind { normal, force, takeover };

/// What CLUSTER SETSLOT says of a slot.
enum class slot_state {
    importing,  ///< from that node
    migrating,  ///< to that node
    node,       ///< it belongs to that node
    stable,     ///< it stays where it is
};

/// The cluster commands of a door: about the node that answers. One that is part of no cluster says
/// errc::server_error.
template <class Door>
class cluster_commands {
public:
    /// CLUSTER ADDSLOTS: the node serves them.
    auto cluster_addslots(const words& slots) {
        return door().template run<void>(verb::cluster_addslots, slots.args());
    }
    /// CLUSTER ADDSLOTSRANGE: `{{0, 5460}}`, both included.
    auto cluster_addslotsrange(const pairs& ranges) {
        return door().template run<void>(verb::cluster_addslotsrange, ranges.args());
    }
    /// CLUSTER BUMPEPOCH: what the node says.
    auto cluster_bumpepoch() { return door().template run<std::string>(verb::cluster_bumpepoch); }
    /// CLUSTER COUNT-FAILURE-REPORTS: how many nodes think that this one has failed.
    auto cluster_count_failure_reports(std::string_view node) {
        return door().template run<std::int64_t>(verb::cluster_count_failure_reports, {node});
    }
    /// CLUSTER COUNTKEYSINSLOT
    auto cluster_countkeysinslot(std::uint16_t slot) {
        return door().template run<std::int64_t>(verb::cluster_countkeysinslot, {slot});
    }
    /// CLUSTER DELSLOTS: the node serves them no more.
    auto cluster_delslots(const words& slots) {
        return door().template run<void>(verb::cluster_delslots, slots.args());
    }
    /// CLUSTER DELSLOTSRANGE: both ends included.
    auto cluster_delslotsrange(const pairs& ranges) {
        return door().template run<void>(verb::cluster_delslotsrange, ranges.args());
    }
    /// CLUSTER FAILOVER: this replica and its master change places.
    auto cluster_failover(failover_kind how = failover_kind::normal) {
        arg_list list;
        if (how == failover_kind::force) list.add("FORCE");
        if (how == failover_kind::takeover) list.add("TAKEOVER");
        return door().template run<void>(verb::cluster_failover, list);
    }
    /// CLUSTER FLUSHSLOTS: the node serves none.
    auto cluster_flushslots() { return door().template run<void>(verb::cluster_flushslots); }
    /// CLUSTER FORGET: a node is no longer known.
    auto cluster_forget(std::string_view node) {
        return door().template run<void>(verb::cluster_forget, {node});
    }
    /// CLUSTER GETKEYSINSLOT: up to `count` of them.
    auto cluster_getkeysinslot(std::uint16_t slot, std::int64_t count) {
        return door().template run<std::vector<std::string>>(verb::cluster_getkeysinslot,
                                                             {slot, count});
    }
    /// CLUSTER INFO: figures as text: "cluster_state:ok\r\n…".
    auto cluster_info() { return door().template run<std::string>(verb::cluster_info); }
    /// CLUSTER KEYSLOT: the slot of a key.
    auto cluster_keyslot(std::string_view key) {
        return door().template run<std::uint16_t>(verb::cluster_keyslot, {key});
    }
    /// CLUSTER LINKS: as it comes.
    template <class T = reply>
    auto cluster_links() {
        return door().template run<T>(verb::cluster_links);
    }
    /// CLUSTER MEET: makes another node known.
    auto cluster_meet(std::string_view host, std::uint16_t port) {
        return door().template run<void>(verb::cluster_meet, {host, port});
    }
    /// CLUSTER MYID: the node's id.
    auto cluster_myid() { return door().template run<std::string>(verb::cluster_myid); }
    /// CLUSTER NODES: a line for each node.
    auto cluster_nodes() { return door().template run<std::string>(verb::cluster_nodes); }
    /// CLUSTER REPLICAS: a line for each replica of a master.
    auto cluster_replicas(std::string_view node) {
        return door().template run<std::vector<std::string>>(verb::cluster_replicas, {node});
    }
    /// CLUSTER REPLICATE: becomes a replica of a master.
    auto cluster_replicate(std::string_view node) {
        return door().template run<void>(verb::cluster_replicate, {node});
    }
    /// CLUSTER RESET: forgets the other nodes; `hard`: has another id then, too.
    auto cluster_reset(bool hard = false) {
        return door().template run<void>(verb::cluster_reset, {hard ? "HARD" : "SOFT"});
    }
    /// CLUSTER SAVECONFIG
    auto cluster_saveconfig() { return door().template run<void>(verb::cluster_saveconfig); }
    /// CLUSTER SET-CONFIG-EPOCH: of a node that knows no other.
    auto cluster_set_config_epoch(std::int64_t epoch) {
        return door().template run<void>(verb::cluster_set_config_epoch, {epoch});
    }
    /// CLUSTER SETSLOT
    auto cluster_setslot(std::uint16_t slot, slot_state state, std::string_view node = {}) {
        arg_list list;
        list.add(slot);
        switch (state) {
            case slot_state::importing: list.add("IMPORTING", node); break;
            case slot_state::migrating: list.add("MIGRATING", node); break;
            case slot_state::node: list.add("NODE", node); break;
            case slot_state::stable: list.add("STABLE"); break;
        }
        return door().template run<void>(verb::cluster_setslot, list);
    }
    /// CLUSTER SHARDS: as it comes.
    template <class T = reply>
    auto cluster_shards() {
        return door().template run<T>(verb::cluster_shards);
    }
    /// CLUSTER SLAVES: the old name of CLUSTER REPLICAS.
    auto cluster_slaves(std::string_view node) {
        return door().template run<std::vector<std::string>>(verb::cluster_slaves, {node});
    }
    /// CLUSTER SLOTS: as it comes.
    template <class T = reply>
    auto cluster_slots() {
        return door().template run<T>(verb::cluster_slots);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
