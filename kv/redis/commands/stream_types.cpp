#include <ouro/kv/redis/commands/stream_types.hpp>

#include <array>

namespace ouro::redis {

namespace {

template <class T>
struct named {
    std::string_view name;
    T& into;
};
template <class T>
named(std::string_view, T&) -> named<T>;  // clang 16 deduces nothing for aggregates

template <class T>
bool matches(std::string_view name, const value& from, const named<T>& field,
             std::error_code& error) {
    if (name != field.name) return false;
    error = decode(from, field.into);
    return true;
}

// Reads the fields of a map; those with other names are left out: newer servers have more.
template <class... T>
std::error_code read_fields(const value& from, const named<T>&... fields) {
    return for_each_pair(from, [&](const value& name, const value& each) {
        if (!name.has_text()) return unexpected(name);
        std::error_code error;
        static_cast<void>((matches(name.text(), each, fields, error) || ...));
        return error;
    });
}

}  // namespace

const std::string* stream_entry::find(std::string_view name) const noexcept {
    for (const auto& field : fields)
        if (field.first == name) return &field.second;
    return nullptr;
}

std::error_code decoder<stream_entry>::read(const value& from, stream_entry& into) {
    if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
    into.fields.clear();
    if (const auto error = decode(from[0], into.id)) return error;
    return from[1].is_null() ? std::error_code() : decode(from[1], into.fields);
}

std::error_code decoder<std::vector<stream_read>>::read(const value& from,
                                                        std::vector<stream_read>& into) {
    into.clear();
    if (from.is_null()) return {};
    return for_each_pair(from, [&into](const value& key, const value& entries) {
        stream_read& made = into.emplace_back();
        const auto error = decode(key, made.key);
        return error ? error : decode(entries, made.entries);
    });
}

std::error_code decoder<pending_entry>::read(const value& from, pending_entry& into) {
    if (!from.is_aggregate() || from.size() != 4) return unexpected(from);
    if (const auto error = decode(from[0], into.id)) return error;
    if (const auto error = decode(from[1], into.consumer)) return error;
    if (const auto error = decode(from[2], into.idle)) return error;
    return decode(from[3], into.deliveries);
}

std::error_code decoder<pending_summary>::read(const value& from, pending_summary& into) {
    if (!from.is_aggregate() || from.size() != 4) return unexpected(from);
    into.consumers.clear();
    if (const auto error = decode(from[0], into.count)) return error;
    if (const auto error = decode(from[1], into.lowest)) return error;
    if (const auto error = decode(from[2], into.highest)) return error;
    return from[3].is_null() ? std::error_code() : decode(from[3], into.consumers);
}

std::error_code decoder<consumer_info>::read(const value& from, consumer_info& into) {
    return read_fields(from, named{"name", into.name}, named{"pending", into.pending},
                       named{"idle", into.idle});
}

std::error_code decoder<group_info>::read(const value& from, group_info& into) {
    return read_fields(from, named{"name", into.name}, named{"consumers", into.consumers},
                       named{"pending", into.pending},
                       named{"last-delivered-id", into.last_delivered_id},
                       named{"entries-read", into.entries_read}, named{"lag", into.lag});
}

std::error_code decoder<stream_info>::read(const value& from, stream_info& into) {
    return read_fields(from, named{"length", into.length}, named{"groups", into.groups},
                       named{"entries-added", into.entries_added},
                       named{"last-generated-id", into.last_generated_id},
                       named{"max-deleted-entry-id", into.max_deleted_entry_id},
                       named{"recorded-first-entry-id", into.recorded_first_entry_id},
                       named{"first-entry", into.first_entry},
                       named{"last-entry", into.last_entry});
}

void add_trim(arg_list& to, const trim_options& trim) noexcept {
    OURO_ASSERT(!(trim.max_length && !trim.min_id.empty()) && "either a length or an id");
    if (!trim.given()) return;
    to.add(trim.max_length ? "MAXLEN" : "MINID");
    if (trim.approximate) to.add("~");
    if (trim.max_length)
        to.add(*trim.max_length);
    else
        to.add(trim.min_id);
    if (trim.limit > 0) to.add("LIMIT", trim.limit);
}

void add_claim(arg_list& to, const xclaim_options& options) noexcept {
    if (options.idle) to.add("IDLE", options.idle->count());
    if (options.time) to.add("TIME", unix_milliseconds(*options.time));
    if (options.retry_count) to.add("RETRYCOUNT", *options.retry_count);
    if (options.force) to.add("FORCE");
}

void add_read(arg_list& to, const xread_options& options) noexcept {
    if (options.count >= 0) to.add("COUNT", options.count);
}

void add_read_group(arg_list& to, std::string_view group, std::string_view consumer,
                    const xreadgroup_options& options) noexcept {
    to.add("GROUP", group, consumer);
    if (options.count >= 0) to.add("COUNT", options.count);
    if (options.no_ack) to.add("NOACK");
}

void stream_positions::add(arg_list& to) const noexcept {
    to.add("STREAMS", std::span<const std::string_view>(keys_),
           std::span<const std::string_view>(ids_));
}

}  // namespace ouro::redis
