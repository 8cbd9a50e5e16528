// client.hpp: memcached for tasks: one connection per server, shared by all of them.
#pragma once

#include <ouro/kv/memcached/connection/batch.hpp>
#include <ouro/kv/memcached/credentials.hpp>
#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/expiry.hpp>
#include <ouro/kv/memcached/ring.hpp>
#include <ouro/kv/memcached/server.hpp>
#include <ouro/kv/memcached/wire/grammar.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::memcached {

/// How a client talks to its servers. Whatever text it names is copied by `connect`.
struct client_options {
    memcached::dialect dialect = dialect::meta;
    memcached::distribution distribution = distribution::ketama;  ///< of keys over several servers

    /// For servers with `-Y`: both or, for none, neither. Copied when connecting.
    std::string_view user = {};
    std::string_view password = {};
    /// Says both instead, in every handshake; it stays until the client has been closed.
    credential_source* credentials = nullptr;

    /// Keys may be any 1 to 186 bytes and travel in base64. Meta only. Whoever else reads these
    /// items must do the same.
    bool base64_keys = false;

    duration connect_timeout = std::chrono::seconds(2);  ///< for connection and handshake
    duration request_timeout = std::chrono::seconds(3);  ///< of one request; zero: none
    std::size_t queued_max = 65536;                      ///< requests that wait for a connection
    std::size_t value_bytes_max = 1024 * 1024;           ///< of values both ways; at most 1 GiB

    /// A read that was sent on a connection which was lost is sent again so many times. Writes
    /// never are: they may have happened.
    std::uint8_t read_repeats = 1;

    /// After so many failures in a row to connect, or to answer in time, a server is marked down:
    /// its requests fail at once. 0: never.
    unsigned failures_max = 2;
    /// A server that is down, or that does not keep connections for so long, is tried again after
    /// growing waits, at most so long apart.
    duration probe_interval = std::chrono::seconds(5);
    /// While a server is down its keys belong to the others. What they hold then may be old when
    /// it comes back and leaves again; without, its keys fail with errc::server_down.
    bool failover = true;

    /// Servers that fail, and only that, look like servers that have nothing: gets miss, writes
    /// are lost. What is wrong with a request is still an error. Counted in the figures.
    bool errors_as_misses = false;

    net::stream_options stream = net::lasting_stream();  ///< keep-alive and user timeout of TCP
    net::resolver* names = nullptr;                      ///< see net::connect_options
    /// TLS, with all servers: `{.tls = {.on = true}}`.
    net::tls_options tls = {};
};
// Options stand in awaited expressions, where g++ 12 copies what braces make bit by bit.
static_assert(std::is_trivially_copyable_v<client_options>);

/// Goes with a value that is stored.
struct store_options {
    expiry ttl{};
    std::uint32_t flags = 0;  ///< any number; comes back with the value
};

/// How a compare-and-set ended.
enum class cas_result : std::uint8_t {
    stored,
    exists,     ///< somebody has stored since the cas was read
    not_found,  ///< the item is gone
};

/// How get_or_compute protects a key that many tasks miss at once. The first one to find it missing
/// claims it, in all clients of the server, and computes; the others wait.
struct compute_options {
    expiry ttl{};                                           ///< of the computed value
    std::chrono::seconds claim = std::chrono::seconds(30);  ///< how long others rely on the claim
    /// One client renews a value that has less than this left, while the others still take it.
    std::chrono::seconds early{};
    duration wait_max = std::chrono::seconds(5);  ///< for another's value; then it is computed here
    std::uint32_t flags = 0;
};

/// The outcome of a get_or_compute.
struct sighting {
    enum class kind : std::uint8_t {
        found,    ///< a value, maybe a stale one that somebody else renews
        claimed,  ///< this caller is to compute; `value` is what there still is
        awaited,  ///< there is nothing yet; another has claimed it
        missing,  ///< nothing, and no claim: the server does not answer
    };
    kind what = kind::missing;
    std::string value;
    std::uint64_t cas = 0;  ///< of the claim
    bool has_value = false;
};

