// watch.hpp: read, decide, write: a transaction that is done over when somebody came between.
#pragma once

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/connection/watch_body.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace ouro::redis {

/// One attempt of with_watch. False: a watched key was changed, and nothing was done.
template <class Body, class Outcome>
task<bool> watch_once(client_core& on, const command& watch, Body& body,
                      std::optional<Outcome>& into) {
    using value = watch_body_value<Body>;
    auto mine = co_await on.lease();
    co_await mine->watch(watch);
    redis::transaction queued = mine->transaction();
    std::optional<branch_value<value>> made;
    std::exception_ptr thrown;
    try {
        if constexpr (std::is_void_v<value>) {
            co_await body(*mine, queued);
            made.emplace();
        } else {
            made.emplace(co_await body(*mine, queued));
        }
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown || queued.empty()) {
        // When this fails, the watch may be there still, and the pool closes the connection.
        static_cast<void>(co_await as_result(mine->unwatch()));
        if (thrown) std::rethrow_exception(thrown);
    } else {
        bool conflict = false;
        try {
            co_await queued.exec();
        } catch (const error& failure) {
            if (failure.code() != errc::conflict) throw;
            conflict = true;
        }
        if (conflict) co_return false;
        queued.throw_if_failed();
    }
    if constexpr (std::is_void_v<value>)
        into.emplace();
    else
        into.emplace(watch_outcome<value>::of(std::move(*made)));
    co_return true;
}

/// See with_watch.
template <class Body>
task<typename watch_outcome<watch_body_value<Body>>::type> watch_until_done(
    std::shared_ptr<client_core> on, command watch, Body body, watch_options options) {
    using outcome = typename watch_outcome<watch_body_value<Body>>::type;
    OURO_ASSERT(options.attempts_max > 0);
    backoff wait(options.wait);
    std::optional<branch_value<outcome>> made;
    for (std::size_t attempt = 1;; ++attempt) {
        const bool done = co_await watch_once(*on, watch, body, made);
        if (done) break;
        if (attempt == options.attempts_max)
            throw error(errc::conflict, net::fate::answered, "EXEC", {});
        co_await sleep_for(wait.next());
    }
    if constexpr (!std::is_void_v<outcome>) co_return std::move(*made);
}

/// Runs a transaction that depends on what it has read, so that it is as if nobody else had been
/// there:
///
///     auto move = [&](redis::connection& mine, redis::transaction& tx) -> task<> {
///         const auto left = co_await mine.get<int>("stock");
///         if (left < 1) throw sold_out();
///         tx.decr("stock");
///         tx.rpush("orders", {order});
///     };
///     co_await redis::with_watch(db, {"stock"}, move);
///
/// On a leased connection: WATCH of the keys; then `body(connection&, transaction&)` reads with the
/// one and queues writes with the other; then EXEC. When one of the keys was changed meanwhile,
/// nothing has been done, and after a short wait it begins again: the body may run several times,
/// each time with a fresh transaction. A body that queues nothing, or throws, has decided against
/// it. It does not call exec itself.
///
/// Returns what the body returned; for a handle of the transaction, the reply it stands for. Throws
/// what the body throws; redis::error with errc::conflict when every attempt met one; with the
/// failure of the first command that failed in EXEC, though the others have run; and what
/// transaction::exec and client::lease throw: a lost connection is not tried again, since what
/// became of EXEC is not known (see redis::error::how_far).
///
/// The body is kept until the end, the keys are copied at once. (g++ 12 cannot compile a lambda
/// inside an awaited expression: give it a name.)
template <class Body>
    requires std::invocable<Body&, redis::connection&, redis::transaction&>
[[nodiscard]] auto with_watch(const client& db, const words& keys, Body body,
                              const watch_options& options = {}) {
    return watch_until_done<Body>(db.core(), command(verb::watch, keys.args()), std::move(body),
                                  options);
}

}  // namespace ouro::redis
