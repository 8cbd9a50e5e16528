// text.hpp: the classic text dialect, spoken by every memcached (doc/protocol.txt).
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ouro::memcached {
struct first_line;
}

namespace ouro::memcached::text {

/// Commands are kept below this many bytes, their end included: some servers misread longer ones.
constexpr std::size_t command_bytes_max = 2048;

/// Writes everything of the request up to its value to `into`; returns how many bytes that are.
/// A verb that stores, and `authenticate`, go on with the value and "\r\n". There is no opaque in
/// this dialect, and no command for what `can_say` denies.
std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept;

/// False for what the dialect has no command for: a cas of anything but `set`, an initial value
/// for increments, and everything of meta.
bool can_say(const request& what) noexcept;

/// Begins and goes on with a command that gets many keys; an `exptime` touches them, too.
/// `add_key` refuses a key that would make the command too long, and a bad one never gets here.
void begin_get(std::string& line, bool wants_cas, std::optional<std::int32_t> exptime);
[[nodiscard]] bool add_key(std::string& line, std::string_view key);
inline void end_get(std::string& line) { line += "\r\n"; }

/// Reads one reply from the front of `in`: a line, or a VALUE with its data. Returns the bytes it
/// has, 0 for "need more". errc::bad_reply when it is none, errc::value_too_large above the limit.
result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept;

/// The same when the line was looked for already.
result<std::size_t> parse_line(std::span<const std::byte> in, const first_line& line, reply& out,
                               const wire_limits& limits) noexcept;

/// What goes into `authenticate`: "user password".
std::string credentials(std::string_view user, std::string_view password);

}  // namespace ouro::memcached::text
