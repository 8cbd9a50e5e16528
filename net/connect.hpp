// connect.hpp: making connections, to an address or to whatever answers behind a name.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/net/resolver.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace ouro::net {

/// How to connect.
struct connect_options {
    /// What the connection is given.
    stream_options stream = {};
    /// The address to come from; none: the system chooses. With port 0 it chooses the port.
    endpoint local = {};
    /// How long an address of a name may keep silent before the next is tried, too.
    duration attempt_delay = std::chrono::milliseconds(250);
    /// Who looks names up; null: this worker's own resolver. Must live until it has connected.
    resolver* names = nullptr;
};

/// Connects to one address. Throws std::system_error, whose what() reads
/// "cannot connect to 127.0.0.1:80: Connection refused"; to limit the time, wrap it in timeout().
///
/// A Unix socket whose backlog is full is waited for. Connecting a free port of this machine to
/// itself, which TCP allows, is reported as refused.
task<stream> connect(endpoint where, connect_options options = {});

/// Connects to a name or an address and a port, in the way of RFC 8305: looks up all addresses,
/// tries them one after the other with IPv6 and IPv4 taking turns, and starts the next as soon as
/// one has failed or has kept silent for `attempt_delay`. The first connection wins; the other
/// attempts are cancelled and have ended when this resumes. When none wins, or it is cancelled
/// before, the resolver forgets the name, so that it is looked up next time.
///
/// Throws std::system_error when the name is not found, or with the error of the attempt that
/// failed last; what() then names every address that was tried, with its error.
task<stream> connect(std::string host, std::uint16_t port, connect_options options = {});

/// The same with a service by name ("http") or number ("80").
task<stream> connect(std::string host, std::string service, connect_options options = {});

/// Connects to whichever of these answers first, as above, in this order but for the families
/// taking turns. `name` is for error messages. Without any address it throws
/// std::errc::address_not_available.
task<stream> connect_any(std::vector<endpoint> addresses, std::string name,
                         connect_options options = {});

}  // namespace ouro::net
