// options_of_sockets.hpp: what is set on the sockets of this process that are connected to a port.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <vector>

namespace ouro::testing {

/// An option of each, by value.
inline std::vector<int> options_of_sockets(std::uint16_t port, int level, int name) {
    std::vector<int> values;
    for (int fd = 0; fd < 1024; ++fd) {
        sockaddr_in peer{};
        socklen_t size = sizeof peer;
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
        if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != port) continue;
        int value = 0;
        size = sizeof value;
        if (::getsockopt(fd, level, name, &value, &size) == 0) values.push_back(value);
    }
    return values;
}

}  // namespace ouro::testing
