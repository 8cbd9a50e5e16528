// command_table.hpp: what Redis says of its commands: words, arity, keys, what they may do.
//
// collect_commands.py writes what a running server says of itself to commands.json;
// generate_commands.py makes verb.hpp and command_rows.hpp of that. For a newer server: run both.
#pragma once

#include <ouro/kv/redis/wire/key_spec.hpp>
#include <ouro/kv/redis/wire/verb.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ouro::redis {

/// The bits of command_info::flags, as in `info(verb::get).is(command_flag::read_only)`.
struct command_flag {
    enum bits : std::uint16_t {
        read_only = 1 << 0,          ///< changes nothing: safe to send again, and to replicas
        write = 1 << 1,              ///< may change data
        blocking = 1 << 2,           ///< may wait at the server: XREAD only with BLOCK
        fast = 1 << 3,               ///< takes constant or logarithmic time
        deny_oom = 1 << 4,           ///< refused when the server has no memory left
        admin = 1 << 5,              ///< for who runs the server
        pubsub = 1 << 6,             ///< about pub/sub
        no_script = 1 << 7,          ///< not from a script
        no_multi = 1 << 8,           ///< not in MULTI
        no_auth = 1 << 9,            ///< allowed before AUTH
        may_replicate = 1 << 10,     ///< no write, but its effect may reach replicas
        movable_keys = 1 << 11,      ///< its keys are not, or not only, at first_key…last_key
        container = 1 << 12,         ///< has subcommands, which have entries of their own
        connection_state = 1 << 13,  ///< changes the connection: not on a shared one
        of_connection = 1 << 14,     ///< is about what its connection did: not on a shared one
    };
};

/// To which nodes of a cluster a command goes when it has no key, or keys of several slots.
enum class request_policy : std::uint8_t {
    none,         ///< to any one
    all_nodes,    ///< to all nodes
    all_shards,   ///< to all masters
    multi_shard,  ///< its keys may be split by slot: MGET, MSET, DEL, …
    special,      ///< none of these
};

/// What is made of several nodes' replies.
enum class response_policy : std::uint8_t {
    none,             ///< they are joined
    one_succeeded,    ///< the first that is no error
    all_succeeded,    ///< one of them, when none is an error
    agg_logical_and,  ///< of arrays of 0 and 1, element by element
    agg_logical_or,
    agg_min,
    agg_max,
    agg_sum,
    special,  ///< none of these
};

/// What there is to know of one command.
struct command_info {
    verb id;
    std::string_view name;     ///< "CLIENT SETNAME"
    std::string_view encoded;  ///< its words as they are sent: "$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n"
    std::uint8_t words;        ///< how many these are
    std::int8_t arity;         ///< words of a whole command: n exactly, or -n: at least n
    std::int16_t first_key;    ///< the position of the first key, 0 when none is fixed
    std::int16_t last_key;     ///< of the last one; -n counts from the end
    std::uint8_t key_step;     ///< from one to the next
    std::uint8_t numkeys_at;   ///< where the number of keys stands (EVAL, ZUNION, LMPOP), or 0
    std::uint16_t flags;       ///< of command_flag
    request_policy request;
    response_policy response;
    std::span<const key_spec> keys;  ///< all rules by which its keys are found

    bool is(command_flag::bits flag) const noexcept { return (flags & flag) != 0; }
    /// Whether a command of `count` words has as many as it must.
    bool takes(std::size_t count) const noexcept {
        return arity >= 0 ? count == static_cast<std::size_t>(arity)
                          : count >= static_cast<std::size_t>(-arity);
    }
};

/// The entry of a command. verb::any has one, too: no name, no keys, any arity, not read-only.
const command_info& info(verb which) noexcept;

/// All commands, sorted by name.
std::span<const command_info> all_commands() noexcept;

/// Finds a command by its first word, and second when it has subcommands; both in any case.
/// "client setname" in one piece is found, too; a container without a second word is found itself.
/// Null for what is in no table.
const command_info* find_command(std::string_view word, std::string_view second = {}) noexcept;

}  // namespace ouro::redis
