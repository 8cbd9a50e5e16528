// keys.hpp: what Redis does with keys of any type: expire, copy, rename, scan, sort.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ouro::redis {

struct copy_options {
    std::optional<std::uint32_t> database = {};  ///< to another one
    bool replace = false;                        ///< overwrites the target
};
static_assert(std::is_trivially_copyable_v<copy_options>);

/// When EXPIRE and its like do something.
enum class expire_when {
    always,
    if_none,     ///< NX: the key has no expiry
    if_any,      ///< XX: the key has one
    if_later,    ///< GT: the new one is later
    if_earlier,  ///< LT: the new one is earlier, or the key had none
};

inline void add_when(arg_list& to, expire_when when) noexcept {
    switch (when) {
        case expire_when::always: break;
        case expire_when::if_none: to.add("NX"); break;
        case expire_when::if_any: to.add("XX"); break;
        case expire_when::if_later: to.add("GT"); break;
        case expire_when::if_earlier: to.add("LT"); break;
    }
}

struct restore_options {
    std::chrono::milliseconds ttl{0};                    ///< zero: the key stays
    std::optional<wall_time> expires_at = {};            ///< instead of ttl
    bool replace = false;                                ///< overwrites the key
    std::optional<std::chrono::seconds> idle_time = {};  ///< as last used so long ago
    std::optional<std::int64_t> frequency = {};          ///< as used so often
};
static_assert(std::is_trivially_copyable_v<restore_options>);

struct migrate_options {
    std::string_view host = {};
    std::uint16_t port = 6379;
    std::uint32_t database = 0;
    std::chrono::milliseconds timeout = std::chrono::seconds(5);  ///< of each step there
    bool copy = false;                                            ///< leaves the keys here, too
    bool replace = false;                                         ///< overwrites them there
    std::string_view user = {};
    std::string_view password = {};
};
static_assert(std::is_trivially_copyable_v<migrate_options>);

enum class migrate_result {
    moved,
    no_key,  ///< there was none of them
};

template <>
struct decoder<migrate_result> {
    static std::error_code read(const value& from, migrate_result& into) {
        if (from.kind() != type::status) return unexpected(from);
        into = from.text() == "NOKEY" ? migrate_result::no_key : migrate_result::moved;
        return {};
    }
};

struct sort_options {
    std::string_view by = {};  ///< sort by the keys of this pattern; "nosort": do not sort
    limit_options limit = {};
    words get = {};  ///< return the values of these patterns; "#": the element
    bool descending = false;
    bool alpha = false;  ///< as texts, not as numbers
};
static_assert(std::is_trivially_copyable_v<sort_options>);

/// The arguments of a SORT. There may be any number of patterns.
class sort_arguments {
public:
    sort_arguments(std::string_view key, const sort_options& options) {
        list_.add(key);
        if (!options.by.empty()) list_.add("BY", options.by);
        if (options.limit.given()) list_.add("LIMIT", options.limit.offset, options.limit.count);
        for (const arg& pattern : options.get.args())
            pattern.for_each([this](std::string_view each) {
                get_.insert(get_.end(), {std::string_view("GET"), each});
            });
        if (!get_.empty()) list_.add(arg(std::span<const std::string_view>(get_)));
        if (options.descending) list_.add("DESC");
        if (options.alpha) list_.add("ALPHA");
    }
    sort_arguments(const sort_arguments&) = delete;
    sort_arguments& operator=(const sort_arguments&) = delete;

    void store(std::string_view to) noexcept { list_.add("STORE", to); }
    std::span<const arg> args() const noexcept { return list_; }

private:
    arg_list list_;
    std::vector<std::string_view> get_;
};

