// slots.hpp: the 16384 slots of a cluster: which one a key has, and who serves it.
//
// After the Redis cluster specification: a slot is the CRC16 (XMODEM) of a key, or of its {tag},
// modulo 16384.
#pragma once

#include <ouro/kv/redis/value.hpp>
#include <ouro/runtime/result.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

constexpr std::size_t slot_count = 16384;

/// CRC16 with polynomial 0x1021 from 0 on, not reflected: "123456789" gives 0x31c3.
std::uint16_t crc16(std::string_view bytes) noexcept;

/// What decides about a key's slot: what stands between its first '{' and the first '}' behind it,
/// if anything does, and else all of it.
std::string_view hash_tag(std::string_view key) noexcept;

/// The slot of a key or shard channel.
std::uint16_t slot_of(std::string_view key) noexcept;

/// Where a node listens, as the cluster says.
struct node_endpoint {
    std::string host;
    std::uint16_t port = 0;

    auto operator<=>(const node_endpoint&) const = default;
};

/// A master and its replicas; together they serve the same slots.
struct shard {
    node_endpoint master;
    std::vector<node_endpoint> replicas;

    bool operator==(const shard&) const = default;
};

/// Which shard serves each slot.
class slot_table {
public:
    /// In place of a shard's number: nobody serves the slot.
    static constexpr std::uint16_t nobody = 0xffff;

    slot_table() : shard_of_(slot_count, nobody) {}

    const std::vector<shard>& shards() const noexcept { return shards_; }
    /// The number of the shard in `shards()`, or `nobody`.
    std::uint16_t shard_of(std::uint16_t slot) const noexcept { return shard_of_[slot]; }
    /// Slots that somebody serves.
    std::size_t covered() const noexcept;

    /// Adds a shard, or finds the one that has the same master; returns its number. Replicas that
    /// it does not know yet become known.
    std::uint16_t add(const shard& one);
    /// Has a shard serve the slots from `first` to `last`.
    void assign(std::uint16_t first, std::uint16_t last, std::uint16_t to) noexcept;

    bool operator==(const slot_table&) const = default;

private:
    std::vector<shard> shards_;
    std::vector<std::uint16_t> shard_of_;
};

/// Reads the reply of CLUSTER SLOTS. Where a node does not say its host ("", "?", null) or port
/// (0), those of the node that was `asked` are meant. errc::unexpected_reply for anything else.
result<slot_table> read_cluster_slots(const value& from, const node_endpoint& asked);

/// Reads the reply of CLUSTER SHARDS, a map or under RESP2 flat arrays. Fields it does not know are
/// skipped, and so are nodes that are neither online nor loading.
result<slot_table> read_cluster_shards(const value& from, const node_endpoint& asked);

/// "MOVED 3999 127.0.0.1:6381", or "ASK …".
struct redirection {
    bool ask = false;  ///< only for this command, after ASKING; the slot has not moved yet
    std::uint16_t slot = 0;
    node_endpoint to;
};

/// Reads the words of an error reply; nothing when they are no redirection, or a broken one. The
/// last ':' separates the port, since the host may be an IPv6 address.
std::optional<redirection> read_redirection(std::string_view words, const node_endpoint& asked);

}  // namespace ouro::redis
