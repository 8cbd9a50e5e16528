// url.hpp: where a Redis server is and who we are there, read from a URL.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/result.hpp>

#include <compare>
#include <cstdint>
#include <optional>
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
///     redis://[[user]:password@][host][:port][/database][?parameter=value&…]
///     rediss://…    the same under TLS
///     unix:///run/redis.sock[?…], unix:/run/redis.sock, unix:@name, redis+unix://…
///
/// as registered with IANA for "redis" and "rediss"; "valkey" and "valkeys" are the same. Schemes
/// may be in capitals. User, password, host, path and values may be percent-encoded, and have to be
/// where they hold one of "/?#%" (in a value '&', too).
///
/// Parameters, by the names that other clients have for them ('_', '-' and capitals do not count):
///
///     db, database                                   as behind the host
///     user, username, password                       as before the host
///     protocol                                       2, 3, resp2, resp3
///     client_name                                    for CLIENT SETNAME
///     connect_timeout, socket_connect_timeout, dial_timeout    for connection and handshake
///     timeout, socket_timeout, read_timeout, request_timeout    of a request; 0: none
///
/// Times are in seconds, "2.5", or have a unit of "ms", "s", "m", "h". What is said twice in
/// different words is refused, and so is every other parameter.
struct url {
    url() {}

    address where;
    std::string user;      ///< empty: the default user
    std::string password;  ///< empty: none
    std::uint32_t database = 0;
    bool tls = false;  ///< "rediss", "valkeys"; how is said in link_options::tls

    // What the parameters say, before the client's options.
    int protocol = 0;         ///< 0: nothing
    std::string client_name;  ///< empty: nothing
    std::optional<duration> connect_timeout;
    std::optional<duration> request_timeout;

    /// Reads `text`; errc::bad_url. Without a scheme it is [host][:port][/database].
    static result<url> parse(std::string_view text);
    /// The same, and says in `why` which part was refused, and what for. Nothing of the text is
    /// quoted: any part may hold a password that was not encoded. Without a port it is
    /// `port_if_none`.
    static result<url> parse(std::string_view text, std::string& why,
                             std::uint16_t port_if_none = 6379);
    /// The same, and throws redis::error, whose words() are that.
    static url read(std::string_view text);
};

}  // namespace ouro::redis
