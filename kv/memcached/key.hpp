// key.hpp: what a key may be, the same in every dialect.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace ouro::memcached {

/// The longest key, in bytes on the wire.
constexpr std::size_t key_bytes_max = 250;

/// The longest key that still fits when it travels in base64.
constexpr std::size_t base64_key_bytes_max = key_bytes_max / 4 * 3;

/// True for 1 to 250 bytes without blanks and control characters (0x00 to 0x20, 0x7f). Bytes from
/// 0x80 on are legal, so UTF-8 is. Whatever is refused here could end a command line and begin
/// another one.
bool is_valid_key(std::string_view key) noexcept;

/// True for any 1 to 186 bytes: what may travel in base64.
inline bool is_valid_base64_key(std::string_view key) noexcept {
    return !key.empty() && key.size() <= base64_key_bytes_max;
}

/// How many bytes `n` bytes are in base64.
constexpr std::size_t base64_bytes(std::size_t n) noexcept { return (n + 2) / 3 * 4; }

/// Writes `key` in base64 (RFC 4648 §4, padded) to `into`, which has room for
/// base64_bytes(key.size()); returns the end of what was written.
char* write_base64(std::string_view key, char* into) noexcept;

}  // namespace ouro::memcached
