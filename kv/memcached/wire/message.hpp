// message.hpp: what is asked and what is answered, the same in each of the three dialects.
#pragma once

#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/key.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ouro::memcached {

/// What a request wants done.
enum class verb : std::uint8_t {
    get,        ///< value; with `exptime` it is touched, too
    touch,      ///< a new expiration time
    set,        ///< store; with `cas` only if nobody has stored since
    add,        ///< store unless there is one
    replace,    ///< store if there is one
    append,     ///< add to the end of the value
    prepend,    ///< add to its beginning
    increment,  ///< wraps at 2^64
    decrement,  ///< stops at 0
    remove,     ///< delete; with `stale` leave it there, marked
    flush,      ///< forget everything, `exptime` seconds from now
    stats,      ///< `key` names a group, or is empty
    version,
    noop,
    authenticate,  ///< `value` is what the dialect's `credentials` made
};

/// A request. What its views point to stays until it is encoded.
struct request {
    verb what = verb::get;
    std::string_view key = {};    ///< valid by key.hpp; it is not checked here
    std::string_view value = {};  ///< what to store
    std::uint32_t flags = 0;      ///< stored with the value and given back with it
    std::optional<std::int32_t> exptime =
        {};                     ///< as the wire has it: seconds or Unix time, 0: never
    std::uint64_t cas = 0;      ///< 0: whatever the item's is
    std::uint64_t delta = 1;    ///< of increment and decrement
    std::uint64_t initial = 0;  ///< what a missing number becomes when `exptime` is there
    std::uint32_t opaque = 0;   ///< comes back with the reply

    // What a get wants to know beside the value.
    bool wants_value = true;
    bool wants_flags = false;
    bool wants_cas = false;  ///< of the stores, too
    bool wants_ttl = false;

    // The meta dialect only.
    bool base64 = false;                   ///< the key travels in base64
    bool stale = false;                    ///< remove: mark it stale; set: accept an older cas
    std::optional<std::int32_t> vivify{};  ///< get: on a miss make an empty item that lives so long
    std::optional<std::int32_t> recache{};  ///< get: win when it has less than so many seconds left
};

/// True for verbs that carry a value.
constexpr bool stores(verb what) noexcept { return what >= verb::set && what <= verb::prepend; }

/// What a reply says.
enum class status : std::uint8_t {
    ok,          ///< HD, STORED, DELETED, TOUCHED, OK, RESET
    value,       ///< VA, VALUE
    number,      ///< what incr and decr answer in the text and binary dialects
    miss,        ///< EN
    not_found,   ///< NF, NOT_FOUND
    not_stored,  ///< NS, NOT_STORED
    exists,      ///< EX, EXISTS
    noop,        ///< MN
    end,         ///< END: no more values or statistics
    stat,        ///< STAT: `key` and `value`
    version,     ///< VERSION: `value`
    error,       ///< ERROR: `words`
    client_error,
    server_error,
};

/// A reply. Its views point into the bytes that were parsed.
struct reply {
    status what = status::ok;
    bool has_opaque = false;
    bool won = false;    ///< W: this client is the one to make the value anew
    bool stale = false;  ///< X: the value is stale
    bool taken = false;  ///< Z: another client has won
    bool has_key = false;
    std::uint8_t opcode = 0;  ///< of the binary dialect
    errc code{};              ///< what an error line means
    std::uint32_t opaque = 0;
    std::uint32_t flags = 0;
    std::uint64_t cas = 0;
    std::int64_t ttl = -1;  ///< seconds left; -1: no limit, or not asked for
    std::uint64_t number = 0;
    std::string_view key;  ///< as it travels: in base64 when it was sent so
    std::string_view value;
    std::string_view words;  ///< an error line without its end, "SERVER_ERROR out of memory"
    /// How many bytes it has in all, once that is known: also when they are not all there yet, and
    /// when the value is too large to be taken.
    std::size_t bytes_wanted = 0;

    bool is_error() const noexcept { return what >= status::error; }
};

/// What a parser takes before it calls a peer broken.
struct wire_limits {
    std::size_t value_bytes_max = 1024 * 1024;
    std::size_t line_bytes_max = 2048;  ///< with its end
};

/// The largest item that a server can be told to take (`-I 1024m`). A reply that announces a larger
/// one is none.
constexpr std::size_t item_bytes_max = std::size_t{1} << 30;

/// Room for everything of a request but the value and the key of an authentication.
constexpr std::size_t head_bytes_max = 512;

}  // namespace ouro::memcached
