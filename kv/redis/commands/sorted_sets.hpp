// sorted_sets.hpp: members ordered by a score.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/sorted_set_types.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The sorted set commands of a door. A missing key is an empty set; one of another type is
/// errc::wrong_type.
///
/// Members come as `T`, as a rule std::vector<std::string>; with their scores as
/// std::vector<scored_member>, in the methods whose name ends in _withscores.
///
/// A member that was popped is in the reply alone. So when bzmpop, bzpopmax or bzpopmin is
/// cancelled (by a timeout() around it, too), or its connection breaks, in the moment in which the
/// server pops, the member is lost. The server's own timeout, the argument, loses nothing; nor does
/// a script that moves members instead of popping them, or a stream with groups.
template <class Door>
class sorted_set_commands {
public:
    /// BZMPOP: as zmpop, but waits for a member; a timeout of zero is for ever. Cancelled, it may
    /// lose what it pops: see above; the two below likewise.
    auto bzmpop(const words& keys, by_end which, std::chrono::milliseconds timeout,
                std::int64_t count = 1) {
        arg_list list;
        list.add(blocking_seconds(timeout));
        add_mpop(list, keys, which, count);
        return door().template run_blocking<std::optional<popped<std::vector<scored_member>>>>(
            verb::bzmpop, timeout, list);
    }
    /// BZPOPMAX: takes the member with the highest score from the first of these sets that has
    /// one, or waits for one; empty when the timeout passes, of which zero is for ever.
    auto bzpopmax(const words& keys, std::chrono::milliseconds timeout) {
        return blocking_pop(verb::bzpopmax, keys, timeout);
    }
    /// BZPOPMIN: the same with the lowest score.
    auto bzpopmin(const words& keys, std::chrono::milliseconds timeout) {
        return blocking_pop(verb::bzpopmin, keys, timeout);
    }
    /// ZADD: adds members or sets their scores; how many are new, or with zadd_options::changed
    /// how many are new or have another score now.
    auto zadd(std::string_view key, const scored_words& members, const zadd_options& options = {}) {
        arg_list list;
        list.add(key);
        add_zadd(list, options);
        list.add(members.list());
        return door().template run<std::int64_t>(verb::zadd, list);
    }
    /// ZADD of one member.
    auto zadd(std::string_view key, double score, const arg& member,
              const zadd_options& options = {}) {
        arg_list list;
        list.add(key);
        add_zadd(list, options);
        list.add(score, member);
        return door().template run<std::int64_t>(verb::zadd, list);
    }
    /// ZADD … INCR: adds to a score; the new one, empty when the options prevented it.
    auto zadd_incr(std::string_view key, double amount, const arg& member,
                   const zadd_options& options = {}) {
        arg_list list;
        list.add(key);
        add_zadd(list, options);
        list.add("INCR", amount, member);
        return door().template run<std::optional<double>>(verb::zadd, list);
    }
    /// ZCARD: how many members there are.
    auto zcard(std::string_view key) {
        return door().template run<std::int64_t>(verb::zcard, {key});
    }
    /// ZCOUNT: how many members have a score in the range.
    auto zcount(std::string_view key, const score_bound& min, const score_bound& max) {
        return door().template run<std::int64_t>(verb::zcount, {key, min.text(), max.text()});
    }
    /// ZDIFF: what is in the first set and in none of the others.
    template <class T = std::vector<std::string>>
    auto zdiff(const words& keys) {
        return combined<T>(verb::zdiff, keys, {}, nullptr);
    }
    auto zdiff_withscores(const words& keys) {
        return combined<std::vector<scored_member>>(verb::zdiff, keys, {}, "WITHSCORES");
    }
    /// ZDIFFSTORE: the same into a key; how many.
    auto zdiffstore(std::string_view to, const words& keys) {
        return stored(verb::zdiffstore, to, keys, {});
    }
    /// ZINCRBY: adds to a member's score, 0 if it is new; the new one.
    auto zincrby(std::string_view key, double amount, const arg& member) {
        return door().template run<double>(verb::zincrby, {key, amount, member});
    }
    /// ZINTER: what is in all the sets; scores are added up, or as the options say.
    template <class T = std::vector<std::string>>
    auto zinter(const words& keys, const combine_options& options = {}) {
        return combined<T>(verb::zinter, keys, options, nullptr);
    }
    auto zinter_withscores(const words& keys, const combine_options& options = {}) {
        return combined<std::vector<scored_member>>(verb::zinter, keys, options, "WITHSCORES");
    }
    /// ZINTERCARD: how many are in all the sets; counts up to `limit`, 0: to the end.
    auto zintercard(const words& keys, std::int64_t limit = 0) {
        arg_list list;
        list.add(keys.size());
        add_all(list, keys.args());
        if (limit != 0) list.add("LIMIT", limit);
        return door().template run<std::int64_t>(verb::zintercard, list);
    }
    /// ZINTERSTORE: zinter into a key; how many.
    auto zinterstore(std::string_view to, const words& keys, const combine_options& options = {}) {
        return stored(verb::zinterstore, to, keys, options);
    }
    /// ZLEXCOUNT: how many members lie in the range, all having one score.
    auto zlexcount(std::string_view key, const lex_bound& min, const lex_bound& max) {
        return door().template run<std::int64_t>(verb::zlexcount, {key, min.text(), max.text()});
    }
    /// ZMPOP: takes up to `count` members from one end of the first of these sets that has any.
    auto zmpop(const words& keys, by_end which, std::int64_t count = 1) {
        arg_list list;
        add_mpop(list, keys, which, count);
        return door().template run<std::optional<popped<std::vector<scored_member>>>>(verb::zmpop,
                                                                                      list);
    }
    /// ZMSCORE: for each member its score; empty when it is none.
    auto zmscore(std::string_view key, const words& members) {
        arg_list list;
        list.add(key);
        add_all(list, members.args());
        return door().template run<std::vector<std::optional<double>>>(verb::zmscore, list);
    }
    /// ZPOPMAX: takes up to `count` members, the one with the highest score first.
    auto zpopmax(std::string_view key, std::int64_t count = 1) {
        return door().template run<std::vector<scored_member>>(verb::zpopmax, {key, count});
    }
    /// ZPOPMIN: the same, the one with the lowest score first.
    auto zpopmin(std::string_view key, std::int64_t count = 1) {
        return door().template run<std::vector<scored_member>>(verb::zpopmin, {key, count});
    }
    /// ZRANDMEMBER: some member; empty when there is none.
    template <class T = std::string>
    auto zrandmember(std::string_view key) {
        return door().template run<std::optional<T>>(verb::zrandmember, {key});
    }
    /// ZRANDMEMBER with a count: so many different ones, or if negative with repetitions.
    template <class T = std::vector<std::string>>
    auto zrandmember(std::string_view key, std::int64_t count) {
        return door().template run<T>(verb::zrandmember, {key, count});
    }
    auto zrandmember_withscores(std::string_view key, std::int64_t count) {
        return door().template run<std::vector<scored_member>>(verb::zrandmember,
                                                               {key, count, "WITHSCORES"});
    }
    /// ZRANGE: by rank from `start` to `stop`, both included, negative from the end; or by score
    /// or by text: `zrange("key", by_score{.min = 1, .max = exclusive(5)})`.
    template <class T = std::vector<std::string>>
    auto zrange(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<T>(verb::zrange, {key, start, stop});
    }
    template <class T = std::vector<std::string>>
    auto zrange(std::string_view key, const zrange_of& range, const zrange_options& options = {}) {
        arg_list list;
        list.add(key);
        range.add(list, options);
        return door().template run<T>(verb::zrange, list);
    }
    auto zrange_withscores(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<std::vector<scored_member>>(verb::zrange,
                                                               {key, start, stop, "WITHSCORES"});
    }
    auto zrange_withscores(std::string_view key, const zrange_of& range,
                           const zrange_options& options = {}) {
        arg_list list;
        list.add(key);
        range.add(list, options);
        list.add("WITHSCORES");
        return door().template run<std::vector<scored_member>>(verb::zrange, list);
    }
    /// ZRANGEBYLEX. Deprecated by Redis: see zrange.
    template <class T = std::vector<std::string>>
    auto zrangebylex(std::string_view key, const lex_bound& min, const lex_bound& max,
                     limit_options limit = {}) {
        return bounded<T>(verb::zrangebylex, key, min.text(), max.text(), limit, nullptr);
    }
    /// ZRANGEBYSCORE. Deprecated by Redis: see zrange.
    template <class T = std::vector<std::string>>
    auto zrangebyscore(std::string_view key, const score_bound& min, const score_bound& max,
                       limit_options limit = {}) {
        return bounded<T>(verb::zrangebyscore, key, min.text(), max.text(), limit, nullptr);
    }
    auto zrangebyscore_withscores(std::string_view key, const score_bound& min,
                                  const score_bound& max, limit_options limit = {}) {
        return bounded<std::vector<scored_member>>(verb::zrangebyscore, key, min.text(), max.text(),
                                                   limit, "WITHSCORES");
    }
    /// ZRANGESTORE: what zrange returns into a key; how many.
    auto zrangestore(std::string_view to, std::string_view from, const zrange_of& range,
                     const zrange_options& options = {}) {
        arg_list list;
        list.add(to, from);
        range.add(list, options);
        return door().template run<std::int64_t>(verb::zrangestore, list);
    }
    /// ZRANK: its place from the lowest score on, the first being 0; empty when it is none.
    auto zrank(std::string_view key, const arg& member) {
        return door().template run<std::optional<std::int64_t>>(verb::zrank, {key, member});
    }
    /// ZREM: removes members; how many there were.
    auto zrem(std::string_view key, const words& members) {
        arg_list list;
        list.add(key);
        add_all(list, members.args());
        return door().template run<std::int64_t>(verb::zrem, list);
    }
    /// ZREMRANGEBYLEX, all having one score; how many were removed.
    auto zremrangebylex(std::string_view key, const lex_bound& min, const lex_bound& max) {
        return door().template run<std::int64_t>(verb::zremrangebylex,
                                                 {key, min.text(), max.text()});
    }
    /// ZREMRANGEBYRANK, both ends included; how many were removed.
    auto zremrangebyrank(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<std::int64_t>(verb::zremrangebyrank, {key, start, stop});
    }
    /// ZREMRANGEBYSCORE; how many were removed.
    auto zremrangebyscore(std::string_view key, const score_bound& min, const score_bound& max) {
        return door().template run<std::int64_t>(verb::zremrangebyscore,
                                                 {key, min.text(), max.text()});
    }
    /// ZREVRANGE. Deprecated by Redis: see zrange and zrange_options::reverse.
    template <class T = std::vector<std::string>>
    auto zrevrange(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<T>(verb::zrevrange, {key, start, stop});
    }
    auto zrevrange_withscores(std::string_view key, std::int64_t start, std::int64_t stop) {
        return door().template run<std::vector<scored_member>>(verb::zrevrange,
                                                               {key, start, stop, "WITHSCORES"});
    }
    /// ZREVRANGEBYLEX. Deprecated by Redis: see zrange.
    template <class T = std::vector<std::string>>
    auto zrevrangebylex(std::string_view key, const lex_bound& max, const lex_bound& min,
                        limit_options limit = {}) {
        return bounded<T>(verb::zrevrangebylex, key, max.text(), min.text(), limit, nullptr);
    }
    /// ZREVRANGEBYSCORE. Deprecated by Redis: see zrange.
    template <class T = std::vector<std::string>>
    auto zrevrangebyscore(std::string_view key, const score_bound& max, const score_bound& min,
                          limit_options limit = {}) {
        return bounded<T>(verb::zrevrangebyscore, key, max.text(), min.text(), limit, nullptr);
    }
    auto zrevrangebyscore_withscores(std::string_view key, const score_bound& max,
                                     const score_bound& min, limit_options limit = {}) {
        return bounded<std::vector<scored_member>>(verb::zrevrangebyscore, key, max.text(),
                                                   min.text(), limit, "WITHSCORES");
    }
    /// ZREVRANK: its place from the highest score on; empty when it is none.
    auto zrevrank(std::string_view key, const arg& member) {
        return door().template run<std::optional<std::int64_t>>(verb::zrevrank, {key, member});
    }
    /// ZSCAN: one step through a set, from cursor "0" on. See scan.hpp for the whole walk.
    auto zscan_step(std::string_view key, std::string_view cursor,
                    const page_options& options = {}) {
        arg_list list;
        list.add(key, cursor);
        add_page(list, options);
        return door().template run<scan_page<std::vector<scored_member>>>(verb::zscan, list);
    }
    /// ZSCORE: a member's score; empty when it is none.
    auto zscore(std::string_view key, const arg& member) {
        return door().template run<std::optional<double>>(verb::zscore, {key, member});
    }
    /// ZUNION: what is in any of the sets; scores are added up, or as the options say.
    template <class T = std::vector<std::string>>
    auto zunion(const words& keys, const combine_options& options = {}) {
        return combined<T>(verb::zunion, keys, options, nullptr);
    }
    auto zunion_withscores(const words& keys, const combine_options& options = {}) {
        return combined<std::vector<scored_member>>(verb::zunion, keys, options, "WITHSCORES");
    }
    /// ZUNIONSTORE: the same into a key; how many.
    auto zunionstore(std::string_view to, const words& keys, const combine_options& options = {}) {
        return stored(verb::zunionstore, to, keys, options);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    static void add_mpop(arg_list& to, const words& keys, by_end which,
                         std::int64_t count) noexcept {
        to.add(keys.size());
        add_all(to, keys.args());
        to.add(which == by_end::lowest ? "MIN" : "MAX");
        if (count != 1) to.add("COUNT", count);
    }
    auto blocking_pop(verb what, const words& keys, std::chrono::milliseconds timeout) {
        arg_list list;
        add_all(list, keys.args());
        list.add(blocking_seconds(timeout));
        return door().template run_blocking<std::optional<popped_member>>(what, timeout, list);
    }
    template <class T>
    auto bounded(verb what, std::string_view key, std::string_view from, std::string_view to,
                 limit_options limit, const char* more) {
        arg_list list;
        list.add(key, from, to);
        if (more) list.add(more);
        if (limit.given()) list.add("LIMIT", limit.offset, limit.count);
        return door().template run<T>(what, list);
    }
    template <class T>
    auto combined(verb what, const words& keys, const combine_options& options, const char* more) {
        const combine_arguments arguments(keys, options, more);
        return door().template run<T>(what, arguments.args());
    }
    auto stored(verb what, std::string_view to, const words& keys, const combine_options& options) {
        const combine_arguments arguments(to, keys, options);
        return door().template run<std::int64_t>(what, arguments.args());
    }
};

}  // namespace ouro::redis
