// sentinel.hpp: the master that a group of sentinels watches over, wherever it is.
#pragma once

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/commands/door.hpp>
#include <ouro/kv/redis/sentinel/core.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

/// Reads from one server that copies the master: what was written a moment ago may not be there. A
/// write is errc::read_only. It has this one connection; when that is lost, ask
/// sentinel_client::replica() for another.
class replica_client : public door<replica_client> {
public:
    explicit replica_client(std::shared_ptr<session> on) noexcept : session_(std::move(on)) {}

    /// On the shared connection, which would make others wait: errc::not_shareable.
    template <class T>
    task<T> run_blocking(verb what, block_time, std::span<const arg>) {
        throw refusal_of(redis::info(what).name, obstacle::blocks);
        co_return co_await call<T>(*session_, what);
    }
    const address& where() const noexcept { return session_->where(); }

private:
    friend door;

    template <class T>
    call<T> run_known(verb what, std::span<const arg> arguments) {
        return call<T>(among_others(), *session_, what, arguments);
    }
    template <class T, class... How>
    call<T> run_named(std::string_view name, const How&... how) {
        return call<T>(among_others(), *session_, name, how...);
    }

    std::shared_ptr<session> session_;
};

/// A client whose server is the one that Redis Sentinel calls the master.
///
///     auto db = co_await redis::sentinel_client::connect(
///         {"10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"}, "mymaster");
///     co_await db.set("greeting", "hello");
///
/// It is a client in everything. When the master changes, all its connections leave the old one and
/// go to the new one, after that has said itself that it is a master: what was on its way fails as
/// with a lost connection (reads are repeated, writes tell their fate), what was not sent goes
/// along, leased connections are closed, subscribers are subscribed again. While there is no master
/// requests wait; when the sentinels were asked in vain several times, they are told
/// errc::unhealthy. Nothing is ever sent to a server that is not known to be the master.
///
/// Worker-local. Cheap to move; copies share all, and the last one closes it. It must outlive
/// what is awaited of it.
class sentinel_client : public door<sentinel_client> {
public:
    /// Finds the master and connects. One sentinel that answers is enough, and the others are
    /// learned from it.
    ///
    /// A sentinel is "host:port" or a URL (see url) without a database; its port is 26379 when none
    /// is named. A URL's user and password go before those of the options; with none in the
    /// options, the first URL's are for the sentinels that are learned, too. "rediss:" is about the
    /// sentinels alone: see sentinel_options::sentinel_tls.
    ///
    /// Throws redis::error: errc::unhealthy with what each said when none knows a master that
    /// agrees; the server's own words when it refuses us; errc::bad_url with what is wrong.
    static task<sentinel_client> connect(const words& sentinels, std::string_view master,
                                         const sentinel_options& options = {});

    /// On a leased connection.
    template <class T>
    task<T> run_blocking(verb what, block_time wait, std::span<const arg> arguments) {
        return master_.run_blocking<T>(what, wait, arguments);
    }
    redis::pipeline pipeline() { return redis::pipeline(core()); }
    redis::transaction transaction() { return redis::transaction(core()); }
    redis::subscriber subscriber(const inbox_options& limits = {}) {
        return master_.subscriber(limits);
    }
    /// A connection of one's own to the master. Throws errc::unhealthy when none is known.
    net::pool<connection>::acquire_op lease() noexcept { return master_.lease(); }

    /// The client at the master.
    redis::client& master() noexcept { return master_; }
    /// A replica for reads, each in its turn; the master where none is connected, or where
    /// sentinel_options::replicas was not set.
    replica_client replica() { return replica_client(core_->replica()); }

    /// Where the master is; nothing while none is known.
    std::optional<address> where() const { return core_->where(); }
    /// The sentinels that are known, those that were learned included.
    std::vector<address> sentinels() const { return core_->sentinels(); }
    /// The replicas that are connected.
    std::vector<address> replicas() const { return core_->replicas(); }
    sentinel_figures figures() const noexcept { return core_->figures(); }

    /// See client::reauthenticate; at master and replicas.
    task<> reauthenticate() { return sentinel_core::reauthenticate(core_); }

    /// Ends it; see client::close.
    task<> close() { return sentinel_core::close(core_); }

    const std::shared_ptr<client_core>& core() const noexcept { return master_.core(); }

private:
    friend door;

    template <class T>
    call<T> run_known(verb what, std::span<const arg> arguments) {
        return master_.run<T>(what, arguments);
    }
    template <class T, class... How>
    task<T> run_named(std::string_view name, const How&... how) {
        return master_.command<T>(name, how...);
    }

    explicit sentinel_client(std::shared_ptr<sentinel_core> core) noexcept
        : core_(std::move(core)), master_(core_->master()) {}
    static task<sentinel_client> finish(task<std::shared_ptr<sentinel_core>> opening);

    std::shared_ptr<sentinel_core> core_;
    client master_;
};

}  // namespace ouro::redis
