// meta.hpp: the meta dialect: mg, ms, md, ma, mn (memcached 1.6, doc/protocol.txt).
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <span>

namespace ouro::memcached::meta {

/// Writes everything of the request up to its value to `into`; returns how many bytes that are.
/// A verb that stores goes on with the value and "\r\n". What the meta dialect has no command for
/// (flush, stats, version, authenticate) is said in the text dialect, as the server wants it.
std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept;

/// Reads one reply from the front of `in`, also one of the text dialect. Returns the bytes it has,
/// 0 for "need more". errc::bad_reply when it is none, errc::value_too_large above the limit.
///
/// Error lines carry no opaque: they belong to the oldest request without a reply.
result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept;

}  // namespace ouro::memcached::meta
