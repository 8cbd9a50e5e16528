// strings.hpp: GET, SET and what else Redis does with strings.
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

/// Whether a key has to be there for a write.
enum class set_when {
    always,
    if_absent,   ///< NX
    if_present,  ///< XX
};

struct set_options {
    std::optional<std::chrono::milliseconds> ttl = {};  ///< expires after so long
    std::optional<wall_time> expires_at = {};           ///< or at that time
    bool keep_ttl = false;                              ///< or when it would have expired anyway
    set_when when = set_when::always;
};
static_assert(std::is_trivially_copyable_v<set_options>);

struct getex_options {
    std::optional<std::chrono::milliseconds> ttl = {};  ///< expires after so long from now on
    std::optional<wall_time> expires_at = {};           ///< or at that time
    bool persist = false;                               ///< or never
};
static_assert(std::is_trivially_copyable_v<getex_options>);

struct lcs_options {
    std::int64_t min_match_len = 0;  ///< shorter matches are left out
    bool with_match_len = false;     ///< fills lcs_match::length
};
static_assert(std::is_trivially_copyable_v<lcs_options>);

/// A part that two strings have in common: first and last position, both included, in each.
struct lcs_match {
    std::int64_t first_begin = 0, first_end = 0;
    std::int64_t second_begin = 0, second_end = 0;
    std::int64_t length = 0;  ///< with lcs_options::with_match_len

    bool operator==(const lcs_match&) const = default;
};

struct lcs_matches {
    std::vector<lcs_match> matches;  ///< from the end of the strings to their beginning
    std::int64_t length = 0;         ///< of the longest common subsequence
};

template <>
struct decoder<lcs_match> {
    static std::error_code read(const value& from, lcs_match& into);
};
template <>
struct decoder<lcs_matches> {
    static std::error_code read(const value& from, lcs_matches& into);
};

inline void add_set(arg_list& to, std::string_view key, const arg& value,
                    const set_options& options) noexcept {
    to.add(key, value);
    add_expiry(to, {options.ttl, options.expires_at});
    if (options.keep_ttl) to.add("KEEPTTL");
    if (options.when == set_when::if_absent) to.add("NX");
    if (options.when == set_when::if_present) to.add("XX");
}

