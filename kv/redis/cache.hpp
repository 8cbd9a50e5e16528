// cache.hpp: replies kept on the client's side, and dropped when the server says they are outdated.
//
// Redis remembers which keys a connection has read (CLIENT TRACKING) and tells it when one of them
// changes. So what was read once is answered from memory until then.
//
//   get ──> cache_store ──hit──> the reply, without waiting
//              │  miss                        ┌── push "invalidate": drop the key
//              └──> flight ──> session ──────>│
//                                             └── reply: kept, unless its key was dropped meanwhile
//
//  1. Pushes and replies are handled in the order in which they arrive, each at once: nothing is
//     kept whose invalidation has been read.
//  2. Who asks for what is under way joins it: one request for everybody. Once its key has been
//     invalidated nobody joins it any more.
//  3. What was read on a connection is dropped when that is lost: nobody would tell of changes.
//  4. Nothing is kept longer than the key lives: its PTTL is asked with it.
#pragma once

#include <ouro/kv/redis/cache/store.hpp>
#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/wait_list.hpp>
#include <ouro/runtime/task.hpp>

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ouro::redis {

/// How a cache behaves.
struct cache_options {
    std::size_t entries_max = 100'000;
    std::size_t bytes_max = std::size_t{64} << 20;  ///< of memory, about
    /// How old an answer may be when the call does not say. An invalidation comes long before; a
    /// connection that is silently dead brings none until that is noticed.
    duration ttl = std::chrono::minutes(1);
    /// The server remembers no keys, and tells of every change of those that begin with a prefix.
    /// For few keys that many clients read. (CLIENT TRACKING … BCAST)
    bool broadcast = false;
    words prefixes = {};  ///< when broadcasting; none: of all keys. Others are not cached. Copied.
};
static_assert(std::is_trivially_copyable_v<cache_options>);

template <class T>
class cached_call;

/// What a cache shares with the requests that it has under way.
class cache_core final : public std::enable_shared_from_this<cache_core> {
public:
    cache_core(std::shared_ptr<client_core> client, const cache_options& options);
    ~cache_core();

    /// Begins tracking on every connection, or throws why it cannot.
    task<> track();
    /// Ends what is under way, forgets everything, and is told nothing more.
    void shut() noexcept;
    task<> close();

    /// The entry for a command, from memory or under way; or why there is none.
    result<cached_reply> look_up(const command& what, duration ttl);
    cached_reply peek(const command& what) const noexcept;

    void forget(std::string_view key) noexcept { store_.drop_key(key); }
    void clear() noexcept { store_.drop_all(); }
    cache_figures figures() const noexcept;
    duration ttl() const noexcept { return ttl_; }
    /// Where those wait that wait for nobody.
    wait_list& nobody() noexcept { return nobody_; }

private:
    class tracked_session;
    class flight;

    static task<> fly(std::shared_ptr<cache_core> self, cached_reply entry);
    cached_reply make_entry(const command& what, std::string_view key) const;
    bool is_tracked(std::string_view key) const noexcept;
    tracked_session& tracked(const session& on) const noexcept;
    void pushed(const value& what) noexcept;

    std::shared_ptr<client_core> client_;
    std::vector<std::unique_ptr<tracked_session>> sessions_;
    const std::vector<std::string> prefixes_;
    const bool broadcast_;
    const duration ttl_;
    const command tracking_;     // CLIENT TRACKING ON …
    const command caching_yes_;  // stands before each read, when not broadcasting
    cache_store store_;
    bool shut_ = false;
    cache_figures figures_;
    wait_list nobody_;
};

/// Waits for a reply that is kept or under way; see cache.
class cache_wait : public waiter {
public:
    cache_wait(cache_core& of, result<cached_reply> found) noexcept
        : waiter("redis cache"), of_(of) {
        if (found)
            entry_ = std::move(*found);
        else
            error_ = found.error();
    }

    bool await_ready() noexcept;
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        suspend(entry_ && entry_.entry().under_way ? entry_.entry().waiters : of_.nobody(),
                by.promise());
        return true;
    }

    cached_reply await_resume() {
        throw_if_failed();
        return std::move(entry_);
    }
    result<cached_reply> await_result() {
        if (const std::error_code code = outcome()) return code;
        return std::move(entry_);
    }

protected:
    void look_up(const command& what, duration ttl) noexcept;
    std::error_code outcome() const noexcept;
    void throw_if_failed() const {
        if (const std::error_code code = outcome()) throw_failure(code);
    }
    [[noreturn]] void throw_failure(std::error_code code) const;

    cache_core& of_;
    cached_reply entry_;
    std::error_code error_;
};

/// A read that may be answered from memory, made and looked up when it is awaited.
template <class T>
class [[nodiscard]] cached_call final : public cache_wait {
    static_assert(!std::is_same_v<T, std::string_view> &&
                      !std::is_same_v<T, std::optional<std::string_view>>,
                  "what is seen must be held: share() gives a cached_reply with text()");

public:
    cached_call(cache_core& of, command what, duration ttl) noexcept
        : cache_wait(of, cached_reply()), what_(std::move(what)), ttl_(ttl) {}

    bool await_ready() noexcept {
        look_up(what_, ttl_);
        return cache_wait::await_ready();
    }
    T await_resume() {
        throw_if_failed();
        T into = blank<T>::make();
        if (const std::error_code error = read(into)) throw_failure(error);
        return into;
    }
    result<T> await_result() {
        if (const std::error_code error = outcome()) return error;
        T into = blank<T>::make();
        if (const std::error_code error = read(into)) return error;
        return into;
    }

private:
    std::error_code read(T& into) {
        if constexpr (std::is_same_v<T, cached_reply>) {
            into = std::move(entry_);
            return {};
        } else {
            return decode(entry_.value(), into);
        }
    }

