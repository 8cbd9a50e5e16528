// pool.hpp: connections that are kept open and lent to one task at a time.
//
//     net::pool<connection> idle_ones(connect_to_it, {.connections_max = 20});
//     {
//         auto lease = co_await idle_ones.acquire();
//         co_await lease->query("…");
//         if (it_went_wrong) lease.discard();
//     }  // back in the pool
#pragma once

#include <ouro/net/pool/pool_core.hpp>
#include <ouro/runtime/spawn.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace ouro::net {

template <class Connection>
class pool;

/// Opens the connections of a pool and knows their state of health. It lives until the last of the
/// pool's connections and attempts is gone. Those may outlast the pool: an attempt that is under
/// way when the pool dies is cancelled, and ends when it ends. So let it own what it refers to, or
/// await close() before that goes.
template <class Connection>
class pool_connector {
public:
    virtual ~pool_connector() = default;

    /// Opens one. What it throws is told to whoever waited for it; it is cancelled when the pool is
    /// closed and when `connect_timeout` is over.
    virtual task<std::unique_ptr<Connection>> connect() = 0;

    /// Whether it may go on being used, as far as is known at once; asked when one is lent, comes
    /// back, and now and then while it is idle. Must not call the pool. Without an override the
    /// connection's own `usable()` is asked, if it has one.
    virtual bool usable(Connection& connection) noexcept {
        if constexpr (requires { static_cast<bool>(connection.usable()); })
            return connection.usable();
        else
            return true;
    }

    /// Asks the other side of a connection that nobody used for `check_interval`: a PING. False, an
    /// exception or no answer within `check_timeout` closes it.
    virtual task<bool> check(Connection& connection) { co_return usable(connection); }

    /// Whether one that came back, and is usable, is to be restored first: it is in a transaction,
    /// it watches keys. What needs nothing goes back at once.
    virtual bool needs_restore(Connection&) noexcept { return false; }
    /// Makes it as it was when it was lent: ROLLBACK, DISCARD ALL, UNWATCH. False, an exception or
    /// more than `restore_timeout` closes it, and who waits gets a fresh one. Whoever gave it back
    /// has gone on.
    virtual task<bool> restore(Connection&) { co_return true; }

    /// Lends nothing any more that was made before now: the servers' roles have changed, or the
    /// password has. What is idle is closed soon; what is lent, asked, restored or being connected,
    /// when that has ended. May be called by a connection.
    void retire_all() noexcept {
        if (core_) core_->retire_all();
    }

private:
    friend class pool<Connection>;

    pool_core* core_ = nullptr;  // whose it is
};

/// A bounded set of connections, lent in arrival order.
///
/// Worker-local: made, used and destroyed inside a run, on one worker; see per_worker for several.
/// Destroying it closes it without waiting: who waits is told errc::closed, what is lent out stays
/// valid and is closed when it comes back.
template <class Connection>
class pool {
public:
    class lease;
    class acquire_op;

    pool(std::unique_ptr<pool_connector<Connection>> connector, const pool_options& options = {})
        : core_(*new typed_core(std::move(connector), options)) {
        core_->start();
    }

    /// `connect()` returns task<std::unique_ptr<Connection>>; the pool keeps a copy of it, so its
    /// captures live as long as any attempt.
    template <class Connect>
        requires std::same_as<std::invoke_result_t<std::decay_t<Connect>&>,
                              task<std::unique_ptr<Connection>>>
    explicit pool(Connect&& connect, const pool_options& options = {})
        : pool(std::make_unique<function_connector<std::decay_t<Connect>>>(
                   std::forward<Connect>(connect)),
               options) {}

    pool(pool&&) = delete;
    ~pool() { core_->shut(); }

    /// Waits for a connection and yields a lease. An idle one is taken without waiting: the one
    /// that was used last.
    ///
    /// Throws errc::timed_out after `acquire_timeout`, or after `patience`; errc::overloaded when
    /// `waiters_max` tasks wait already; errc::closed. All with a text that says how it stood:
    /// "all 8 connections are leased (max 8), 3 waiting (max 1000), waited 2 s". errc::cancelled;
    /// and what connect() threw, when it was for this waiter. Nothing was taken then.
    acquire_op acquire() noexcept { return acquire(core_->options().acquire_timeout); }
    acquire_op acquire(duration patience) noexcept { return acquire_op(*core_, patience); }

