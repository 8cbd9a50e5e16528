// sets.hpp: members without order, each once.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The set commands of a door. A missing key is an empty set; one of another type is
/// errc::wrong_type. Several members are read as `T`: std::unordered_set<std::string> fits, too.
template <class Door>
class set_commands {
public:
    /// SADD: how many of the members are new.
    auto sadd(std::string_view key, const words& members) {
        return with_members<std::int64_t>(verb::sadd, key, members);
    }
    /// SCARD: how many members there are.
    auto scard(std::string_view key) {
        return door().template run<std::int64_t>(verb::scard, {key});
    }
    /// SDIFF: what is in the first set and in none of the others.
    template <class T = std::vector<std::string>>
    auto sdiff(const words& keys) {
        return door().template run<T>(verb::sdiff, keys.args());
    }
    /// SDIFFSTORE: the same into a key; how many.
    auto sdiffstore(std::string_view to, const words& keys) {
        return with_members<std::int64_t>(verb::sdiffstore, to, keys);
    }
    /// SINTER: what is in all the sets.
    template <class T = std::vector<std::string>>
    auto sinter(const words& keys) {
        return door().template run<T>(verb::sinter, keys.args());
    }
    /// SINTERCARD: how many that are; counts up to `limit`, 0: to the end.
    auto sintercard(const words& keys, std::int64_t limit = 0) {
        arg_list list;
        list.add(keys.size());
        add_all(list, keys.args());
        if (limit != 0) list.add("LIMIT", limit);
        return door().template run<std::int64_t>(verb::sintercard, list);
    }
    /// SINTERSTORE: sinter into a key; how many.
    auto sinterstore(std::string_view to, const words& keys) {
        return with_members<std::int64_t>(verb::sinterstore, to, keys);
    }
    /// SISMEMBER: whether it is one.
    auto sismember(std::string_view key, const arg& member) {
        return door().template run<bool>(verb::sismember, {key, member});
    }
    /// SMEMBERS: all of them.
    template <class T = std::vector<std::string>>
    auto smembers(std::string_view key) {
        return door().template run<T>(verb::smembers, {key});
    }
    /// SMISMEMBER: for each, whether it is one.
    auto smismember(std::string_view key, const words& members) {
        return with_members<std::vector<bool>>(verb::smismember, key, members);
    }
    /// SMOVE: from one set to another; false when it was not in the first.
    auto smove(std::string_view from, std::string_view to, const arg& member) {
        return door().template run<bool>(verb::smove, {from, to, member});
    }
    /// SPOP: takes some member; empty when there is none.
    template <class T = std::string>
    auto spop(std::string_view key) {
        return door().template run<std::optional<T>>(verb::spop, {key});
    }
    /// SPOP with a count: takes up to so many.
    template <class T = std::vector<std::string>>
    auto spop(std::string_view key, std::int64_t count) {
        return door().template run<T>(verb::spop, {key, count});
    }
    /// SRANDMEMBER: some member; empty when there is none.
    template <class T = std::string>
    auto srandmember(std::string_view key) {
        return door().template run<std::optional<T>>(verb::srandmember, {key});
    }
    /// SRANDMEMBER with a count: so many different ones, or if negative with repetitions.
    template <class T = std::vector<std::string>>
    auto srandmember(std::string_view key, std::int64_t count) {
        return door().template run<T>(verb::srandmember, {key, count});
    }
    /// SREM: removes members; how many there were.
    auto srem(std::string_view key, const words& members) {
        return with_members<std::int64_t>(verb::srem, key, members);
    }
    /// SSCAN: one step through a set, from cursor "0" on. See scan.hpp for the whole walk.
    auto sscan_step(std::string_view key, std::string_view cursor,
                    const page_options& options = {}) {
        arg_list list;
        list.add(key, cursor);
        add_page(list, options);
        return door().template run<scan_page<std::vector<std::string>>>(verb::sscan, list);
    }
    /// SUNION: what is in any of the sets.
    template <class T = std::vector<std::string>>
    auto sunion(const words& keys) {
        return door().template run<T>(verb::sunion, keys.args());
    }
    /// SUNIONSTORE: the same into a key; how many.
    auto sunionstore(std::string_view to, const words& keys) {
        return with_members<std::int64_t>(verb::sunionstore, to, keys);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    template <class T>
    auto with_members(verb what, std::string_view key, const words& members) {
        arg_list list;
        list.add(key);
        add_all(list, members.args());
        return door().template run<T>(what, list);
    }
};

}  // namespace ouro::redis