/// The commands of a door for keys of any type.
template <class Door>
class key_commands {
public:
    /// COPY: whether it copied: there is such a key, and none at the target.
    auto copy(std::string_view from, std::string_view to, const copy_options& options = {}) {
        arg_list list;
        list.add(from, to);
        if (options.database) list.add("DB", *options.database);
        if (options.replace) list.add("REPLACE");
        return door().template run<bool>(verb::copy, list);
    }
    /// DEL: removes keys; how many there were. See unlink for large ones.
    auto del(const words& keys) {
        return door().template run<std::int64_t>(verb::del, keys.args());
    }
    /// DUMP: a value in Redis' own form, for restore; empty when there is no such key.
    auto dump(std::string_view key) {
        return door().template run<std::optional<std::string>>(verb::dump, {key});
    }
    /// EXISTS: how many of the keys exist; one that is named twice counts twice.
    auto exists(const words& keys) {
        return door().template run<std::int64_t>(verb::exists, keys.args());
    }
    /// EXPIRE: removes the key after `ttl`, at once if that is not more than zero; false when there
    /// is no such key, or `when` prevented it.
    auto expire(std::string_view key, std::chrono::seconds ttl,
                expire_when when = expire_when::always) {
        return expire_by(verb::expire, key, ttl.count(), when);
    }
    /// EXPIREAT: the same at a point of time, in whole seconds.
    auto expireat(std::string_view key, wall_time at, expire_when when = expire_when::always) {
        return expire_by(verb::expireat, key, unix_seconds(at), when);
    }
    /// EXPIRETIME: when the key expires.
    auto expiretime(std::string_view key) {
        return door().template run<expiry_time<std::chrono::seconds>>(verb::expiretime, {key});
    }
    /// KEYS: all keys that match, which holds up a server that has many: see scan.
    auto keys(std::string_view pattern) {
        return door().template run<std::vector<std::string>>(verb::keys, {pattern});
    }
    /// MIGRATE: moves keys to another server. errc::busy_key and the like are that server's.
    auto migrate(const words& keys, const migrate_options& options) {
        arg_list list;
        list.add(options.host, options.port, "", options.database, options.timeout.count());
        if (options.copy) list.add("COPY");
        if (options.replace) list.add("REPLACE");
        if (!options.user.empty())
            list.add("AUTH2", options.user, options.password);
        else if (!options.password.empty())
            list.add("AUTH", options.password);
        list.add("KEYS");
        add_all(list, keys.args());
        return door().template run<migrate_result>(verb::migrate, list);
    }
    /// MOVE: to another database; false when there is no such key, or one there.
    auto move(std::string_view key, std::uint32_t database) {
        return door().template run<bool>(verb::move, {key, database});
    }
    /// OBJECT ENCODING: how a value is kept: "listpack", "intset", …; empty: no such key.
    auto object_encoding(std::string_view key) {
        return door().template run<std::optional<std::string>>(verb::object_encoding, {key});
    }
    /// OBJECT FREQ: how often it is used, on a logarithmic scale; only with an LFU policy.
    auto object_freq(std::string_view key) {
        return door().template run<std::optional<std::int64_t>>(verb::object_freq, {key});
    }
    /// OBJECT IDLETIME: since when it was not used; not with an LFU policy.
    auto object_idletime(std::string_view key) {
        return door().template run<std::optional<std::chrono::seconds>>(verb::object_idletime,
                                                                        {key});
    }
    /// OBJECT REFCOUNT: how often the value is referred to.
    auto object_refcount(std::string_view key) {
        return door().template run<std::optional<std::int64_t>>(verb::object_refcount, {key});
    }
    /// PERSIST: the key expires no more; false when it did not before.
    auto persist(std::string_view key) { return door().template run<bool>(verb::persist, {key}); }
    /// PEXPIRE: as expire, in milliseconds.
    auto pexpire(std::string_view key, std::chrono::milliseconds ttl,
                 expire_when when = expire_when::always) {
        return expire_by(verb::pexpire, key, ttl.count(), when);
    }
    /// PEXPIREAT: as expireat, in milliseconds.
    auto pexpireat(std::string_view key, wall_time at, expire_when when = expire_when::always) {
        return expire_by(verb::pexpireat, key, unix_milliseconds(at), when);
    }
    /// PEXPIRETIME: as expiretime, in milliseconds.
    auto pexpiretime(std::string_view key) {
        return door().template run<expiry_time<std::chrono::milliseconds>>(verb::pexpiretime,
                                                                           {key});
    }
    /// PTTL: as ttl, in milliseconds.
    auto pttl(std::string_view key) {
        return door().template run<time_left<std::chrono::milliseconds>>(verb::pttl, {key});
    }
    /// RANDOMKEY: any key; empty when there is none.
    auto randomkey() { return door().template run<std::optional<std::string>>(verb::randomkey); }
    /// RENAME: overwrites a key that has the new name. No such key is errc::server_error.
    auto rename(std::string_view from, std::string_view to) {
        return door().template run<void>(verb::rename, {from, to});
    }
    /// RENAMENX: false, and nothing is done, when a key has the new name.
    auto renamenx(std::string_view from, std::string_view to) {
        return door().template run<bool>(verb::renamenx, {from, to});
    }
    /// RESTORE: makes a key of what dump returned. errc::busy_key when there is one.
    auto restore(std::string_view key, const arg& dumped, const restore_options& options = {}) {
        OURO_ASSERT(!(options.expires_at && options.ttl.count() != 0));
        arg_list list;
        list.add(key, options.expires_at ? unix_milliseconds(*options.expires_at)
                                         : std::int64_t(options.ttl.count()));
        list.add(dumped);
        if (options.replace) list.add("REPLACE");
        if (options.expires_at) list.add("ABSTTL");
        if (options.idle_time) list.add("IDLETIME", options.idle_time->count());
        if (options.frequency) list.add("FREQ", *options.frequency);
        return door().template run<void>(verb::restore, list);
    }
    /// SCAN: one step through all keys, from cursor "0" on. See scan.hpp for the whole walk.
    auto scan_step(std::string_view cursor, const page_options& options = {}) {
        arg_list list;
        list.add(cursor);
        add_page(list, options);
        return door().template run<scan_page<std::vector<std::string>>>(verb::scan, list);
    }
    /// SORT: the elements of a list, set or sorted set in order. With sort_options::get, which may
    /// find nothing, read it as a vector of optionals.
    template <class T = std::vector<std::string>>
    auto sort(std::string_view key, const sort_options& options = {}) {
        const sort_arguments arguments(key, options);
        return door().template run<T>(verb::sort, arguments.args());
    }
    /// SORT_RO: the same, on replicas, too.
    template <class T = std::vector<std::string>>
    auto sort_ro(std::string_view key, const sort_options& options = {}) {
        const sort_arguments arguments(key, options);
        return door().template run<T>(verb::sort_ro, arguments.args());
    }
    /// SORT … STORE: into a list; how long that is.
    auto sort_store(std::string_view key, std::string_view to, const sort_options& options = {}) {
        sort_arguments arguments(key, options);
        arguments.store(to);
        return door().template run<std::int64_t>(verb::sort, arguments.args());
    }
    /// TOUCH: as if they were used; how many of the keys exist.
    auto touch(const words& keys) {
        return door().template run<std::int64_t>(verb::touch, keys.args());
    }
    /// TTL: how long the key stays, in whole seconds.
    auto ttl(std::string_view key) {
        return door().template run<time_left<std::chrono::seconds>>(verb::ttl, {key});
    }
    /// TYPE: "string", "list", "set", "zset", "hash", "stream"; "none" when there is no such key.
    auto type(std::string_view key) { return door().template run<std::string>(verb::type, {key}); }
    /// UNLINK: as del, but the memory is freed later by another thread.
    auto unlink(const words& keys) {
        return door().template run<std::int64_t>(verb::unlink, keys.args());
    }
    /// WAIT: until so many replicas have what this connection wrote, or `timeout`; how many have.
    /// Zero waits for ever. On a leased connection, behind the writes that it is about; elsewhere
    /// it is errc::not_shareable.
    auto wait(std::int64_t replicas, std::chrono::milliseconds timeout) {
        arg_list list;
        list.add(replicas, timeout.count());
        return door().template run_blocking<std::int64_t>(verb::wait, timeout, list);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    auto expire_by(verb what, std::string_view key, std::int64_t when, expire_when condition) {
        arg_list list;
        list.add(key, when);
        add_when(list, condition);
        return door().template run<bool>(what, list);
    }
};

}  // namespace ouro::redis
