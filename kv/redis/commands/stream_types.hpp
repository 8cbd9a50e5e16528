// stream_types.hpp: what the stream commands take and return.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// An entry of a stream. A pending one that was deleted has no fields.
struct stream_entry {
    std::string id;
    std::vector<std::pair<std::string, std::string>> fields;  ///< in order; names may come twice

    /// The value of the first field of that name; null when there is none.
    const std::string* find(std::string_view name) const noexcept;

    bool operator==(const stream_entry&) const = default;
};

/// What was read from one stream.
struct stream_read {
    std::string key;
    std::vector<stream_entry> entries;

    bool operator==(const stream_read&) const = default;
};

/// What XAUTOCLAIM took over: entries, or their ids.
template <class T>
struct claimed {
    std::string next;  ///< where to go on; "0-0": all were looked at
    std::vector<T> entries;
    std::vector<std::string> deleted;  ///< ids that were pending, of entries that are gone
};

/// An entry that was delivered and not acknowledged.
struct pending_entry {
    std::string id;
    std::string consumer;
    std::chrono::milliseconds idle{0};  ///< since it was delivered last
    std::int64_t deliveries = 0;

    bool operator==(const pending_entry&) const = default;
};

/// All pending entries of a group, in short.
struct pending_summary {
    std::int64_t count = 0;
    std::optional<std::string> lowest, highest;  ///< their ids; empty when there are none
    std::vector<std::pair<std::string, std::int64_t>> consumers;  ///< how many each has
};

/// XINFO CONSUMERS.
struct consumer_info {
    std::string name;
    std::int64_t pending = 0;
    std::chrono::milliseconds idle{0};
};

/// XINFO GROUPS.
struct group_info {
    std::string name;
    std::int64_t consumers = 0;
    std::int64_t pending = 0;
    std::string last_delivered_id;
    std::optional<std::int64_t> entries_read;
    std::optional<std::int64_t> lag;  ///< entries still to be delivered, where that is known
};

/// XINFO STREAM.
struct stream_info {
    std::int64_t length = 0;
    std::int64_t groups = 0;
    std::int64_t entries_added = 0;
    std::string last_generated_id;
    std::string max_deleted_entry_id;
    std::string recorded_first_entry_id;
    std::optional<stream_entry> first_entry, last_entry;
};

template <>
struct decoder<stream_entry> {
    static std::error_code read(const value& from, stream_entry& into);
};
template <>  // null is empty: nothing came
struct decoder<std::vector<stream_read>> {
    static std::error_code read(const value& from, std::vector<stream_read>& into);
};
template <>
struct decoder<pending_entry> {
    static std::error_code read(const value& from, pending_entry& into);
};
template <>
struct decoder<pending_summary> {
    static std::error_code read(const value& from, pending_summary& into);
};
template <>
struct decoder<consumer_info> {
    static std::error_code read(const value& from, consumer_info& into);
};
template <>
struct decoder<group_info> {
    static std::error_code read(const value& from, group_info& into);
};
template <>
struct decoder<stream_info> {
    static std::error_code read(const value& from, stream_info& into);
};

template <class T>
struct decoder<claimed<T>> {
    static std::error_code read(const value& from, claimed<T>& into) {
        // Servers before 7.0 do not tell what was deleted.
        if (!from.is_aggregate() || from.size() < 2) return unexpected(from);
        into.deleted.clear();
        if (const auto error = decode(from[0], into.next)) return error;
        if (const auto error = decode(from[1], into.entries)) return error;
        return from.size() > 2 ? decode(from[2], into.deleted) : std::error_code();
    }
};

/// Which entries are removed. At most one of the first two is given.
struct trim_options {
    std::optional<std::int64_t> max_length = {};  ///< MAXLEN: keeps so many
    std::string_view min_id = {};                 ///< MINID: keeps those from here on
    bool approximate = false;                     ///< "~": keeps some more where that is less work
    std::int64_t limit = 0;  ///< removes no more at once; 0: no limit; only with `approximate`

    bool given() const noexcept { return max_length || !min_id.empty(); }
};
static_assert(std::is_trivially_copyable_v<trim_options>);
void add_trim(arg_list& to, const trim_options& trim) noexcept;

struct xadd_options {
    std::string_view id = "*";   ///< "*": the server's next one; "123-*": its next one of that time
    bool only_existing = false;  ///< NOMKSTREAM: does not make a stream
    trim_options trim = {};
};
static_assert(std::is_trivially_copyable_v<xadd_options>);

struct xgroup_options {
    bool make_stream = false;                       ///< MKSTREAM: when there is none
    std::optional<std::int64_t> entries_read = {};  ///< for the group's lag
};
static_assert(std::is_trivially_copyable_v<xgroup_options>);

struct xclaim_options {
    std::optional<std::chrono::milliseconds> idle = {};  ///< as delivered so long ago; else: now
    std::optional<wall_time> time = {};                  ///< as delivered then
    std::optional<std::int64_t> retry_count = {};        ///< deliveries so far
    bool force = false;                                  ///< also those that are not pending
};
static_assert(std::is_trivially_copyable_v<xclaim_options>);
void add_claim(arg_list& to, const xclaim_options& options) noexcept;

struct xpending_options {
    std::chrono::milliseconds min_idle{0};  ///< only those delivered so long ago
    std::string_view consumer = {};         ///< only its own; empty: all
};
static_assert(std::is_trivially_copyable_v<xpending_options>);

struct xread_options {
    std::int64_t count = -1;  ///< so many of each stream at most; negative: all
};
static_assert(std::is_trivially_copyable_v<xread_options>);
void add_read(arg_list& to, const xread_options& options) noexcept;

struct xreadgroup_options {
    std::int64_t count = -1;  ///< so many of each stream at most; negative: all
    bool no_ack = false;      ///< they count as acknowledged at once
};
static_assert(std::is_trivially_copyable_v<xreadgroup_options>);
void add_read_group(arg_list& to, std::string_view group, std::string_view consumer,
                    const xreadgroup_options& options) noexcept;

struct xsetid_options {
    std::optional<std::int64_t> entries_added = {};
    std::string_view max_deleted_id = {};
};
static_assert(std::is_trivially_copyable_v<xsetid_options>);

/// Streams, and for each the id behind which to read: `{{"stream", "0"}, {"other", "$"}}`, or a
/// std::map<std::string, std::string>.
class stream_positions {
public:
    using entry = std::pair<std::string_view, std::string_view>;

    stream_positions(const entry& a) { add_entries(a); }
    stream_positions(const entry& a, const entry& b) { add_entries(a, b); }
    stream_positions(const entry& a, const entry& b, const entry& c) { add_entries(a, b, c); }
    stream_positions(const entry& a, const entry& b, const entry& c, const entry& d) {
        add_entries(a, b, c, d);
    }
    template <text_pairs Range>
    stream_positions(const Range& range) {
        for (const auto& [key, id] : range) add_entries(entry(key, id));
    }
    stream_positions(const stream_positions&) = delete;
    stream_positions& operator=(const stream_positions&) = delete;

    /// STREAMS, the keys, the ids.
    void add(arg_list& to) const noexcept;

private:
    template <class... Entries>
    void add_entries(const Entries&... all) {
        (keys_.push_back(all.first), ...);
        (ids_.push_back(all.second), ...);
    }

    std::vector<std::string_view> keys_, ids_;
};

}  // namespace ouro::redis
