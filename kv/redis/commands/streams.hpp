// streams.hpp: logs of entries, and groups of consumers that share them.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/stream_types.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The stream commands of a door. A missing key is an empty stream; one of another type is
/// errc::wrong_type; a missing group errc::no_group.
///
/// Ids are texts: "1526919030474-55"; "-" and "+" are the lowest and the highest, "(" before an id
/// excludes it.
template <class Door>
class stream_commands {
public:
    /// XACK: the group is done with these entries; how many were pending.
    auto xack(std::string_view key, std::string_view group, const words& ids) {
        arg_list list;
        list.add(key, group);
        add_all(list, ids.args());
        return door().template run<std::int64_t>(verb::xack, list);
    }
    /// XADD: appends an entry; its id, empty only with xadd_options::only_existing.
    auto xadd(std::string_view key, const pairs& fields, const xadd_options& options = {}) {
        arg_list list;
        list.add(key);
        if (options.only_existing) list.add("NOMKSTREAM");
        add_trim(list, options.trim);
        list.add(options.id);
        add_all(list, fields.args());
        return door().template run<std::optional<std::string>>(verb::xadd, list);
    }
    /// XAUTOCLAIM: takes over entries, from `start` on, that another consumer has had for at least
    /// `min_idle`; call it again with what is next until that is "0-0".
    auto xautoclaim(std::string_view key, std::string_view group, std::string_view consumer,
                    std::chrono::milliseconds min_idle, std::string_view start = "0",
                    std::int64_t count = 100) {
        return door().template run<claimed<stream_entry>>(
            verb::xautoclaim, {key, group, consumer, min_idle.count(), start, "COUNT", count});
    }
    /// XAUTOCLAIM … JUSTID: only their ids, and they do not count as delivered again.
    auto xautoclaim_justid(std::string_view key, std::string_view group, std::string_view consumer,
                           std::chrono::milliseconds min_idle, std::string_view start = "0",
                           std::int64_t count = 100) {
        return door().template run<claimed<std::string>>(
            verb::xautoclaim,
            {key, group, consumer, min_idle.count(), start, "COUNT", count, "JUSTID"});
    }
    /// XCLAIM: takes over these entries if another consumer has had them for at least `min_idle`;
    /// those that it got.
    auto xclaim(std::string_view key, std::string_view group, std::string_view consumer,
                std::chrono::milliseconds min_idle, const words& ids,
                const xclaim_options& options = {}) {
        arg_list list;
        list.add(key, group, consumer, min_idle.count());
        add_all(list, ids.args());
        add_claim(list, options);
        return door().template run<std::vector<stream_entry>>(verb::xclaim, list);
    }
    /// XCLAIM … JUSTID: only their ids, and they do not count as delivered again.
    auto xclaim_justid(std::string_view key, std::string_view group, std::string_view consumer,
                       std::chrono::milliseconds min_idle, const words& ids,
                       const xclaim_options& options = {}) {
        arg_list list;
        list.add(key, group, consumer, min_idle.count());
        add_all(list, ids.args());
        add_claim(list, options);
        list.add("JUSTID");
        return door().template run<std::vector<std::string>>(verb::xclaim, list);
    }
    /// XDEL: removes entries; how many there were.
    auto xdel(std::string_view key, const words& ids) {
        arg_list list;
        list.add(key);
        add_all(list, ids.args());
        return door().template run<std::int64_t>(verb::xdel, list);
    }
    /// XGROUP CREATE: a group that begins behind the entry `id`; "$": behind the last one.
    /// errc::busy_group when there is one of that name.
    auto xgroup_create(std::string_view key, std::string_view group, std::string_view id = "$",
                       const xgroup_options& options = {}) {
        arg_list list;
        list.add(key, group, id);
        if (options.make_stream) list.add("MKSTREAM");
        if (options.entries_read) list.add("ENTRIESREAD", *options.entries_read);
        return door().template run<void>(verb::xgroup_create, list);
    }
    /// XGROUP CREATECONSUMER: whether it is new.
    auto xgroup_createconsumer(std::string_view key, std::string_view group,
                               std::string_view consumer) {
        return door().template run<bool>(verb::xgroup_createconsumer, {key, group, consumer});
    }
    /// XGROUP DELCONSUMER: how many entries it had pending; they are pending no more.
    auto xgroup_delconsumer(std::string_view key, std::string_view group,
                            std::string_view consumer) {
        return door().template run<std::int64_t>(verb::xgroup_delconsumer, {key, group, consumer});
    }
    /// XGROUP DESTROY: whether there was such a group.
    auto xgroup_destroy(std::string_view key, std::string_view group) {
        return door().template run<bool>(verb::xgroup_destroy, {key, group});
    }
    /// XGROUP SETID: the group goes on behind the entry `id`.
    auto xgroup_setid(std::string_view key, std::string_view group, std::string_view id,
                      std::optional<std::int64_t> entries_read = {}) {
        arg_list list;
        list.add(key, group, id);
        if (entries_read) list.add("ENTRIESREAD", *entries_read);
        return door().template run<void>(verb::xgroup_setid, list);
    }
    /// XINFO CONSUMERS: those of a group.
    auto xinfo_consumers(std::string_view key, std::string_view group) {
        return door().template run<std::vector<consumer_info>>(verb::xinfo_consumers, {key, group});
    }
    /// XINFO GROUPS: those of a stream.
    auto xinfo_groups(std::string_view key) {
        return door().template run<std::vector<group_info>>(verb::xinfo_groups, {key});
    }
    /// XINFO STREAM: figures of a stream. No such key is errc::server_error.
    auto xinfo_stream(std::string_view key) {
        return door().template run<stream_info>(verb::xinfo_stream, {key});
    }
    /// XINFO STREAM … FULL: everything, as it comes. 0 entries: all of them.
    template <class T = reply>
    auto xinfo_stream_full(std::string_view key, std::int64_t entries_max = 10) {
        return door().template run<T>(verb::xinfo_stream, {key, "FULL", "COUNT", entries_max});
    }
    /// XLEN: how many entries there are.
    auto xlen(std::string_view key) { return door().template run<std::int64_t>(verb::xlen, {key}); }
    /// XPENDING: what the group was given and has not acknowledged, in short.
    auto xpending(std::string_view key, std::string_view group) {
        return door().template run<pending_summary>(verb::xpending, {key, group});
    }
    /// XPENDING with a range: up to `count` of these entries.
    auto xpending(std::string_view key, std::string_view group, std::string_view start,
                  std::string_view end, std::int64_t count, const xpending_options& options = {}) {
        arg_list list;
        list.add(key, group);
        if (options.min_idle.count() > 0) list.add("IDLE", options.min_idle.count());
        list.add(start, end, count);
        if (!options.consumer.empty()) list.add(options.consumer);
        return door().template run<std::vector<pending_entry>>(verb::xpending, list);
    }
    /// XRANGE: from one id to another, both included. A negative count is all.
    auto xrange(std::string_view key, std::string_view start = "-", std::string_view end = "+",
                std::int64_t count = -1) {
        return range(verb::xrange, key, start, end, count);
    }
    /// XREAD: what comes behind these entries: `{{"stream", "0"}, {"other", "1526919030474-55"}}`.
    auto xread(const stream_positions& streams, const xread_options& options = {}) {
        arg_list list;
        add_read(list, options);
        streams.add(list);
        return door().template run<std::vector<stream_read>>(verb::xread, list);
    }
    /// XREAD … BLOCK: the same, but waits for an entry; "$" as an id: only for new ones. Empty
    /// when the timeout passes, of which zero is for ever.
    auto xread_block(const stream_positions& streams, std::chrono::milliseconds timeout,
                     const xread_options& options = {}) {
        arg_list list;
        add_read(list, options);
        list.add("BLOCK", timeout.count());
        streams.add(list);
        return door().template run_blocking<std::vector<stream_read>>(verb::xread, timeout, list);
    }
    /// XREADGROUP: entries for one consumer of a group: with the id ">" such as nobody was given
    /// before, else its own pending ones behind that id.
    auto xreadgroup(std::string_view group, std::string_view consumer,
                    const stream_positions& streams, const xreadgroup_options& options = {}) {
        arg_list list;
        add_read_group(list, group, consumer, options);
        streams.add(list);
        return door().template run<std::vector<stream_read>>(verb::xreadgroup, list);
    }
    /// XREADGROUP … BLOCK: the same, but waits for an entry.
    auto xreadgroup_block(std::string_view group, std::string_view consumer,
                          const stream_positions& streams, std::chrono::milliseconds timeout,
                          const xreadgroup_options& options = {}) {
        arg_list list;
        add_read_group(list, group, consumer, options);
        list.add("BLOCK", timeout.count());
        streams.add(list);
        return door().template run_blocking<std::vector<stream_read>>(verb::xreadgroup, timeout,
                                                                      list);
    }
    /// XREVRANGE: from the later id back to the earlier one.
    auto xrevrange(std::string_view key, std::string_view end = "+", std::string_view start = "-",
                   std::int64_t count = -1) {
        return range(verb::xrevrange, key, end, start, count);
    }
    /// XSETID: the id of the last entry, as if there had been one.
    auto xsetid(std::string_view key, std::string_view id, const xsetid_options& options = {}) {
        arg_list list;
        list.add(key, id);
        if (options.entries_added) list.add("ENTRIESADDED", *options.entries_added);
        if (!options.max_deleted_id.empty()) list.add("MAXDELETEDID", options.max_deleted_id);
        return door().template run<void>(verb::xsetid, list);
    }
    /// XTRIM: removes the oldest entries; how many.
    auto xtrim(std::string_view key, const trim_options& trim) {
        OURO_ASSERT(trim.given());
        arg_list list;
        list.add(key);
        add_trim(list, trim);
        return door().template run<std::int64_t>(verb::xtrim, list);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    auto range(verb what, std::string_view key, std::string_view from, std::string_view to,
               std::int64_t count) {
        arg_list list;
        list.add(key, from, to);
        if (count >= 0) list.add("COUNT", count);
        return door().template run<std::vector<stream_entry>>(what, list);
    }
};

}  // namespace ouro::redis
