// connection.hpp: a connection that one task has for itself: for what blocks, watches or is huge.
#pragma once

#include <ouro/kv/redis/commands/door.hpp>
#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/connection/pipeline.hpp>
#include <ouro/kv/redis/connection/transaction.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/timeout.hpp>

#include <chrono>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace ouro::redis {

/// How long a blocking command may wait at the server; zero: for ever.
using block_time = std::chrono::milliseconds;

/// One connection of one's own, as a door with all commands. Leased from a client:
///
///     auto mine = co_await db.lease();
///     co_await mine->watch("stock");
///
/// Here, and nowhere else, a command may be about what this connection did before: WAIT about the
/// writes that were sent here, CLIENT ID, SELECT and what changes the connection. That is yours to
/// undo: when it is given back, such a connection is closed.
///
/// It does not reconnect: what its state was is lost with it. A blocking command that is cancelled
/// closes it. Worker-local, stays where it is.
class connection : public door<connection> {
public:
    /// Connects, or throws as session::ready.
    static task<std::unique_ptr<connection>> open(session_options options);

    explicit connection(std::shared_ptr<redis::session> on) noexcept : session_(std::move(on)) {}

    /// Gives up when the server does not answer within `wait` and the request timeout.
    template <class T>
    task<T> run_blocking(verb what, block_time wait, std::span<const arg> arguments) {
        return run_blocking<T>(redis::command(what, arguments), wait);
    }
    template <class T>
    task<T> run_blocking(redis::command what, block_time wait);

    /// WATCH: a transaction of this connection fails with errc::conflict when one of the keys was
    /// changed meanwhile.
    call<void> watch(const words& keys) { return watch(redis::command(verb::watch, keys.args())); }
    /// The same, with a command that is a WATCH.
    call<void> watch(redis::command keys) {
        OURO_ASSERT(keys.info().id == verb::watch);
        watching_ = true;
        return call<void>(*session_, std::move(keys));
    }
    /// UNWATCH
    task<> unwatch() {
        co_await call<void>(*session_, verb::unwatch);
        watching_ = false;
    }
    /// Its EXEC ends the watch. Must not outlive the connection.
    redis::transaction transaction() { return redis::transaction(*session_, watching_); }
    redis::pipeline pipeline() { return redis::pipeline(*session_); }

    /// Whether the next one may have it.
    bool usable() const noexcept { return is_whole() && !watching_; }
    /// Whether the next one may have it behind an UNWATCH, if it is watching.
    bool is_whole() const noexcept {
        return session_->is_connected() && session_->load() == 0 && !session_->is_spoiled();
    }
    bool is_watching() const noexcept { return watching_; }
    redis::session& session() const noexcept { return *session_; }

private:
    friend door;

    template <class T>
    call<T> run_known(verb what, std::span<const arg> arguments) {
        note(redis::info(what));
        return call<T>(*session_, what, arguments);
    }
    template <class T, class... How>
    call<T> run_named(std::string_view name, const How&... how) {
        return call<T>(*session_, note(redis::command(name, how...)));
    }

    void note(const command_info& what) noexcept {
        if (what.is(command_flag::connection_state) || what.id == verb::any) session_->spoil();
    }
    redis::command note(redis::command what) noexcept {
        if (changes_connection(what)) session_->spoil();
        return what;
    }

    std::shared_ptr<redis::session> session_;
    bool watching_ = false;
};

template <class T>
task<T> connection::run_blocking(redis::command what, block_time wait) {
    call<T> asked(*session_, std::move(what));
    asked.be_patient();
    const duration limit = session_->options().requests.request_timeout;
    if (wait <= block_time::zero() || limit <= duration::zero()) co_return co_await asked;
    co_return co_await timeout(wait + limit, asked);
}

}  // namespace ouro::redis
