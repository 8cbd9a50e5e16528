#include <ouro/kv/redis/wire/slots.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/check.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace ouro::redis {
namespace {

constexpr std::array<std::uint16_t, 256> crc_of_byte = [] {
    std::array<std::uint16_t, 256> table{};
    for (unsigned byte = 0; byte < table.size(); ++byte) {
        unsigned crc = byte << 8;
        for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
        table[byte] = static_cast<std::uint16_t>(crc);
    }
    return table;
}();

std::optional<std::uint16_t> number(std::string_view digits) noexcept {
    std::uint16_t read = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), read);
    if (error != std::errc() || end != digits.data() + digits.size()) return {};
    return read;
}

/// What the cluster said of a node's place, as far as it said anything.
node_endpoint place(std::string_view host, std::uint16_t port, const node_endpoint& asked) {
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const bool unknown = host.empty() || host == "?";
    return {unknown ? asked.host : std::string(host), port == 0 ? asked.port : port};
}

std::string_view text_or_nothing(const value& from) noexcept {
    return from.has_text() && !from.is_error() ? from.text() : std::string_view();
}

std::optional<std::int64_t> integer_in(const value& from) noexcept {
    if (from.kind() == type::integer) return from.integer();
    const std::optional<std::uint16_t> spelled = number(text_or_nothing(from));
    return spelled ? std::optional<std::int64_t>(*spelled) : std::nullopt;
}

std::optional<std::uint16_t> slot_in(const value& from) noexcept {
    const std::optional<std::int64_t> read = integer_in(from);
    if (!read || *read < 0 || *read >= static_cast<std::int64_t>(slot_count)) return {};
    return static_cast<std::uint16_t>(*read);
}

std::optional<std::uint16_t> port_in(const value& from) noexcept {
    const std::optional<std::int64_t> read = integer_in(from);
    if (!read || *read < 0 || *read > 0xffff) return {};
    return static_cast<std::uint16_t>(*read);
}

/// Calls `each(name, content)` for the fields of a map, however it is written.
template <class F>
void for_each_field(const value& from, F each) {
    auto at = from.begin();
    for (std::size_t pairs = from.size() / 2; pairs > 0; --pairs) {
        const value name = *at++;
        const value content = *at++;
        each(text_or_nothing(name), content);
    }
}

/// [host, port, id, ["ip", "127.0.0.1", …]] of CLUSTER SLOTS.
std::optional<node_endpoint> node_of_slots(const value& from, const node_endpoint& asked) {
    if (!from.is_aggregate() || from.size() < 2) return {};
    auto at = from.begin();
    const value host_value = *at++;
    const std::optional<std::uint16_t> port = port_in(*at++);
    if (!port) return {};
    std::string_view host = text_or_nothing(host_value);
    // "?" stands for a host name that the node should have and has not; its address will do.
    if (host == "?" && from.size() >= 4) {
        for_each_field(from[3], [&host](std::string_view name, const value& content) {
            if (name == "ip" && !text_or_nothing(content).empty()) host = text_or_nothing(content);
        });
    }
    return place(host, *port, asked);
}

/// A node as CLUSTER SHARDS describes it.
struct shard_node {
    node_endpoint where;
    bool master = false;
    bool serves = true;  // "online", or "loading": it will be soon
    bool reachable = false;
};

shard_node node_of_shards(const value& from, const node_endpoint& asked) {
    shard_node node;
    std::string_view endpoint;
    std::string_view ip;
    std::optional<std::uint16_t> port;
    bool encrypted_only = false;
    for_each_field(from, [&](std::string_view name, const value& content) {
        const std::string_view text = text_or_nothing(content);
        if (name == "endpoint") endpoint = text;
        if (name == "ip") ip = text;
        if (name == "port") port = port_in(content);
        if (name == "tls-port") encrypted_only = true;
        if (name == "role") node.master = text == "master";
        if (name == "health") node.serves = text == "online" || text == "loading";
    });
    node.reachable = port || encrypted_only;
    node.where = place(endpoint == "?" && !ip.empty() ? ip : endpoint, port.value_or(0), asked);
    return node;
}

bool assign_ranges(slot_table& table, const value& ranges, std::uint16_t to) {
    auto at = ranges.begin();
    for (std::size_t pairs = ranges.size() / 2; pairs > 0; --pairs) {
        const std::optional<std::uint16_t> first = slot_in(*at++);
        const std::optional<std::uint16_t> last = slot_in(*at++);
        if (!first || !last || *first > *last) return false;
        table.assign(*first, *last, to);
    }
    return true;
}

