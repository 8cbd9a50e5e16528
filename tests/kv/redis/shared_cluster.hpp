// shared_cluster.hpp: the six nodes that the tests of one program share, and who is who among them.
#pragma once

#include <ouro/tests/kv/redis_groups.hpp>

#include <stdexcept>
#include <string>

namespace ouro::testing {

inline redis_cluster& shared_cluster() {
    static redis_cluster nodes;
    return nodes;
}

inline std::string url_of(const redis_server& node) { return "redis://" + node.address(); }

/// A replica may be on its way back to its master: waits for it.
inline redis_server& replica_of(redis_cluster& nodes, const redis_server& master) {
    redis_server* found = nullptr;
    eventually("a replica runs", [&] {
        found = &nodes.replica_of(master);
        return true;
    });
    return *found;
}

inline redis_server& another_master(redis_cluster& nodes, const redis_server& than) {
    for (const char* key : {"a", "b", "c", "d", "e", "f"})
        if (redis_server& at = nodes.owner_of(key); &at != &than) return at;
    throw std::runtime_error("there is one master only");
}

}  // namespace ouro::testing