    /// An idle connection now, or an empty lease.
    [[nodiscard]] lease try_acquire() noexcept { return lease(core_->try_take()); }

    /// Ends it: who waits is told errc::closed, attempts are cancelled, idle connections closed.
    /// Waits up to `grace` for what is lent out to come back, and returns how many are still out:
    /// those are closed when they come back. May be called again.
    [[nodiscard]] task<std::size_t> close(duration grace = duration::zero()) {
        return pool_core::close(pool_core_ref(*core_), grace);
    }
    bool closed() const noexcept { return core_->closed(); }

    /// See pool_connector::retire_all.
    void retire_all() noexcept { core_->retire_all(); }

    pool_figures figures() const noexcept { return core_->figures(); }

private:
    class typed_core;
    template <class Connect>
    class function_connector;

    pool_core_ref core_;
};

/// A connection in use; gives it back when it dies. Empty after a move.
template <class Connection>
class [[nodiscard]] pool<Connection>::lease {
public:
    lease() noexcept = default;
    lease(lease&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    lease& operator=(lease other) noexcept {
        std::swap(entry_, other.entry_);
        return *this;
    }
    ~lease() {
        if (entry_) end(false);
    }

    explicit operator bool() const noexcept { return entry_ != nullptr; }
    Connection& operator*() const noexcept {
        OURO_ASSERT(entry_ != nullptr && "pool: used through a lease that is empty");
        return *static_cast<Connection*>(entry_->connection);
    }
    Connection* operator->() const noexcept { return std::addressof(**this); }

    /// Gives it back now.
    void release() noexcept { end(false); }
    /// Closes it now: its state is not known, or must not be seen by others.
    void discard() noexcept { end(true); }

private:
    friend class pool;
    friend class acquire_op;

    explicit lease(pool_entry* entry) noexcept : entry_(entry) {}

    void end(bool discard) noexcept {
        OURO_ASSERT(entry_ != nullptr && "pool: a lease is given back once");
        pool_entry& entry = *std::exchange(entry_, nullptr);
        entry.core->give_back(entry, discard);
    }

    pool_entry* entry_ = nullptr;
};

/// Waits for a lease; see pool::acquire.
template <class Connection>
class [[nodiscard, gnu::warn_unused]] pool<Connection>::acquire_op final : public pool_acquire {
public:
    acquire_op(pool_core& core, duration patience) noexcept : pool_acquire(core, patience) {}

    lease await_resume() { return lease(&take()); }
    result<lease> await_result() {
        const result<pool_entry*> taken = take_result();
        if (!taken) return taken.why();
        return lease(*taken);
    }
};

/// The core, with the type that it forgets.
template <class Connection>
class pool<Connection>::typed_core final : public pool_core {
public:
    typed_core(std::unique_ptr<pool_connector<Connection>> connector, const pool_options& options)
        : pool_core(options), connector_(std::move(connector)) {
        connector_->core_ = this;
    }

private:
    static Connection& of(void* connection) noexcept {
        return *static_cast<Connection*>(connection);
    }

    task<void*> connect() override {
        std::unique_ptr<Connection> made = co_await connector_->connect();
        OURO_ASSERT(made != nullptr && "pool: connect() yields a connection or throws");
        co_return made.release();
    }
    bool usable(void* connection) noexcept override { return connector_->usable(of(connection)); }
    task<bool> check(void* connection) override { return connector_->check(of(connection)); }
    bool needs_restore(void* connection) noexcept override {
        return connector_->needs_restore(of(connection));
    }
    task<bool> restore(void* connection) override { return connector_->restore(of(connection)); }
    void destroy(void* connection) noexcept override { delete &of(connection); }

    const std::unique_ptr<pool_connector<Connection>> connector_;
};

template <class Connection>
template <class Connect>
class pool<Connection>::function_connector final : public pool_connector<Connection> {
public:
    explicit function_connector(Connect connect) : connect_(std::move(connect)) {}
    task<std::unique_ptr<Connection>> connect() override { return connect_(); }

private:
    Connect connect_;
};

}  // namespace ouro::net
