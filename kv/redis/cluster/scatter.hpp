// scatter.hpp: one command for several nodes: its parts, and one reply made of theirs.
#pragma once

#include <ouro/kv/redis/value.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/slots.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// A command with those keys of another one that lie in one slot.
struct command_part {
    std::uint16_t slot;
    command what;
    std::vector<std::uint32_t> places;  ///< of its keys among all keys of the whole
};

/// Whether a command may be split by the slots of its keys: MGET, MSET, DEL, UNLINK, EXISTS, TOUCH.
/// MSETNX may not: it does all or nothing, which several nodes cannot promise.
bool may_be_split(const command_info& what) noexcept;

/// The parts of a command that may be split, by slot; nothing when all its keys lie in one.
std::vector<command_part> split_by_slot(const command_info& what,
                                        std::span<const std::byte> encoded);

/// The slot of a command's first key; nothing when it has none.
std::optional<std::uint16_t> slot_of_command(const command_info& what,
                                             std::span<const std::byte> encoded);

/// Looks at all keys of a command, and at a slot that may be known from other commands: becomes
/// known, or false when it is not the slot of all of them.
bool agree_on_slot(const command_info& what, std::span<const std::byte> encoded,
                   std::optional<std::uint16_t>& slot);

/// A reply made of several.
class joined_reply {
public:
    /// Arrays are joined: by the places of the keys if there are parts, and else one behind the
    /// other. Of other values the first that is not null counts, or what the policy says. An error
    /// among them is the reply, unless one success is enough. errc::unexpected_reply when they do
    /// not go together.
    static joined_reply make(response_policy policy, std::span<const reply> all,
                             std::span<const command_part> parts);

    value root() const noexcept { return {nodes_.front(), texts_.data()}; }
    std::error_code error() const noexcept { return error_; }

private:
    void place_elements(std::span<const reply> all, std::span<const command_part> parts);
    void join_arrays(std::span<const reply> all);
    void fold(response_policy policy, std::span<const reply> all);
    void fold_arrays(response_policy policy, std::span<const reply> all);
    void add_array(std::size_t elements);
    void end_array() noexcept;
    void add(const value& from) { from.append_to(nodes_, texts_); }
    void add(std::int64_t number);

    std::vector<node> nodes_;
    std::string texts_;
    std::error_code error_;
};

}  // namespace ouro::redis
