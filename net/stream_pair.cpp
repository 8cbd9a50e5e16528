#include <ouro/net/stream_pair.hpp>

#include <ouro/runtime/engine/executor.hpp>

namespace ouro::net {

std::pair<stream, stream> stream_pair() {
    int ends[2];
    const int made = executor::current().io().socket_pair(AF_UNIX, SOCK_STREAM, ends);
    if (made < 0) throw_error(error_of(made));
    return {stream(descriptor(ends[0])), stream(descriptor(ends[1]))};
}

}  // namespace ouro::net