    command what_;
    duration ttl_;
};

/// Reads of one client, answered from memory where that is known to be good.
///
///     auto db = co_await redis::client::connect("redis://127.0.0.1");
///     auto near = co_await redis::cache::on(db, {.entries_max = 10'000});
///     auto name = co_await near.get("name", 10s);        // std::optional<std::string>
///
/// Keys are tracked on the client's own shared connections, of which it may have several. All else
/// goes on there as before, and what the client itself writes is invalidated, too: as soon as
/// the server's word for it has arrived, which is with or right behind the reply to the write.
/// `forget` makes that strict.
///
/// Missing keys are kept as missing. Errors are not kept. A hit costs neither a request nor an
/// allocation, but for what the value asked for needs. It needs RESP3: errc::no_protocol when the
/// server does not speak it, and when later one does not, reads go through uncached.
///
/// Worker-local and movable. It must outlive what is awaited of it, and does not outlive the run.
/// The cache is its client's alone: another database or another user is another client.
class cache {
public:
    /// Begins tracking, on all connections of the client, or throws why not: redis::error with the
    /// server's words. One cache for one client.
    template <class Client>
    static task<cache> on(const Client& client, const cache_options& options = {}) {
        return begin(std::make_shared<cache_core>(client.core(), options));
    }

    cache(cache&&) noexcept = default;
    cache& operator=(cache&& other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~cache() {
        if (core_) core_->shut();
    }

    /// GET: the value, not older than `ttl`; empty when there is no such key.
    template <class T = std::string>
    cached_call<std::optional<T>> get(std::string_view key) {
        return get<T>(key, core_->ttl());
    }
    template <class T = std::string>
    cached_call<std::optional<T>> get(std::string_view key, duration ttl) {
        return {*core_, command(verb::get, {key}), ttl};
    }
    /// GET without a copy: the reply itself, which stays as long as it is held.
    cached_call<cached_reply> share(std::string_view key) { return share(key, core_->ttl()); }
    cached_call<cached_reply> share(std::string_view key, duration ttl) {
        return {*core_, command(verb::get, {key}), ttl};
    }
    /// The same from memory alone; empty when it is not there.
    cached_reply peek(std::string_view key) const { return core_->peek(command(verb::get, {key})); }

    /// HGETALL: a map, or a struct with `redis_fields`.
    template <class T = std::unordered_map<std::string, std::string>>
    cached_call<T> hgetall(std::string_view key) {
        return hgetall<T>(key, core_->ttl());
    }
    template <class T = std::unordered_map<std::string, std::string>>
    cached_call<T> hgetall(std::string_view key, duration ttl) {
        return {*core_, command(verb::hgetall, {key}), ttl};
    }

    /// GET of several keys, in their order. Those that are not here are asked for in one write.
    template <class T = std::string>
    task<std::vector<std::optional<T>>> mget(const words& keys) {
        return mget<T>(keys, core_->ttl());
    }
    template <class T = std::string>
    task<std::vector<std::optional<T>>> mget(const words& keys, duration ttl) {
        return mget_all<T>(core_, gets(keys), ttl);
    }

    /// Any command that reads one key and says the same until that changes: LRANGE, ZSCORE, TYPE.
    /// Others are errc::not_cacheable: those that write, read several keys, draw at random, tell of
    /// time (TTL) or walk by a cursor.
    template <class T>
    cached_call<T> run(verb what, std::span<const arg> arguments) {
        return {*core_, command(what, arguments), core_->ttl()};
    }
    template <class T>
    cached_call<T> run(verb what, std::span<const arg> arguments, duration ttl) {
        return {*core_, command(what, arguments), ttl};
    }
    template <class T>
    cached_call<T> run(verb what, const words& arguments) {
        return run<T>(what, arguments.args());
    }
    template <class T>
    cached_call<T> run(verb what, const words& arguments, duration ttl) {
        return run<T>(what, arguments.args(), ttl);
    }

    /// Drops what is kept of a key, and has nobody join what is under way.
    void forget(std::string_view key) noexcept { core_->forget(key); }
    /// Drops everything.
    void clear() noexcept { core_->clear(); }

    /// Ends tracking at the server, too. Without it connections track on, to no effect, until they
    /// are lost.
    task<> close() { return core_->close(); }

    cache_figures figures() const noexcept { return core_->figures(); }

private:
    explicit cache(std::shared_ptr<cache_core> core) noexcept : core_(std::move(core)) {}

    static task<cache> begin(std::shared_ptr<cache_core> core);
    static std::vector<command> gets(const words& keys);

    template <class T>
    static task<std::vector<std::optional<T>>> mget_all(std::shared_ptr<cache_core> core,
                                                        std::vector<command> gets, duration ttl) {
        // All are begun before any is waited for.
        std::vector<result<cached_reply>> found;
        found.reserve(gets.size());
        std::vector<std::optional<T>> values;
        for (const command& each : gets) found.push_back(core->look_up(each, ttl));
        values.reserve(gets.size());
        for (result<cached_reply>& each : found) {
            const cached_reply held = co_await cache_wait(*core, std::move(each));
            const std::error_code error = decode(held.value(), values.emplace_back());
            if (error) throw_error(error);
        }
        co_return values;
    }

    std::shared_ptr<cache_core> core_;
};

}  // namespace ouro::redis
