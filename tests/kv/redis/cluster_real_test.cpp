#include <ouro/kv/redis/cluster.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

redis_cluster& shared_cluster() {
    static redis_cluster cluster;
    return cluster;
}

std::string url_of(const redis_server& node) { return "redis://" + node.address(); }

OURO_TEST_REAL("commands find the node of their key") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await redis::cluster::connect(
        {url_of(nodes.node(0)), url_of(nodes.node(4)), "redis://127.0.0.1:1"},
        {.client_name = "x"});
    CHECK(db.slots().covered() == redis::slot_count);
    CHECK(db.slots().shards().size() == 3);
    for (int n = 0; n < 50; ++n) {
        const std::string key = "key:" + std::to_string(n);
        co_await db.set(key, std::to_string(n));
    }
    for (int n = 0; n < 50; ++n) {
        const std::string key = "key:" + std::to_string(n);
        const std::optional<std::string> got = co_await db.get(key);
        CHECK(got == std::to_string(n));
    }
    CHECK(db.figures().moved == 0);
}

}  // namespace
