// grammar.hpp: the three dialects behind one interface.
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ouro::memcached {

/// How a client and its servers talk.
enum class dialect : std::uint8_t {
    meta,    ///< memcached 1.6 and later: everything, and an opaque in every reply
    text,    ///< the classic one, for every server; replies are told apart by order and key
    binary,  ///< for servers and proxies that want it; memcached calls it deprecated
};

/// What a session needs of a dialect. See wire_meta.hpp, wire_text.hpp and wire_binary.hpp.
struct grammar {
    std::size_t (*encode_head)(const request&, std::span<char, head_bytes_max>) noexcept;
    result<std::size_t> (*parse)(std::span<const std::byte>, reply&, const wire_limits&) noexcept;
    bool (*can_say)(const request&) noexcept;
    std::string (*credentials)(std::string_view user, std::string_view password);
    std::string_view behind_value;  ///< what follows a value that is stored
    bool has_opaque;                ///< in every reply but error lines
    bool values_have_an_end;        ///< a get is answered by values and END
};

const grammar& grammar_of(dialect which) noexcept;

}  // namespace ouro::memcached
