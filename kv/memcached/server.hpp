// server.hpp: where a memcached is, as users write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::memcached {

constexpr std::uint16_t default_port = 11211;

/// One server, written as
///
///   cache1.example.org         a name or an address; port 11211
///   10.0.0.7:11300             with another port
///   [2001:db8::7]:11211        IPv6 stands in brackets where a port follows
///   unix:/run/memcached.sock   a Unix socket; `unix:@name` an abstract one
struct server {
    server(const char* at, std::uint32_t weight = 1) : at(at), weight(weight) {}
    server(std::string at, std::uint32_t weight = 1) : at(std::move(at)), weight(weight) {}

    std::string at;
    std::uint32_t weight;  ///< of keys, in relation to the other servers'
};

/// The parts of a server's address.
struct address {
    std::string host;        ///< without brackets; empty for a Unix socket
    std::uint16_t port = 0;  ///< 0 for a Unix socket
    std::string path;        ///< of a Unix socket, "@name" for an abstract one
};

/// Reads an address. Throws memcached::error with ouro::errc::bad_address, which quotes it unless
/// it may hold a password: an '@', a scheme.
address parse_address(std::string_view text);

/// The addresses of a list like "10.0.0.1, 10.0.0.2:11300", not looked at but for an '@', which is
/// refused as above.
std::vector<server> parse_servers(std::string_view list);

/// "127.0.0.1:11211", "[::1]:11211", "unix:/run/memcached.sock".
std::string to_string(const address& where);

}  // namespace ouro::memcached
