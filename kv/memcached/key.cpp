#include <ouro/kv/memcached/key.hpp>

#include <cstdint>
#include <cstring>

namespace ouro::memcached {
namespace {

constexpr std::uint64_t ones = 0x0101010101010101;
constexpr std::uint64_t high_bits = 0x8080808080808080;

/// Not zero when one of eight bytes is 0x00 to 0x20 or 0x7f.
std::uint64_t bad_bytes(std::uint64_t eight) noexcept {
    const std::uint64_t below_33 = (eight - ones * 0x21) & ~eight & high_bits;
    const std::uint64_t delete_to_zero = eight ^ ones * 0x7f;
    const std::uint64_t zeros = (delete_to_zero - ones) & ~delete_to_zero & high_bits;
    return below_33 | zeros;
}

}  // namespace

bool is_valid_key(std::string_view key) noexcept {
    if (key.empty() || key.size() > key_bytes_max) return false;
    std::uint64_t bad = 0;
    std::uint64_t eight = 0;
    std::size_t at = 0;
    for (; at + sizeof(eight) <= key.size(); at += sizeof(eight)) {
        std::memcpy(&eight, key.data() + at, sizeof(eight));
        bad |= bad_bytes(eight);
    }
    eight = ones * '.';
    std::memcpy(&eight, key.data() + at, key.size() - at);
    bad |= bad_bytes(eight);
    return bad == 0;
}

char* write_base64(std::string_view key, char* into) noexcept {
    static constexpr char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t at = 0; at < key.size(); at += 3) {
        const std::size_t n = key.size() - at < 3 ? key.size() - at : 3;
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (i < n ? static_cast<std::uint8_t>(key[at + i]) : 0u);
        for (std::size_t i = 0; i < 4; ++i)
            *into++ = i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=';
    }
    return into;
}

}  // namespace ouro::memcached