/// The string commands of a door. A key of another type is errc::wrong_type.
///
/// `T` is what a value is read as: std::string, a number, or whatever has a decoder.
template <class Door>
class string_commands {
public:
    /// APPEND: adds to the end of the string, which is made if there is none; its new length.
    auto append(std::string_view key, const arg& value) {
        return door().template run<std::int64_t>(verb::append, {key, value});
    }
    /// DECR: one less; the new value. A string that is no integer is errc::server_error.
    auto decr(std::string_view key) { return door().template run<std::int64_t>(verb::decr, {key}); }
    /// DECRBY: less by `amount`; the new value.
    auto decrby(std::string_view key, std::int64_t amount) {
        return door().template run<std::int64_t>(verb::decrby, {key, amount});
    }
    /// GET: the value; empty when there is no such key.
    template <class T = std::string>
    auto get(std::string_view key) {
        return door().template run<std::optional<T>>(verb::get, {key});
    }
    /// GETDEL: the value of a key that is gone then.
    template <class T = std::string>
    auto getdel(std::string_view key) {
        return door().template run<std::optional<T>>(verb::getdel, {key});
    }
    /// GETEX: the value, and when it will expire is changed.
    template <class T = std::string>
    auto getex(std::string_view key, const getex_options& options) {
        arg_list list;
        list.add(key);
        add_expiry(list, {options.ttl, options.expires_at});
        if (options.persist) list.add("PERSIST");
        return door().template run<std::optional<T>>(verb::getex, list);
    }
    /// GETRANGE: the bytes from `start` to `end`, both included; negative ones count from the end.
    template <class T = std::string>
    auto getrange(std::string_view key, std::int64_t start, std::int64_t end) {
        return door().template run<T>(verb::getrange, {key, start, end});
    }
    /// GETSET: sets a value and returns the one before. Deprecated by Redis: see set_get.
    template <class T = std::string>
    auto getset(std::string_view key, const arg& value) {
        return door().template run<std::optional<T>>(verb::getset, {key, value});
    }
    /// INCR: one more; the new value. A missing key counts as 0.
    auto incr(std::string_view key) { return door().template run<std::int64_t>(verb::incr, {key}); }
    /// INCRBY: more by `amount`; the new value.
    auto incrby(std::string_view key, std::int64_t amount) {
        return door().template run<std::int64_t>(verb::incrby, {key, amount});
    }
    /// INCRBYFLOAT: more by `amount`; the new value.
    auto incrbyfloat(std::string_view key, double amount) {
        return door().template run<double>(verb::incrbyfloat, {key, amount});
    }
    /// LCS: the longest common subsequence of two strings.
    template <class T = std::string>
    auto lcs(std::string_view first, std::string_view second) {
        return door().template run<T>(verb::lcs, {first, second});
    }
    /// LCS LEN: how long it is.
    auto lcs_len(std::string_view first, std::string_view second) {
        return door().template run<std::int64_t>(verb::lcs, {first, second, "LEN"});
    }
    /// LCS IDX: where its parts lie.
    auto lcs_idx(std::string_view first, std::string_view second, const lcs_options& options = {}) {
        arg_list list;
        list.add(first, second, "IDX");
        if (options.min_match_len > 0) list.add("MINMATCHLEN", options.min_match_len);
        if (options.with_match_len) list.add("WITHMATCHLEN");
        return door().template run<lcs_matches>(verb::lcs, list);
    }
    /// MGET: a value for each key, in their order; empty where there is none.
    template <class T = std::vector<std::optional<std::string>>>
    auto mget(const words& keys) {
        return door().template run<T>(verb::mget, keys.args());
    }
    /// MSET: sets all the keys at once.
    auto mset(const pairs& values) { return door().template run<void>(verb::mset, values.args()); }
    /// MSETNX: sets all the keys or, when one of them exists, none; whether it did.
    auto msetnx(const pairs& values) {
        return door().template run<bool>(verb::msetnx, values.args());
    }
    /// PSETEX: sets a value that expires after `ttl`. Deprecated by Redis: see set.
    auto psetex(std::string_view key, std::chrono::milliseconds ttl, const arg& value) {
        return door().template run<void>(verb::psetex, {key, ttl.count(), value});
    }
    /// SET: whether it was set, which only set_options::when can prevent.
    auto set(std::string_view key, const arg& value) {
        return door().template run<bool>(verb::set, {key, value});
    }
    auto set(std::string_view key, const arg& value, const set_options& options) {
        arg_list list;
        add_set(list, key, value, options);
        return door().template run<bool>(verb::set, list);
    }
    /// SET … GET: sets a value and returns the one before; empty when there was none.
    template <class T = std::string>
    auto set_get(std::string_view key, const arg& value, const set_options& options = {}) {
        arg_list list;
        add_set(list, key, value, options);
        list.add("GET");
        return door().template run<std::optional<T>>(verb::set, list);
    }
    /// SETEX: sets a value that expires after `ttl`. Deprecated by Redis: see set.
    auto setex(std::string_view key, std::chrono::seconds ttl, const arg& value) {
        return door().template run<void>(verb::setex, {key, ttl.count(), value});
    }
    /// SETNX: sets a value if there is none; whether it did. Deprecated by Redis: see set.
    auto setnx(std::string_view key, const arg& value) {
        return door().template run<bool>(verb::setnx, {key, value});
    }
    /// SETRANGE: overwrites from byte `offset` on; the new length. Gaps are filled with zeros.
    auto setrange(std::string_view key, std::int64_t offset, const arg& value) {
        return door().template run<std::int64_t>(verb::setrange, {key, offset, value});
    }
    /// STRLEN: the bytes of a string; 0 when there is none.
    auto strlen(std::string_view key) {
        return door().template run<std::int64_t>(verb::strlen, {key});
    }
    /// SUBSTR: the old name of GETRANGE.
    template <class T = std::string>
    auto substr(std::string_view key, std::int64_t start, std::int64_t end) {
        return door().template run<T>(verb::substr, {key, start, end});
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