bool add_shard(slot_table& table, const value& from, const node_endpoint& asked) {
    std::optional<value> slots;
    std::optional<value> nodes;
    for_each_field(from, [&](std::string_view name, const value& content) {
        if (name == "slots") slots = content;
        if (name == "nodes") nodes = content;
    });
    if (!slots || !nodes || !nodes->is_aggregate()) return false;
    shard made;
    bool has_master = false;
    for (const value& each : *nodes) {
        shard_node node = node_of_shards(each, asked);
        if (!node.serves || !node.reachable) continue;
        // For a while after a failover two may say that they are masters; slots are the first's.
        if (node.master && !has_master) {
            has_master = true;
            made.master = std::move(node.where);
        } else if (!node.master) {
            made.replicas.push_back(std::move(node.where));
        }
    }
    if (!has_master) return true;  // nobody serves its slots now
    if (slots->empty()) return true;
    return assign_ranges(table, *slots, table.add(made));
}

}  // namespace

std::uint16_t crc16(std::string_view bytes) noexcept {
    unsigned crc = 0;
    for (const char c : bytes)
        crc = (crc << 8 & 0xffff) ^ crc_of_byte[(crc >> 8) ^ static_cast<unsigned char>(c)];
    return static_cast<std::uint16_t>(crc);
}

std::string_view hash_tag(std::string_view key) noexcept {
    const std::size_t open = key.find('{');
    if (open == key.npos) return key;
    const std::size_t close = key.find('}', open + 1);
    if (close == key.npos || close == open + 1) return key;
    return key.substr(open + 1, close - open - 1);
}

std::uint16_t slot_of(std::string_view key) noexcept { return crc16(hash_tag(key)) % slot_count; }

std::size_t slot_table::covered() const noexcept {
    return slot_count -
           static_cast<std::size_t>(std::count(shard_of_.begin(), shard_of_.end(), nobody));
}

std::uint16_t slot_table::add(const shard& one) {
    const auto same_master = [&one](const shard& each) { return each.master == one.master; };
    auto found = std::find_if(shards_.begin(), shards_.end(), same_master);
    if (found == shards_.end()) found = shards_.insert(shards_.end(), {one.master, {}});
    for (const node_endpoint& replica : one.replicas) {
        const auto& known = found->replicas;
        if (std::find(known.begin(), known.end(), replica) == known.end())
            found->replicas.push_back(replica);
    }
    return static_cast<std::uint16_t>(found - shards_.begin());
}

void slot_table::assign(std::uint16_t first, std::uint16_t last, std::uint16_t to) noexcept {
    OURO_ASSERT(first <= last && last < slot_count && to < shards_.size());
    std::fill(shard_of_.begin() + first, shard_of_.begin() + last + 1, to);
}

result<slot_table> read_cluster_slots(const value& from, const node_endpoint& asked) {
    if (from.is_error()) return make_error_code(code_of(from.text()));
    if (!from.is_aggregate() || from.size() > slot_count)
        return make_error_code(errc::unexpected_reply);
    slot_table table;
    for (const value& range : from) {
        if (!range.is_aggregate() || range.size() < 3)
            return make_error_code(errc::unexpected_reply);
        auto at = range.begin();
        const std::optional<std::uint16_t> first = slot_in(*at++);
        const std::optional<std::uint16_t> last = slot_in(*at++);
        if (!first || !last || *first > *last) return make_error_code(errc::unexpected_reply);
        shard made;
        for (bool master = true; at != range.end(); ++at, master = false) {
            std::optional<node_endpoint> node = node_of_slots(*at, asked);
            if (!node && master) return make_error_code(errc::unexpected_reply);
            if (node && master) made.master = std::move(*node);
            if (node && !master) made.replicas.push_back(std::move(*node));
        }
        table.assign(*first, *last, table.add(made));
    }
    return table;
}

result<slot_table> read_cluster_shards(const value& from, const node_endpoint& asked) {
    if (from.is_error()) return make_error_code(code_of(from.text()));
    if (!from.is_aggregate() || from.size() > slot_count)
        return make_error_code(errc::unexpected_reply);
    slot_table table;
    for (const value& each : from)
        if (!add_shard(table, each, asked)) return make_error_code(errc::unexpected_reply);
    return table;
}

std::optional<redirection> read_redirection(std::string_view words, const node_endpoint& asked) {
    redirection read;
    if (words.starts_with("ASK "))
        read.ask = true;
    else if (!words.starts_with("MOVED "))
        return {};
    words.remove_prefix(words.find(' ') + 1);
    const std::size_t space = words.find(' ');
    if (space == words.npos) return {};
    const std::optional<std::uint16_t> slot = number(words.substr(0, space));
    if (!slot || *slot >= slot_count) return {};
    words.remove_prefix(space + 1);
    words = words.substr(0, words.find(' '));  // what may follow is not for us
    const std::size_t colon = words.rfind(':');
    if (colon == words.npos) return {};
    const std::optional<std::uint16_t> port = number(words.substr(colon + 1));
    if (!port) return {};
    read.slot = *slot;
    read.to = place(words.substr(0, colon), *port, asked);
    return read;
}

}  // namespace ouro::redis
