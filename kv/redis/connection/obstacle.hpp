// obstacle.hpp: why a command must not go out on a connection that others share.
#pragma once

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/command.hpp>

#include <cstdint>
#include <string_view>

namespace ouro::redis {

/// The reason why a command may not go on a shared connection.
enum class obstacle : std::uint8_t {
    none,
    changes,   ///< it changes what the connection is: SELECT, MULTI, MONITOR, CLIENT REPLY
    concerns,  ///< it is about what its connection has done or is: WAIT, CLIENT ID
    blocks,    ///< it makes those wait who share the connection: BLPOP, XREAD with BLOCK, DEBUG
    unknown,   ///< it is in no table, and nobody has said what it does: see command_options
    cursor,    ///< its cursor is one node's: SCAN of a cluster
};

/// A sentence for errors, that says what to do instead; empty for `none`.
std::string_view to_string(obstacle what) noexcept;

/// Whether it may be found by the flags of a command alone that it has no obstacle.
inline bool is_plain(const command_info& what) noexcept {
    constexpr unsigned suspicious =
        command_flag::connection_state | command_flag::of_connection | command_flag::blocking;
    return (what.flags & suspicious) == 0 && what.id != verb::any && what.id != verb::debug;
}
/// The obstacle in the way of a command, the worst one if there are several.
obstacle obstacle_of(const command& what) noexcept;

/// Whether a command makes others wait.
bool blocks(const command& what) noexcept;
/// Whether it leaves the connection as another one than it was, as far as is known.
bool changes_connection(const command& what) noexcept;

/// The exception for a command that is refused before it is sent: errc::not_shareable, and why.
error refusal_of(std::string_view name, obstacle why);

}  // namespace ouro::redis
