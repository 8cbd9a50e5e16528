// lists.hpp: push, pop, move and wait for elements.
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

struct lpos_options {
    std::int64_t rank = 1;    ///< the first match, the second…; -1: the last
    std::int64_t maxlen = 0;  ///< compares only so many elements; 0: all
};
static_assert(std::is_trivially_copyable_v<lpos_options>);

/// Before or after another element.
enum class where { before, after };

/// The list commands of a door. A missing key is an empty list; one of another type is
/// errc::wrong_type. Elements are read as `T`.
///
/// Those that wait take a timeout, of which zero is for ever; they run on a connection of their
/// own. Nothing within the timeout is an empty optional.
///
/// An element that was popped is in the reply alone. So when blpop, brpop or blmpop is cancelled
/// (by a timeout() around it, too), or its connection breaks, in the moment in which the server
/// pops, the element is lost. The server's own timeout, the argument, loses nothing. Neither does
/// moving it to a list of one's own, where it stays until it is taken out, whatever became of the
/// call:
///
///     auto job = co_await db.blmove("jobs", "jobs:me", side::left, side::right, 30s);
///     …                                           // do it
///     co_await db.lrem("jobs:me", 1, *job);       // done: now it may go
///
/// After a cancelled or failed call, and at the start, what is in "jobs:me" comes first. For many
/// consumers, streams with groups keep that account themselves: xreadgroup, xack, xautoclaim.
template <class Door>
class list_commands {
public:
    /// BLMOVE: as lmove, but waits for an element. Cancelling it loses none: it is in one list or
    /// in the other.
    template <class T = std::string>
    auto blmove(std::string_view from, std::string_view to, side from_side, side to_side,
                std::chrono::milliseconds timeout) {
        arg_list list;
        list.add(from, to, word_of(from_side), word_of(to_side), blocking_seconds(timeout));
        return door().template run_blocking<std::optional<T>>(verb::blmove, timeout, list);
    }
    /// BLMPOP: as lmpop, but waits for an element. Cancelled, it may lose what it pops: see above.
    template <class T = std::vector<std::string>>
    auto blmpop(const words& keys, side which, std::chrono::milliseconds timeout,
                std::int64_t count = 1) {
        arg_list list;
        list.add(blocking_seconds(timeout));
        add_mpop(list, keys, which, count);
        return door().template run_blocking<std::optional<popped<T>>>(verb::blmpop, timeout, list);
    }
    /// BLPOP: takes the first element of the first of these lists that has one, or waits for one.
    /// Cancelled, it may lose what it pops: see above.
    template <class T = std::string>
    auto blpop(const words& keys, std::chrono::milliseconds timeout) {
        return blocking_pop<T>(verb::blpop, keys, timeout);
    }
    /// BRPOP: the same with the last element, which it may lose likewise.
    template <class T = std::string>
    auto brpop(const words& keys, std::chrono::milliseconds timeout) {
        return blocking_pop<T>(verb::brpop, keys, timeout);
    }
    /// BRPOPLPUSH: as blmove from right to left. Deprecated by Redis.
    template <class T = std::string>
    auto brpoplpush(std::string_view from, std::string_view to, std::chrono::milliseconds timeout) {
        arg_list list;
        list.add(from, to, blocking_seconds(timeout));
        return door().template run_blocking<std::optional<T>>(verb::brpoplpush, timeout, list);
    }
    /// LINDEX: the element at an index, negative from the end; empty when there is none.
    template <class T = std::string>
    auto lindex(std::string_view key, std::int64_t index) {
        return door().template run<std::optional<T>>(verb::lindex, {key, index});
    }
    /// LINSERT: the new length; -1 when there is no such pivot, 0 when there is no list.
    auto linsert(std::string_view key, where side_of_it, const arg& pivot, const arg& value) {
        return door().template run<std::int64_t>(
            verb::linsert, {key, side_of_it == where::before ? "BEFORE" : "AFTER", pivot, value});
    }
    /// LLEN: how many elements there are.
    auto llen(std::string_view key) { return door().template run<std::int64_t>(verb::llen, {key}); }
    /// LMOVE: takes an element from one end of a list to one end of another, at once; empty when
    /// there is none.
    template <class T = std::string>
    auto lmove(std::string_view from, std::string_view to, side from_side, side to_side) {
        return door().template run<std::optional<T>>(
            verb::lmove, {from, to, word_of(from_side), word_of(to_side)});
    }
    /// LMPOP: takes up to `count` elements from an end of the first of these lists that has any.
    template <class T = std::vector<std::string>>
    auto lmpop(const words& keys, side which, std::int64_t count = 1) {
        arg_list list;
        add_mpop(list, keys, which, count);
        return door().template run<std::optional<popped<T>>>(verb::lmpop, list);
    }
    /// LPOP: takes the first element; empty when there is none.
    template <class T = std::string>
    auto lpop(std::string_view key) {
        return door().template run<std::optional<T>>(verb::lpop, {key});
    }
    /// LPOP with a count: takes up to so many; empty when there is no list.
    template <class T = std::vector<std::string>>
    auto lpop(std::string_view key, std::int64_t count) {
        return door().template run<std::optional<T>>(verb::lpop, {key, count});
    }
    /// LPOS: the index of an element; empty when there is none.
    auto lpos(std::string_view key, const arg& value, const lpos_options& options = {}) {
        arg_list list;
        add_pos(list, key, value, options);
        return door().template run<std::optional<std::int64_t>>(verb::lpos, list);
    }
    /// LPOS … COUNT: the indices of up to `count` such elements; 0: of all.
    auto lpos(std::string_view key, const arg& value, std::int64_t count,
              const lpos_options& options = {}) {
        arg_list list;
        add_pos(list, key, value, options);
        list.add("COUNT", count);
        return door().template run<std::vector<std::int64_t>>(verb::lpos, list);
    }
    /// LPUSH: puts elements before the first, one after another; the new length.
    auto lpush(std::string_view key, const words& values) { return push(verb::lpush, key, values); }
    /// LPUSHX: the same, but only if there is a list; the length.
    auto lpushx(std::string_view key, const words& values) {
        return push(verb::lpushx, key, values);
    }
    /// LRANGE: from index `start` to `stop`, both included; negative ones count from the end.
    template <class T = std::vector<std::string>>
    auto lrange(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<T>(verb::lrange, {key, start, stop});
    }
    /// LREM: removes `count` such elements, if negative from the end on, 0: all; how many.
    auto lrem(std::string_view key, std::int64_t count, const arg& value) {
        return door().template run<std::int64_t>(verb::lrem, {key, count, value});
    }
    /// LSET: an index where there is nothing is errc::server_error.
    auto lset(std::string_view key, std::int64_t index, const arg& value) {
        return door().template run<void>(verb::lset, {key, index, value});
    }
    /// LTRIM: keeps what lrange would return.
    auto ltrim(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<void>(verb::ltrim, {key, start, stop});
    }
    /// RPOP: takes the last element; empty when there is none.
    template <class T = std::string>
    auto rpop(std::string_view key) {
        return door().template run<std::optional<T>>(verb::rpop, {key});
    }
    /// RPOP with a count: takes up to so many, the last first; empty when there is no list.
    template <class T = std::vector<std::string>>
    auto rpop(std::string_view key, std::int64_t count) {
        return door().template run<std::optional<T>>(verb::rpop, {key, count});
    }
    /// RPOPLPUSH: as lmove from right to left. Deprecated by Redis.
    template <class T = std::string>
    auto rpoplpush(std::string_view from, std::string_view to) {
        return door().template run<std::optional<T>>(verb::rpoplpush, {from, to});
    }
    /// RPUSH: puts elements behind the last; the new length.
    auto rpush(std::string_view key, const words& values) { return push(verb::rpush, key, values); }
    /// RPUSHX: the same, but only if there is a list; the length.
    auto rpushx(std::string_view key, const words& values) {
        return push(verb::rpushx, key, values);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    static void add_mpop(arg_list& to, const words& keys, side which, std::int64_t count) noexcept {
        to.add(keys.size());
        add_all(to, keys.args());
        to.add(word_of(which));
        if (count != 1) to.add("COUNT", count);
    }
    static void add_pos(arg_list& to, std::string_view key, const arg& value,
                        const lpos_options& options) noexcept {
        to.add(key, value);
        if (options.rank != 1) to.add("RANK", options.rank);
        if (options.maxlen != 0) to.add("MAXLEN", options.maxlen);
    }
    auto push(verb what, std::string_view key, const words& values) {
        arg_list list;
        list.add(key);
        add_all(list, values.args());
        return door().template run<std::int64_t>(what, list);
    }
    template <class T>
    auto blocking_pop(verb what, const words& keys, std::chrono::milliseconds timeout) {
        arg_list list;
        add_all(list, keys.args());
        list.add(blocking_seconds(timeout));
        return door().template run_blocking<std::optional<popped<T>>>(what, timeout, list);
    }
};

}  // namespace ouro::redis
