// hashes.hpp: fields and values under one key.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ouro::redis {

/// The hash commands of a door. A missing key is an empty hash; one of another type is
/// errc::wrong_type.
template <class Door>
class hash_commands {
public:
    /// HDEL: removes fields; how many there were.
    auto hdel(std::string_view key, const words& fields) {
        arg_list list;
        list.add(key);
        add_all(list, fields.args());
        return door().template run<std::int64_t>(verb::hdel, list);
    }
    /// HEXISTS: whether there is such a field.
    auto hexists(std::string_view key, std::string_view field) {
        return door().template run<bool>(verb::hexists, {key, field});
    }
    /// HGET: a field's value; empty when there is none.
    template <class T = std::string>
    auto hget(std::string_view key, std::string_view field) {
        return door().template run<std::optional<T>>(verb::hget, {key, field});
    }
    /// HGETALL: everything, as a map or as a struct with `redis_fields`.
    template <class T = std::unordered_map<std::string, std::string>>
    auto hgetall(std::string_view key) {
        return door().template run<T>(verb::hgetall, {key});
    }
    /// HINCRBY: adds to a number; the new value. A missing field counts as 0.
    auto hincrby(std::string_view key, std::string_view field, std::int64_t amount) {
        return door().template run<std::int64_t>(verb::hincrby, {key, field, amount});
    }
    /// HINCRBYFLOAT: the same with fractions.
    auto hincrbyfloat(std::string_view key, std::string_view field, double amount) {
        return door().template run<double>(verb::hincrbyfloat, {key, field, amount});
    }
    /// HKEYS: the names of all fields.
    template <class T = std::vector<std::string>>
    auto hkeys(std::string_view key) {
        return door().template run<T>(verb::hkeys, {key});
    }
    /// HLEN: how many fields there are.
    auto hlen(std::string_view key) { return door().template run<std::int64_t>(verb::hlen, {key}); }
    /// HMGET: the values of these fields, in their order; empty where there is none.
    template <class T = std::vector<std::optional<std::string>>>
    auto hmget(std::string_view key, const words& fields) {
        arg_list list;
        list.add(key);
        add_all(list, fields.args());
        return door().template run<T>(verb::hmget, list);
    }
    /// HMSET: sets fields. Deprecated by Redis: see hset.
    auto hmset(std::string_view key, const pairs& fields) {
        arg_list list;
        list.add(key);
        add_all(list, fields.args());
        return door().template run<void>(verb::hmset, list);
    }
    /// HRANDFIELD: the name of some field; empty when there is none.
    auto hrandfield(std::string_view key) {
        return door().template run<std::optional<std::string>>(verb::hrandfield, {key});
    }
    /// HRANDFIELD with a count: so many different ones, or if negative with repetitions.
    auto hrandfield(std::string_view key, std::int64_t count) {
        return door().template run<std::vector<std::string>>(verb::hrandfield, {key, count});
    }
    /// HRANDFIELD … WITHVALUES: the same, with their values.
    template <class T = std::vector<std::pair<std::string, std::string>>>
    auto hrandfield_withvalues(std::string_view key, std::int64_t count) {
        return door().template run<T>(verb::hrandfield, {key, count, "WITHVALUES"});
    }
    /// HSCAN: one step through a hash, from cursor "0" on. See scan.hpp for the whole walk.
    auto hscan_step(std::string_view key, std::string_view cursor,
                    const page_options& options = {}) {
        using found = std::vector<std::pair<std::string, std::string>>;
        arg_list list;
        list.add(key, cursor);
        add_page(list, options);
        return door().template run<scan_page<found>>(verb::hscan, list);
    }
    /// HSET: sets fields, from pairs, a map or a struct with `redis_fields`; how many are new.
    auto hset(std::string_view key, const pairs& fields) {
        arg_list list;
        list.add(key);
        add_all(list, fields.args());
        return door().template run<std::int64_t>(verb::hset, list);
    }
    /// HSET of one field; whether it is new.
    auto hset(std::string_view key, std::string_view field, const arg& value) {
        return door().template run<bool>(verb::hset, {key, field, value});
    }
    /// HSETNX: sets a field if there is none; whether it did.
    auto hsetnx(std::string_view key, std::string_view field, const arg& value) {
        return door().template run<bool>(verb::hsetnx, {key, field, value});
    }
    /// HSTRLEN: the bytes of a field's value; 0 when there is none.
    auto hstrlen(std::string_view key, std::string_view field) {
        return door().template run<std::int64_t>(verb::hstrlen, {key, field});
    }
    /// HVALS: the values of all fields.
    template <class T = std::vector<std::string>>
    auto hvals(std::string_view key) {
        return door().template run<T>(verb::hvals, {key});
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
