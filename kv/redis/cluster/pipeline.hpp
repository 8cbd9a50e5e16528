// pipeline.hpp: many commands for a cluster at once, each with a handle for its reply.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace ouro::redis {

class multi_node_call;

/// Collects commands and sends to each node in one piece what is for it, to all nodes at once:
///
///     auto batch = db.pipeline();
///     auto hits = batch.incr("hits");              // handle<std::int64_t>
///     auto names = batch.mget({"name", "city"});   // of any slots
///     co_await batch.exec();
///     use(hits.get(), names.get());                // each has its own reply, or its own error
///
/// Commands whose keys are in one slot run in their order; between slots there is none. A command
/// that a node sends on goes on alone, those that succeeded are not sent again. See pipeline for
/// what is refused and how to use it again. Replicas answer only if all commands are reads.
class cluster_pipeline : public batch_door<cluster_pipeline> {
public:
    explicit cluster_pipeline(std::shared_ptr<cluster_core> on);
    cluster_pipeline(cluster_pipeline&&) = delete;
    ~cluster_pipeline();

    /// Sends what was collected and waits until each command has its reply, or has failed. Throws
    /// redis::error with the first failure that is not a reply of the server; an error reply is the
    /// business of its handle.
    task<> exec();

private:
    friend batch_door;

    class entry;
    struct split_entry;

    std::size_t add(const redis::command_info& what, std::span<const arg> arguments);
    std::size_t add(const redis::command& what);
    void set_out(std::vector<split_entry>& split);
    void join(split_entry& one);
    void throw_first_failure() const;

    std::shared_ptr<cluster_core> core_;
    std::deque<entry> entries_;  // kept for the next time
    std::vector<routed_request*> under_way_;
};

}  // namespace ouro::redis
