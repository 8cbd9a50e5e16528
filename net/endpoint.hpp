// endpoint.hpp: where a socket is: an IPv4 or IPv6 address with a port, or a Unix socket's name.
#pragma once

#include <ouro/runtime/result.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ouro::net {

/// What kind of address an endpoint holds.
enum class address_family : std::uint8_t { none, ipv4, ipv6, unix_socket };

/// An address that sockets bind to, connect to and come from. A value: copied, compared, hashed.
///
/// Addresses only, no names: "localhost:80" is for the resolver. Written and read as
///
///   127.0.0.1:80        IPv4
///   [::1]:80            IPv6; [fe80::1%eth0]:80 with a scope, by name or by number
///   :80  or  *:80       every address of this machine, IPv6 and IPv4 alike; the same as [::]:80
///   unix:/run/x         a Unix socket in the file system, at most 107 bytes of path
///   unix:@name          an abstract one, at most 107 bytes of name
class endpoint {
public:
    /// No address.
    endpoint() noexcept = default;

    /// Reads `text`. Throws std::system_error with errc::bad_address; its what() quotes the text
    /// and says what is wrong with it.
    endpoint(std::string_view text);
    endpoint(const char* text) : endpoint(std::string_view(text)) {}
    endpoint(const std::string& text) : endpoint(std::string_view(text)) {}

    /// An IPv4 or IPv6 address, the latter with or without brackets; "" and "*" are every address.
    /// Throws as above.
    endpoint(std::string_view address, std::uint16_t port);

    /// Reads `text` without throwing.
    static result<endpoint> parse(std::string_view text) noexcept;

    /// Reads an address alone, "127.0.0.1", "::1" or "[::1]"; errc::bad_address also for names.
    static result<endpoint> parse(std::string_view address, std::uint16_t port) noexcept;

    /// Every IPv6 and IPv4 address of this machine.
    static endpoint any(std::uint16_t port) noexcept;
    /// Every IPv4 address of this machine.
    static endpoint any_ipv4(std::uint16_t port) noexcept;

    /// Takes what the system filled in. An unknown family, or more bytes than it can have, give
    /// errc::bad_address.
    static result<endpoint> from(const sockaddr* address, socklen_t length) noexcept;

    /// What system calls take; valid while the endpoint lives and stays as it is.
    const sockaddr* address() const noexcept { return &at_.any; }
    socklen_t length() const noexcept { return length_; }

    address_family family() const noexcept;
    /// AF_INET, AF_INET6 or AF_UNIX; AF_UNSPEC for no address.
    int domain() const noexcept { return length_ == 0 ? AF_UNSPEC : at_.any.sa_family; }
    bool is_ip() const noexcept {
        return family() == address_family::ipv4 || family() == address_family::ipv6;
    }
    bool is_unix() const noexcept { return family() == address_family::unix_socket; }

    /// 0 for Unix sockets.
    std::uint16_t port() const noexcept;
    /// The same address with another port; a Unix socket's is returned as it is.
    endpoint with_port(std::uint16_t port) const noexcept;

    /// 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104, and every Unix socket.
    bool is_loopback() const noexcept;
    /// 0.0.0.0 or ::, which stand for every address.
    bool is_any() const noexcept;
    /// 224.0.0.0/4 or ff00::/8.
    bool is_multicast() const noexcept;

    /// ::ffff:127.0.0.1, how an IPv6 socket shows an IPv4 peer, as 127.0.0.1; others as they are.
    endpoint unmapped() const noexcept;

    /// The file of a Unix socket; empty when it has none. Valid as long as the endpoint.
    std::string_view path() const noexcept;

    /// The address without the port, "127.0.0.1" or "fe80::1%eth0"; for Unix sockets like
    /// to_string().
    std::string host() const;

    /// What the constructor reads back to the same endpoint. Without an address it is "none", and
    /// for a Unix socket that was never bound "unix:"; neither can be read back.
    std::string to_string() const;

    friend bool operator==(const endpoint& a, const endpoint& b) noexcept {
        return (a <=> b) == std::strong_ordering::equal;
    }
    /// By family, then by address, then by port.
    friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept;

    std::size_t hash() const noexcept;

private:
    std::string_view unix_name() const noexcept;  // a path, or NUL and an abstract name
    const char* read(std::string_view text) noexcept;
    const char* read_address(std::string_view address, std::uint16_t port) noexcept;
    const char* read_unix(std::string_view name) noexcept;

    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
        sockaddr_un local;
    } at_ = {.local = {}};
    socklen_t length_ = 0;  // 0: no address
};

}  // namespace ouro::net

template <>
struct std::hash<ouro::net::endpoint> {
    std::size_t operator()(const ouro::net::endpoint& where) const noexcept { return where.hash(); }
};
