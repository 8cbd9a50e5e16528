// cluster.hpp: a Redis cluster as its users see it: every command, awaited.
#pragma once

#include <ouro/kv/redis/cluster/call.hpp>
#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/cluster/pipeline.hpp>
#include <ouro/kv/redis/cluster/pubsub.hpp>
#include <ouro/kv/redis/cluster/transaction.hpp>
#include <ouro/kv/redis/cluster/watch.hpp>
#include <ouro/kv/redis/commands/door.hpp>
#include <ouro/kv/redis/scan.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

/// Some nodes of a cluster, by their URLs: `{"redis://10.0.0.1:7000", "redis://10.0.0.2:7000"}`, or
/// a vector of them. One that answers is enough; it names the others.
class cluster_seeds {
public:
    template <class... Each>
        requires(sizeof...(Each) > 0 && (std::convertible_to<const Each&, std::string> && ...))
    cluster_seeds(const Each&... each) {
        (urls_.push_back(each), ...);
    }
    cluster_seeds(std::vector<std::string> urls) : urls_(std::move(urls)) {}

    const std::vector<std::string>& urls() const noexcept { return urls_; }

private:
    std::vector<std::string> urls_;
};

/// One node of a cluster as a door: for what each node has of its own, such as INFO and SCAN. Keys
/// of other nodes are errc::moved here. Copy it; valid as long as the cluster it came from.
class cluster_member : public door<cluster_member> {
public:
    cluster_member(std::shared_ptr<cluster_core> core, cluster_core::node_ptr node) noexcept
        : core_(std::move(core)), node_(std::move(node)) {}

    const node_endpoint& where() const noexcept { return node_->where(); }

    /// See client::run_blocking: on a leased connection to this node.
    template <class T>
    cluster_call<T> run_blocking(verb what, block_time wait, std::span<const arg> arguments) {
        return cluster_call<T>(wait, node_, *core_, what, arguments);
    }

    /// A connection of one's own to this node, for what is about its own connection, such as WAIT:
    /// write and wait there.
    net::pool<connection>::acquire_op lease() { return node_->lease(); }

private:
    friend door;

    template <class T>
    cluster_call<T> run_known(verb what, std::span<const arg> arguments) {
        return cluster_call<T>(node_, *core_, what, arguments);
    }
    template <class T, class... How>
    cluster_call<T> run_named(std::string_view name, const How&... how) {
        return cluster_call<T>(node_, *core_, name, how...);
    }

    std::shared_ptr<cluster_core> core_;
    cluster_core::node_ptr node_;
};

/// A cluster, its commands, and the connections to its nodes.
///
///     auto db = co_await redis::cluster::connect({"redis://127.0.0.1:7000"});
///     co_await db.set("greeting", "hello");
///     std::optional<std::string> greeting = co_await db.get("greeting");
///
/// Many tasks share one connection to each node. Commands follow their keys when slots move and
/// masters change; what was not sent, and reads, are repeated; a write that may have been done
/// fails with net::fate::unanswered. Commands with many keys that may be split are, by slot; others
/// with keys in several slots fail with errc::cross_slot, as the server says. One that is in no
/// table goes to the node of the key that was said; without one to some master, which says where it
/// belongs. What is refused on a client is refused here, too.
///
/// Worker-local. Cheap to move; copies share the connections, which close with the last of them.
/// It must outlive what is awaited of it, and its pipelines and transactions.
class cluster : public door<cluster> {
public:
    /// Connects to the cluster the seeds belong to and returns when its table of slots is known.
    /// User and password are those of the first seed. "rediss:" puts the connections to all nodes
    /// under TLS, each with the node's host as its server's name. Throws redis::error that names
    /// each node that was asked and says why it did not help, with the code of the last one;
    /// errc::bad_url, also for a database other than 0, and when only some of the seeds ask for
    /// TLS.
    static task<cluster> connect(cluster_seeds where, cluster_options options = {});

    /// Tried first at the node that has answered another command, as when that has said what it
    /// lacks; and then wherever it belongs.
    template <class T>
    cluster_call<T> run_behind(const cluster_call_base& other, verb what,
                               std::span<const arg> arguments) {
        return cluster_call<T>(behind{other}, *core_, what, arguments);
    }
    /// On a leased connection to the node of its slot.
    template <class T>
    cluster_call<T> run_blocking(verb what, block_time wait, std::span<const arg> arguments) {
        return cluster_call<T>(wait, *core_, what, arguments);
    }

    redis::cluster_pipeline pipeline() { return redis::cluster_pipeline(core_); }
    redis::cluster_transaction transaction() { return redis::cluster_transaction(core_); }

    /// A subscriber to shard channels, which live where a key of that name would.
    redis::cluster_subscriber subscriber(const inbox_options& limits = {}) {
        return redis::cluster_subscriber(core_, limits);
    }

    /// The masters that serve slots, and all nodes, as known now.
    std::vector<cluster_member> masters() const;
    std::vector<cluster_member> members() const;
    /// The master that has the key's slot, as known now. Throws errc::cluster_down when none has.
    cluster_member owner_of(std::string_view key) const;

    /// Reads the table of slots now, rather than when there is a reason to. False when no node
    /// could tell it.
    task<bool> refresh() { return core_->refresh(); }
    /// The table of slots as it is known now.
    const slot_table& slots() const noexcept { return core_->map().table(); }

    /// See client::reauthenticate; at every node. Connections for shard channels alone are not
    /// asked: they say who we are when they are made again.
    task<> reauthenticate() { return cluster_core::reauthenticate(core_); }

    /// Ends it: what waits is told ouro::errc::closed. Returns when the connections are closed.
    task<> close() { return cluster_core::closed(core_); }

    const cluster_options& options() const noexcept { return core_->options(); }
    const cluster_figures& figures() const noexcept { return core_->figures(); }
    const std::shared_ptr<cluster_core>& core() const noexcept { return core_; }

private:
    friend door;

    template <class T>
    cluster_call<T> run_known(verb what, std::span<const arg> arguments) {
        return cluster_call<T>(*core_, what, arguments);
    }
    template <class T, class... How>
    cluster_call<T> run_named(std::string_view name, const How&... how) {
        return cluster_call<T>(*core_, name, how...);
    }

    explicit cluster(std::shared_ptr<cluster_core> core) noexcept : core_(std::move(core)) {}

    std::shared_ptr<cluster_core> core_;
};

/// with_watch for keys of one slot of a cluster: errc::cross_slot for others, before anything is
/// sent. The connection is leased from the node that has the slot. When the slot moves meanwhile,
/// or the node is lost before EXEC was sent, it begins again, elsewhere.
template <class Body>
    requires std::invocable<Body&, redis::connection&, redis::transaction&>
[[nodiscard]] auto with_watch(const cluster& db, const words& keys, Body body,
                              const watch_options& options = {}) {
    return watch_until_done<Body>(db.core(), command(verb::watch, keys.args()), std::move(body),
                                  options);
}

/// All keys of all masters, one master after the other; see scan. A master that joins meanwhile is
/// not seen, and keys of a slot that moves meanwhile may come twice, or not at all.
async_generator<std::string> scan(cluster& db, const page_options& options = {});

}  // namespace ouro::redis
