// stream_pair.hpp: two streams that are connected to each other, without an address.
#pragma once

#include <ouro/net/stream.hpp>

#include <utility>

namespace ouro::net {

/// `auto [a, b] = stream_pair();` makes both ends of a connection: what one sends, the other
/// receives. On a kernel they are a pair of Unix sockets; the simulated reactor has them, too.
/// Throws std::system_error when out of descriptors.
std::pair<stream, stream> stream_pair();

}  // namespace ouro::net
