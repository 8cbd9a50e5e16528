// resp.hpp: the Redis serialization protocol, versions 2 and 3: bytes to values.
//
// After the specification at github.com/redis/redis-specifications, protocol/RESP3.md. Streamed
// strings and aggregates ("$?", "*?"), which no server sends, are refused.
#pragma once

#include <ouro/kv/redis/value.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// What a reply may be. Exceeding one is ouro::errc::limit_exceeded, and ends the connection.
struct resp_limits {
    std::size_t bulk_bytes_max = 512UL * 1024 * 1024;  ///< of one string: Redis' own limit
    /// Of a status, an error, a number. A session hands out an error that is longer cut to this,
    /// and errc::reply_too_large in place of a reply with another line that is longer.
    std::size_t line_bytes_max = 64UL * 1024;
    std::size_t elements_max = 16UL * 1024 * 1024;       ///< of a whole reply, aggregates included
    std::size_t depth_max = 64;                          ///< aggregates inside each other
    std::size_t reply_bytes_max = 1024UL * 1024 * 1024;  ///< of a whole reply; below 4 GiB
};

/// Reads replies one after another, each as soon as it is complete.
///
/// It remembers where it was, so that a reply costs the same in however small pieces it arrives;
/// the bytes themselves stay with the caller. Memory grows with what has arrived, never with what
/// was announced, and what an unusually large reply took is given back after it.
class resp_parser {
public:
    explicit resp_parser(const resp_limits& limits = {}) noexcept : limits_(limits) {
        // Nodes count bytes and each other in 32 bits.
        OURO_ASSERT(limits.reply_bytes_max <= std::numeric_limits<std::uint32_t>::max());
        OURO_ASSERT(limits.elements_max <= std::numeric_limits<std::uint32_t>::max());
    }

    /// Looks at the bytes of a reply, from its first one to all that have arrived, which may lie
    /// elsewhere than at the last call. Returns how many bytes the reply has, or 0 for "need more".
    /// errc::protocol_error and ouro::errc::limit_exceeded are final.
    result<std::size_t> parse(std::span<const std::byte> arrived);

    /// The reply that `parse` has completed, a view of `arrived`. Attributes are left out.
    value root() const noexcept {
        OURO_ASSERT(complete_);
        return {nodes_.front(), bytes_};
    }

    /// After ouro::errc::limit_exceeded. True when a line was too long: then this reply is read to
    /// its end, as far as `reply_bytes_max` allows. Error lines are cut to the limit; other lines
    /// that are too long make it `overlong`.
    bool go_on() noexcept;
    /// Whether a line of the complete reply is too long to be believed.
    bool overlong() const noexcept { return overlong_; }

    /// Forgets a reply that is not complete, and an error.
    void reset() noexcept;

private:
    struct open {
        std::uint32_t index;  // of the aggregate's node
        bool attribute;
        std::uint64_t left;  // elements that are still to come, the one being read included
    };

    enum class step : std::uint8_t { element, more, failed };

    void start() noexcept;
    step next(std::string_view in);
    step line(std::string_view in);
    step integer(std::string_view in);
    step bulk(std::string_view in);
    step aggregate(std::string_view in);

    step number(std::string_view in, std::int64_t& into, std::size_t& end) noexcept;
    step length(std::string_view in, std::int64_t& into, std::size_t& end) noexcept;
    step add(const node& what, std::size_t end);
    void close_full() noexcept;
    step fail(std::error_code why) noexcept;

    resp_limits limits_;
    std::vector<node> nodes_;
    std::vector<open> open_;
    std::size_t at_ = 0;        // everything before was understood
    std::size_t searched_ = 0;  // the line that begins at at_ does not end before this
    std::size_t wanted_ = 0;    // there is nothing to do before so many bytes have arrived
    bool complete_ = false;
    bool stopped_in_line_ = false;  // it was too long
    bool lenient_ = false;          // lines may be longer than their limit
    bool overlong_ = false;
    std::error_code error_;
    const char* bytes_ = nullptr;
};

}  // namespace ouro::redis
