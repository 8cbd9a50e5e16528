// shard_router.hpp: keeps shard channels subscribed at the nodes that have their slots.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/pubsub/inbox.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/auto_reset_event.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// The shard channels of one subscriber of a cluster.
///
/// It has a connection to each node at which it listens. A task of its own brings every channel to
/// the node of its slot, again when slots move, masters change or a server gives a channel away,
/// and closes connections that are not needed any more. Worker-local.
class shard_router final : private slots_observer,
                           public std::enable_shared_from_this<shard_router> {
public:
    /// Ends when the last copy of the pointer dies.
    static std::shared_ptr<shard_router> open(std::shared_ptr<cluster_core> core,
                                              const inbox_options& limits);

    shard_router(std::shared_ptr<cluster_core> core, const inbox_options& limits);

    inbox& messages() noexcept { return messages_; }
    std::size_t topics() const noexcept { return places_.size(); }
    std::vector<std::string> names() const;

    /// See cluster_subscriber.
    task<> subscribe(std::vector<std::string> names);
    task<> unsubscribe(std::vector<std::string> names);

    void close() noexcept;
    static task<> closed(std::shared_ptr<shard_router> self);

private:
    struct box final : inbox {
        using inbox::inbox;
    };

    /// A connection to a node.
    struct shard_connection {
        address where;
        std::optional<subscriber> sub;
        std::set<std::string, std::less<>> names;  // that were asked for there
        bool interrupted = false;
    };
    using connection_ptr = std::shared_ptr<shard_connection>;

    /// Where a channel is listened to.
    struct place {
        connection_ptr at;          // null: nowhere now
        bool established = false;   // it was somewhere
        std::uint32_t waiting = 0;  // calls that wait for it
        std::error_code code;       // why no node would have it
        std::string words;
    };

    class claim;

    void slots_moved() noexcept override { wanted_.set(); }

    static task<> keep(std::shared_ptr<shard_router> self);
    static task<> forward(std::shared_ptr<shard_router> self, connection_ptr from);
    task<bool> bring_home();
    task<> ask(connection_ptr at, std::vector<std::string> names);
    task<> ask_alone(connection_ptr at, std::string name);
    task<> leave_unwanted(connection_ptr at);
    void arrived(const std::string& name, const connection_ptr& at);
    void refused(const std::string& name, const connection_ptr& at, std::error_code code,
                 std::string_view words);
    connection_ptr connection_to(const session_options& how);
    void close_unused();
    void take(const connection_ptr& from, const message& one);
    void tell_trouble(std::string_view why);
    task<> settled(const std::vector<std::string>& names);
    task<> gone(const std::vector<std::string>& names);
    task<> limited(task<> waiting);

    std::shared_ptr<cluster_core> core_;
    box messages_;
    std::map<std::string, place, std::less<>> places_;
    std::map<address, connection_ptr> connections_;
    std::vector<join_handle<void>> tasks_;
    auto_reset_event wanted_;  // something has to be brought home
    event round_;              // set and lowered at the end of each round
    bool told_ = false;        // that it is interrupted
    bool ended_ = false;
};

}  // namespace ouro::redis
