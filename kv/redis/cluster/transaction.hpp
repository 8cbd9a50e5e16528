// transaction.hpp: commands that run together or not at all, on one node of a cluster.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/multi_exec.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

namespace ouro::redis {

/// Collects commands and has the node of their slot run them without anybody else's in between:
///
///     auto tx = db.transaction();
///     tx.decrby("{account}:from", 5);
///     auto now = tx.incrby("{account}:to", 5);
///     co_await tx.exec();
///
/// All keys must lie in one slot, as those with the same {tag} do: a command with another one is
/// refused when it is added, with errc::cross_slot, before anything is sent. When the slot is
/// elsewhere, all of it goes there. See transaction for everything else.
class cluster_transaction : public batch_door<cluster_transaction>, private routed_request {
public:
    explicit cluster_transaction(std::shared_ptr<cluster_core> on) noexcept;
    cluster_transaction(cluster_transaction&&) = delete;
    ~cluster_transaction();

    /// Runs them; throws as transaction::exec does. An empty one is done at once.
    task<> exec();

    /// See pipeline::clear; the next commands may have another slot.
    void clear() noexcept;

private:
    friend batch_door;

    std::size_t add(const redis::command_info& what, std::span<const arg> arguments) {
        return add(redis::command(what, arguments));
    }
    std::size_t add(const redis::command& what);

    bool encode(net::writer& out) const override { return out.write(replies_.bytes()); }
    std::uint32_t replies() const noexcept override { return replies_.replies(); }
    void take(const value& from) override { replies_.take(from); }
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept override {
        replies_.fail(why, words, how_far);
    }
    void restart() noexcept override { replies_.restart(); }

    std::shared_ptr<cluster_core> core_;
    multi_exec replies_{batch_};
};

}  // namespace ouro::redis