struct server_figures {
    std::string server;
    bool is_connected = false;
    bool is_down = false;
    std::uint64_t connections = 0;  ///< made since the beginning
    net::session_figures requests;
};

struct client_figures {
    std::uint64_t hidden_errors = 0;  ///< that errors_as_misses turned into misses
    std::vector<server_figures> servers;
};

class client_core;

/// A memcached client. Worker-local; movable while nothing awaits it.
///
///     auto cache = co_await memcached::client::connect("127.0.0.1");
///     co_await cache.set("greeting", "hello", {.ttl = 60s});
///     std::optional<std::string> hit = co_await cache.get("greeting");
///
/// All tasks of the worker share one connection per server: what they ask in one turn leaves in
/// one segment, and each is resumed as its own reply comes. A lost connection is made again with
/// growing waits; what was not sent waits for it.
///
/// Keys are 1 to 250 bytes without blanks and control characters (errc::bad_key). Keys and values
/// are views: they stay until the task has ended. Failures throw memcached::error, which has the
/// server's words and says whether the request had its effect. The client outlives its tasks.
class client {
public:
    /// Connects to the servers of a list like "10.0.0.1, 10.0.0.2:11300, unix:/run/cache", which
    /// share the keys. Throws when none of them can be reached, or when one refuses: a wrong
    /// password, no memcached, a dialect it does not know, a certificate that is not to be trusted.
    static task<client> connect(std::string_view servers, const client_options& options = {});
    /// The same with weights.
    static task<client> connect(std::vector<server> servers, const client_options& options = {});

    client(client&&) noexcept;
    client& operator=(client&&) noexcept;
    /// Closes; what waits gets ouro::errc::closed.
    ~client();

    /// Closes and waits until the connections are closed.
    task<> close();

    // Reading.

    /// The value, or nothing.
    task<std::optional<std::string>> get(std::string_view key);
    /// Puts the value into `into`, whose memory is used again. False, and `into` stays, on a miss.
    task<bool> get(std::string_view key, std::string& into);
    /// Copies the value to the beginning of `into` and says how long it is. Throws
    /// errc::value_too_large when it does not fit.
    task<std::optional<std::size_t>> get(std::string_view key, std::span<std::byte> into);
    /// The value with its flags and its cas.
    task<std::optional<item>> gets(std::string_view key);
    /// Gets the value and gives it another time to live.
    task<std::optional<std::string>> get_and_touch(std::string_view key, expiry ttl);

    /// The values of many keys, in their order; each server is asked once, all at the same time.
    /// Throws when a server fails.
    task<std::vector<std::optional<std::string>>> get_multi(std::vector<std::string_view> keys);
    /// The same with flags and cas.
    task<std::vector<std::optional<item>>> gets_multi(std::vector<std::string_view> keys);

    // Writing.

    /// Stores, whatever there was. Throws errc::value_too_large for more than `value_bytes_max`,
    /// and when the server says so, whose limit is 1 MiB less its overhead unless told otherwise.
    task<> set(std::string_view key, std::string_view value, store_options with = {});
    /// Stores unless there is something. False: there is.
    task<bool> add(std::string_view key, std::string_view value, store_options with = {});
    /// Stores if there is something. False: there is not.
    task<bool> replace(std::string_view key, std::string_view value, store_options with = {});
    /// Adds to the end or the beginning of what is there. False: there is nothing.
    task<bool> append(std::string_view key, std::string_view more);
    task<bool> prepend(std::string_view key, std::string_view more);
    /// Stores if nobody has since `cas`, from gets, was read.
    task<cas_result> cas(std::string_view key, std::string_view value, std::uint64_t cas,
                         store_options with = {});

