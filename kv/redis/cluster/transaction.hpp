// transaction.hpp: commands that run together or not at all, on one node of a cluster.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

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
class cluster_transaction : public commands<cluster_transaction>, private routed_request {
public:
    explicit cluster_transaction(std::shared_ptr<cluster_core> on) noexcept;
    cluster_transaction(cluster_transaction&&) = delete;
    ~cluster_transaction();

    template <class T>
    handle<T> run(verb what, std::span<const arg> arguments = {}) {
        return {batch_, add(redis::command(what, arguments))};
    }
    template <class T>
    handle<T> run(verb what, std::initializer_list<arg> arguments) {
        return run<T>(what, std::span(arguments.begin(), arguments.size()));
    }
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments) {
        return {batch_, add(redis::command(name, arguments))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments = {}) {
        return command<T>(name, arguments.args());
    }
    /// One that is in no table: see client.
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments,
                      const command_options& how) {
        return {batch_, add(redis::command(name, arguments, how))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments, const command_options& how) {
        return command<T>(name, arguments.args(), how);
    }

    /// Runs them; throws as transaction::exec does. An empty one is done at once.
    task<> exec();

    std::size_t size() const noexcept { return batch_.size(); }
    bool empty() const noexcept { return batch_.empty(); }
    void clear() noexcept;

private:
    std::size_t add(const redis::command& what);
    void put_together();

    std::span<const std::byte> bytes() const noexcept override {
        return std::as_bytes(std::span(bytes_));
    }
    std::uint32_t replies() const noexcept override {
        return static_cast<std::uint32_t>(batch_.size()) + 2;
    }
    void take(const value& from) override;
    void take_exec(const value& from);
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept override;
    void restart() noexcept override;

    std::shared_ptr<cluster_core> core_;
    batch batch_;
    std::string bytes_;     // MULTI, the commands, EXEC
    std::size_t next_ = 0;  // MULTI is 0
    std::error_code failure_;
    std::string words_;
    net::fate how_far_ = net::fate::answered;
};

}  // namespace ouro::redis
