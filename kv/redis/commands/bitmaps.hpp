// bitmaps.hpp: strings as arrays of bits and of small integers.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// Part of a string, both ends included; negative ones count from the end.
struct bit_range {
    std::int64_t start = 0;
    std::int64_t end = -1;
    bool bits = false;  ///< they count bits, not bytes
};
static_assert(std::is_trivially_copyable_v<bit_range>);

enum class bit_operation { bit_and, bit_or, bit_xor, bit_not };
inline const char* word_of(bit_operation operation) noexcept {
    switch (operation) {
        case bit_operation::bit_and: return "AND";
        case bit_operation::bit_or: return "OR";
        case bit_operation::bit_xor: return "XOR";
        case bit_operation::bit_not: return "NOT";
    }
    return "AND";
}

/// What BITFIELD does when a number does not fit.
enum class bit_overflow { wrap, saturate, fail };

/// The operations of a BITFIELD, in order:
///
///     bitfield_operations all;
///     all.incrby("u8", 0, 200).overflow(bit_overflow::fail).incrby("u8", 0, 200).get("i5", 100);
///
/// A type is "u8" or "i5": unsigned up to 63 bits, signed up to 64. An offset counts bits.
class bitfield_operations {
public:
    bitfield_operations& get(std::string_view type, std::int64_t offset) {
        return add({"GET", type, offset});
    }
    /// Its reply is the value before.
    bitfield_operations& set(std::string_view type, std::int64_t offset, std::int64_t value) {
        return add({"SET", type, offset, value});
    }
    /// Its reply is the new value, or empty if it did not fit and bit_overflow::fail applies.
    bitfield_operations& incrby(std::string_view type, std::int64_t offset, std::int64_t amount) {
        return add({"INCRBY", type, offset, amount});
    }
    /// For the operations that follow. It has no reply.
    bitfield_operations& overflow(bit_overflow kind) {
        const char* const word = kind == bit_overflow::wrap       ? "WRAP"
                                 : kind == bit_overflow::saturate ? "SAT"
                                                                  : "FAIL";
        return add({"OVERFLOW", word});
    }

    arg list() const noexcept { return std::span<const std::string>(written_); }

private:
    bitfield_operations& add(const words& operation) {
        for (const arg& each : operation.args())
            each.for_each([this](std::string_view text) { written_.emplace_back(text); });
        return *this;
    }

    std::vector<std::string> written_;
};

/// The bitmap commands of a door. A missing key is an empty string; one of another type is
/// errc::wrong_type.
template <class Door>
class bitmap_commands {
public:
    /// BITCOUNT: how many bits are set.
    auto bitcount(std::string_view key) {
        return door().template run<std::int64_t>(verb::bitcount, {key});
    }
    auto bitcount(std::string_view key, const bit_range& range) {
        return door().template run<std::int64_t>(
            verb::bitcount, {key, range.start, range.end, range.bits ? "BIT" : "BYTE"});
    }
    /// BITFIELD: reads and writes small integers; a reply for each operation that has one.
    auto bitfield(std::string_view key, const bitfield_operations& operations) {
        return door().template run<std::vector<std::optional<std::int64_t>>>(
            verb::bitfield, {key, operations.list()});
    }
    /// BITFIELD_RO: only with `get`, on replicas, too.
    auto bitfield_ro(std::string_view key, const bitfield_operations& operations) {
        return door().template run<std::vector<std::int64_t>>(verb::bitfield_ro,
                                                              {key, operations.list()});
    }
    /// BITOP: into `to`, from one key for bit_not, from any number for the others; its length.
    auto bitop(bit_operation operation, std::string_view to, const words& keys) {
        arg_list list;
        list.add(word_of(operation), to);
        add_all(list, keys.args());
        return door().template run<std::int64_t>(verb::bitop, list);
    }
    /// BITPOS: the position of the first such bit; -1 when there is none.
    auto bitpos(std::string_view key, bool bit) {
        return door().template run<std::int64_t>(verb::bitpos, {key, bit ? 1 : 0});
    }
    auto bitpos(std::string_view key, bool bit, const bit_range& range) {
        return door().template run<std::int64_t>(
            verb::bitpos, {key, bit ? 1 : 0, range.start, range.end, range.bits ? "BIT" : "BYTE"});
    }
    /// GETBIT
    auto getbit(std::string_view key, std::int64_t offset) {
        return door().template run<bool>(verb::getbit, {key, offset});
    }
    /// SETBIT: what the bit was before. The string grows as far as it must.
    auto setbit(std::string_view key, std::int64_t offset, bool bit) {
        return door().template run<bool>(verb::setbit, {key, offset, bit ? 1 : 0});
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
