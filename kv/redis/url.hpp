// url.hpp: where a Redis server is and who we are there, read from a URL.
#pragma once

#include <ouro/runtime/result.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace ouro::redis {

/// Where a server listens.
struct address {
    address() {}  // no aggregate: g++ 12 gets those wrong inside awaited calls

    std::string host = "127.0.0.1";  ///< a name, an IPv4 or an IPv6 address without brackets
    std::uint16_t port = 6379;
    std::string path;  ///< of a Unix socket; then host and port do not count

    auto operator<=>(const address&) const = default;
};

/// "127.0.0.1:6379", "[::1]:6379", "unix:/run/redis.sock"
std::string to_string(const address& where);

/// The parts of
///
///     redis://[[user]:password@][host][:port][/database]
///     unix:///run/redis.sock[?db=database], unix:/run/redis.sock, redis+unix://…
///
/// as registered with IANA for "redis"; user, password and path may be percent-encoded. "rediss"
/// (TLS) is errc::no_tls.
struct url {
    url() {}

    address where;
    std::string user;      ///< empty: the default user
    std::string password;  ///< empty: none
    std::uint32_t database = 0;

    /// Reads `text`; errc::bad_url. Without a scheme it is [host][:port][/database].
    static result<url> parse(std::string_view text);
};

}  // namespace ouro::redis
