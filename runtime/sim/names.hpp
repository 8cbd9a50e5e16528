// names.hpp: what sockets are called in a simulated world, and who has which name.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::sim {

class socket;

/// An address in a form that compares: IPv4, IPv6, a Unix path, or nothing.
class name {
public:
    name() noexcept = default;

    /// Reads an address. 0, or -errno as the kernel would refuse it.
    static int read(const sockaddr* address, socklen_t length, name& into);

    /// Writes as much of it as `*length` bytes hold, and its full length there. IPv4 becomes a
    /// mapped address when `domain` is AF_INET6; nothing becomes an address with just a family.
    void write(int domain, sockaddr* address, socklen_t* length) const noexcept;

    bool is_none() const noexcept { return family_ == AF_UNSPEC; }
    bool is_unix() const noexcept { return family_ == AF_UNIX; }
    bool is_ipv4() const noexcept { return family_ == AF_INET; }
    bool is_any() const noexcept;
    bool is_loopback() const noexcept;
    std::uint16_t port() const noexcept { return port_; }
    /// A Unix name: a path, or a zero byte and an abstract name.
    const std::string& path() const noexcept { return path_; }

    name with_port(std::uint16_t port) const;
    /// The loopback address of its family for the unspecified one; itself otherwise.
    name with_host() const;
    /// The n-th abstract name that the kernel would choose.
    static name automatic(std::uint64_t n);

    bool operator==(const name&) const = default;

private:
    friend class name_table;

    int family_ = AF_UNSPEC;
    std::uint16_t port_ = 0;
    std::array<std::uint8_t, 16> ip_{};  // an IPv4 address stands in the first four
    std::string path_;
};

/// Who is bound to which name.
class name_table {
public:
    /// Binds a socket. With port 0 it chooses one, and an abstract name for an empty Unix name. 0,
    /// or -EADDRINUSE.
    int bind(socket& who, name wanted);

    /// Whether `who`, which is bound, may listen: nobody else does under an overlapping name,
    /// unless both share the port (SO_REUSEPORT).
    bool may_listen(const socket& who) const;

    void release(socket& who) noexcept;

    /// Those whom something sent to `to` reaches: of several that match equally well, all. Streams
    /// are found when they listen.
    std::vector<socket*> find(const name& to, int type) const;

private:
    using port_key = std::pair<int, std::uint16_t>;  // socket type, port

    bool conflicts(const socket& who, const name& wanted) const;
    std::uint16_t free_port(const socket& who, const name& wanted);

    std::map<port_key, std::vector<socket*>> by_port_;
    std::map<std::pair<int, std::string>, socket*> by_path_;
    std::uint16_t last_port_ = 32767;
    std::uint64_t last_automatic_ = 0;
};

}  // namespace ouro::sim
