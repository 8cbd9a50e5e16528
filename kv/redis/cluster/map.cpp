#include <ouro/kv/redis/cluster/map.hpp>

#include <ouro/runtime/check.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

bool in_trouble(cluster_node& node, bool for_reads) noexcept {
    return (for_reads ? node.reads() : node.commands()).in_trouble();
}

}  // namespace

cluster_map::node_ptr cluster_map::at(const node_endpoint& where) {
    if (const auto known = nodes_.find(where); known != nodes_.end()) return known->second;
    session_options how = how_;
    how.where.host = where.host;
    how.where.port = where.port;
    how.where.path.clear();
    auto node = std::make_shared<cluster_node>(where, std::move(how), dedicated_max_, observer_);
    nodes_.emplace(where, node);
    return node;
}

cluster_map::members cluster_map::members_of(const shard& from) {
    members made{at(from.master), {}};
    for (const node_endpoint& replica : from.replicas) made.replicas.push_back(at(replica));
    return made;
}

bool cluster_map::replace(slot_table table) {
    if (table == table_) {
        forget_strangers();
        return false;
    }
    std::vector<members> shards;
    shards.reserve(table.shards().size());
    for (const shard& each : table.shards()) shards.push_back(members_of(each));
    table_ = std::move(table);
    shards_ = std::move(shards);
    OURO_ASSERT(shards_.size() == table_.shards().size());
    forget_strangers();
    return true;
}

void cluster_map::forget_strangers() noexcept {
    try {
        forget_all_but(nodes());
    } catch (const std::bad_alloc&) {  // the next table is another occasion
    }
}

void cluster_map::forget_all_but(std::vector<node_ptr> wanted) noexcept {
    std::sort(wanted.begin(), wanted.end());
    std::erase_if(nodes_, [&wanted](const auto& entry) {
        return !std::binary_search(wanted.begin(), wanted.end(), entry.second);
    });
}

void cluster_map::move(std::uint16_t slot, const node_endpoint& to) {
    // The allocations come first: table and shards stand beside each other.
    shards_.reserve(shards_.size() + 1);
    members perhaps = members_of({to, {}});
    const std::uint16_t number = table_.add({to, {}});
    OURO_ASSERT(number <= shards_.size());
    if (number == shards_.size()) shards_.push_back(std::move(perhaps));
    OURO_ASSERT(shards_.size() == table_.shards().size());
    table_.assign(slot, slot, number);
}

cluster_map::node_ptr cluster_map::master_of(std::uint16_t slot) const {
    const std::uint16_t number = table_.shard_of(slot);
    OURO_ASSERT(number == slot_table::nobody || number < shards_.size());
    return number == slot_table::nobody ? nullptr : shards_[number].master;
}

cluster_map::node_ptr cluster_map::reader_of(std::uint16_t slot, read_preference preference) {
    const std::uint16_t number = table_.shard_of(slot);
    if (number == slot_table::nobody) return nullptr;
    OURO_ASSERT(number < shards_.size());
    return reader_in(shards_[number], preference);
}

cluster_map::node_ptr cluster_map::reader_in(members& of, read_preference preference) {
    if (preference == read_preference::master) return of.master;
    if (preference == read_preference::replicas) {
        for (std::size_t tried = 0; tried < of.replicas.size(); ++tried) {
            const node_ptr& next = of.replicas[of.next_replica++ % of.replicas.size()];
            if (!in_trouble(*next, true)) return next;
        }
        return of.master;
    }
    const node_ptr* best = &of.master;
    const auto latency = [](const node_ptr& of_node) {
        return of_node->latency() == duration::zero() ? duration::max() : of_node->latency();
    };
    for (const node_ptr& each : of.replicas)
        if (!in_trouble(*each, true) && latency(each) < latency(*best)) best = &each;
    return *best;
}

cluster_map::node_ptr cluster_map::any_master() {
    for (const bool even_in_trouble : {false, true}) {
        for (std::size_t tried = 0; tried < shards_.size(); ++tried) {
            const node_ptr& next = shards_[next_master_++ % shards_.size()].master;
            if (even_in_trouble || !in_trouble(*next, false)) return next;
        }
    }
    return nullptr;
}

std::vector<cluster_map::node_ptr> cluster_map::masters() const {
    // One whose slots have all moved stays in the table until the next one comes.
    std::vector<bool> serves(shards_.size());
    for (std::uint16_t slot = 0; slot < slot_count; ++slot)
        if (table_.shard_of(slot) != slot_table::nobody) serves[table_.shard_of(slot)] = true;
    std::vector<node_ptr> all;
    for (std::size_t number = 0; number < shards_.size(); ++number)
        if (serves[number]) all.push_back(shards_[number].master);
    return all;
}

std::vector<cluster_map::node_ptr> cluster_map::nodes() const {
    std::vector<node_ptr> all;
    for (const members& each : shards_) {
        all.push_back(each.master);
        all.insert(all.end(), each.replicas.begin(), each.replicas.end());
    }
    return all;
}

std::vector<cluster_map::node_ptr> cluster_map::known() const {
    std::vector<node_ptr> all;
    for (const auto& [where, node] : nodes_) all.push_back(node);
    return all;
}

void cluster_map::drop_all() noexcept {
    for (const auto& [where, node] : nodes_) node->drop();
}

void cluster_map::clear() noexcept {
    shards_.clear();
    nodes_.clear();
    table_ = slot_table();
}

}  // namespace ouro::redis
