// Who we are at every node of a cluster, when that changes.
#include <ouro/kv/redis/credentials.hpp>

#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <optional>
#include <string>

using namespace ouro;
using redis::cluster;
using testing::fake_cluster;
using testing::fake_node;
using testing::fake_peer;
using testing::key_of;
using testing::words_said;

namespace {

OURO_TEST("who we are is said again at every node, and leased connections are renewed") {
    fake_cluster nodes(3);
    std::string password = "one";
    int told = 0;
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "AUTH") return {};
        told += said == words_said{"AUTH", "app", password};
        return "+OK\r\n";
    };
    redis::credentials_from source([&] { return redis::credentials("app", password); });
    auto db = co_await cluster::connect(nodes.url(), {.credentials = &source});
    for (int n = 0; n < 3; ++n) co_await db.set(key_of(nodes, n), "x");
    const std::string key = key_of(nodes, 1);
    auto mine = co_await db.owner_of(key).lease();
    const int before = nodes[1].connections;
    password = "two";
    co_await db.reauthenticate();
    CHECK(told == 3);
    mine.release();
    mine = co_await db.owner_of(key).lease();
    CHECK(nodes[1].connections == before + 1);
    mine.release();
    co_await db.close();
}

}  // namespace
