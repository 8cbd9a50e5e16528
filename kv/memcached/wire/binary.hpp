// binary.hpp: the binary dialect, for servers and proxies that have nothing else. memcached
// calls it deprecated since 1.6.0.
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ouro::memcached::binary {

/// Writes everything of the request up to its value to `into`; returns how many bytes that are.
/// A verb that stores, and `authenticate`, go on with the value alone.
std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept;

/// False for what is meta's alone.
bool can_say(const request& what) noexcept;

/// What the reply to `what` carries as its opcode.
std::uint8_t opcode_of(const request& what) noexcept;

/// Reads one reply from the front of `in`. Returns the bytes it has, 0 for "need more".
/// errc::bad_reply when it is none, errc::value_too_large above the limit.
///
/// Statuses are those of the text dialect; the caller knows its request and what it means there: an
/// `add` that finds an item is answered `exists`, a get of nothing `not_found`.
result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept;

/// What goes into `authenticate`: SASL PLAIN (RFC 4616).
std::string credentials(std::string_view user, std::string_view password);

}  // namespace ouro::memcached::binary