    /// Adds to a number, written in decimal, modulo 2^64; the new number, or nothing when there is
    /// none. Throws errc::not_a_number for other values.
    task<std::optional<std::uint64_t>> increment(std::string_view key, std::uint64_t delta = 1);
    /// Subtracts from it, down to 0.
    task<std::optional<std::uint64_t>> decrement(std::string_view key, std::uint64_t delta = 1);
    /// Adds to a number, or begins with `initial`, which lives for `ttl`.
    task<std::uint64_t> increment_from(std::uint64_t initial, std::string_view key,
                                       std::uint64_t delta = 1, expiry ttl = {});

    /// Deletes. False: there was nothing.
    task<bool> remove(std::string_view key);
    /// Another time to live. False: there is nothing.
    task<bool> touch(std::string_view key, expiry ttl);

    // Stampede protection; meta only, errc::unsupported elsewhere.

    /// The value of a key; when there is none, what `compute()` returns, a task<std::string>, and
    /// stores that. Of all callers, in all clients of the server, one computes and the others wait
    /// for it or take the stale value meanwhile. When it throws, a stale value is returned if there
    /// is one; otherwise the claim is given back, and it is rethrown.
    ///
    /// An empty value is not told from none while somebody computes it.
    template <class Compute>
    task<std::string> get_or_compute(std::string_view key, Compute compute,
                                     compute_options how = {});

    /// Marks an item stale: get_or_compute has one caller compute it anew, and the others take it
    /// as it is, for `ttl` at most. False: there is nothing.
    task<bool> mark_stale(std::string_view key, expiry ttl = {});

    // All servers.

    /// Forgets everything, at once or in `delay`.
    task<> flush_all(std::chrono::seconds delay = {});
    /// Statistics of every server, by its name; `group` is one word: "items", "slabs", "settings".
    task<std::vector<std::pair<std::string, stats_list>>> stats(std::string group = {});
    /// The version of every server, by its name.
    task<std::vector<std::pair<std::string, std::string>>> version();

    /// The server that has the key now, as "host:port".
    std::string server_of(std::string_view key) const;
    client_figures figures() const;

private:
    explicit client(std::unique_ptr<client_core> core) noexcept;

    static task<client> connected(std::vector<server> servers, client_options options,
                                  std::string user, std::string password, std::string tls_name);
    task<std::optional<std::uint64_t>> count(request what);
    task<bool> store(request what);

    // For get_or_compute.
    task<sighting> look_up(std::string_view key, const compute_options& how);
    task<> settle_claim(std::string_view key, std::string_view value, std::uint64_t cas,
                        const compute_options& how);
    task<> give_claim_back(std::string_view key, std::uint64_t cas);

    std::unique_ptr<client_core> core_;
};

template <class Compute>
task<std::string> client::get_or_compute(std::string_view key, Compute compute,
                                         compute_options how) {
    const time_point give_up = after(clock::now(), how.wait_max);
    backoff wait(
        {.first = std::chrono::milliseconds(5), .ceiling = std::chrono::milliseconds(100)});
    sighting seen;
    for (;;) {
        seen = co_await look_up(key, how);
        if (seen.what == sighting::kind::found) co_return std::move(seen.value);
        if (seen.what != sighting::kind::awaited || clock::now() >= give_up) break;
        co_await sleep_for(wait.next());
    }
    const bool claimed = seen.what == sighting::kind::claimed;
    std::exception_ptr failure;
    std::string made;
    try {
        made = co_await compute();
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) {
        if (seen.what != sighting::kind::missing)
            co_await settle_claim(key, made, claimed ? seen.cas : 0, how);
        co_return made;
    }
    if (claimed && !seen.has_value) {
        auto given_back = give_claim_back(key, seen.cas);
        co_await shield(std::move(given_back));
    }
    const bool cancelled = current_cancellation() != cancel_reason::none;
    if (!seen.has_value || cancelled) std::rethrow_exception(failure);
    co_return std::move(seen.value);
}

}  // namespace ouro::memcached
