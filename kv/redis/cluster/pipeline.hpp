// pipeline.hpp: many commands for a cluster at once, each with a handle for its reply.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
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
class cluster_pipeline : public commands<cluster_pipeline> {
public:
    explicit cluster_pipeline(std::shared_ptr<cluster_core> on);
    cluster_pipeline(cluster_pipeline&&) = delete;
    ~cluster_pipeline();

    template <class T>
    handle<T> run(verb what, std::span<const arg> arguments = {}) {
        return {batch_, add(redis::info(what), arguments)};
    }
    template <class T>
    handle<T> run(verb what, std::initializer_list<arg> arguments) {
        return run<T>(what, std::span(arguments.begin(), arguments.size()));
    }
    /// Any command by name.
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments) {
        return {batch_, add(redis::command(name, arguments))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments = {}) {
        return command<T>(name, arguments.args());
    }
    /// One that is in no table: see cluster.
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments,
                      const command_options& how) {
        return {batch_, add(redis::command(name, arguments, how))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments, const command_options& how) {
        return command<T>(name, arguments.args(), how);
    }

    /// Sends what was collected and waits until each command has its reply, or has failed. Throws
    /// redis::error with the first failure that is not a reply of the server; an error reply is the
    /// business of its handle.
    task<> exec();

    std::size_t size() const noexcept { return batch_.size(); }
    bool empty() const noexcept { return batch_.empty(); }
    /// Forgets commands and replies; what the handles say then is errc::batch_ended.
    void clear() noexcept { batch_.clear(); }

private:
    class entry;
    struct split_entry;

    std::size_t add(const redis::command_info& what, std::span<const arg> arguments);
    std::size_t add(const redis::command& what);
    void set_out(std::vector<split_entry>& split);
    void join(split_entry& one);
    void throw_first_failure() const;

    std::shared_ptr<cluster_core> core_;
    batch batch_;
    std::deque<entry> entries_;  // kept for the next time
    std::vector<routed_request*> under_way_;
};

}  // namespace ouro::redis
