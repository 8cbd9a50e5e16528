// A cluster whose nodes speak TLS, with clients and with each other.
#include <ouro/tests/kv/tls.hpp>

#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <set>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cluster;

namespace {

redis_cluster& shared_cluster() {
    static redis_cluster nodes({.replicas = 0, .tls = tls_files()});
    return nodes;
}

redis::cluster_options with(const net::tls::client_context& context,
                            std::string_view server_name = {}) {
    redis::cluster_options made;
    made.link.tls = under(context, server_name);
    return made;
}

std::string key(int n) { return "key:" + std::to_string(n); }

/// Every connection to a node that there is, is under TLS.
bool all_secured(const cluster& db) {
    for (const auto& node : db.core()->map().nodes()) {
        const auto& session = node->commands().present();
        if (session && session->is_connected() && !session->security()) return false;
    }
    return true;
}

OURO_TEST_REAL("nodes that the slots name are reached under TLS as the seed was") {
    auto db = co_await cluster::connect(tls_url_of(shared_cluster().node(0)), with(trusting()));
    CHECK(db.slots().covered() == redis::slot_count);
    for (int n = 0; n < 50; ++n) co_await db.set(key(n), n);
    auto some = db.pipeline();
    std::vector<redis::handle<std::optional<int>>> got;
    for (int n = 0; n < 50; ++n) got.push_back(some.get<int>(key(n)));
    co_await some.exec();
    for (int n = 0; n < 50; ++n) CHECK(got[static_cast<std::size_t>(n)].get() == n);
    CHECK(db.masters().size() == 3);
    for (auto& master : db.masters()) {
        co_await master.ping();
        auto mine = co_await master.lease();
        CHECK(mine->session().security() != nullptr);
    }
    CHECK(all_secured(db));
    CHECK(db.figures().moved == 0);

    auto sub = db.subscriber();
    co_await sub.ssubscribe("shard", "other");
    CHECK(co_await db.spublish("shard", "hello") == 1);
    const std::optional<redis::message> heard = co_await timeout(10s, sub.next());
    REQUIRE(heard);
    CHECK(heard->payload() == "hello");
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("a slot that has moved is followed under TLS") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(tls_url_of(nodes.node(1)), with(trusting(), "db.test"));
    co_await db.set("moving", "1");
    redis_server& from = nodes.owner_of("moving");
    redis_server* to = &nodes.node(0);
    if (to == &from) to = &nodes.node(1);
    nodes.move_slot(nodes.slot_of("moving"), *to);
    CHECK(co_await db.get("moving") == "1");
    CHECK(all_secured(db));
    co_await db.close();
}

OURO_TEST_REAL("nodes that are not to be trusted are named with the reason") {
    const std::string url = tls_url_of(shared_cluster().node(0));
    const failure told = co_await failure_of(cluster::connect(url));
    CHECK(told.code == net::tls::errc::certificate);
    CHECK_MESSAGE(told.words.find("certificate of 127.0.0.1") != std::string::npos, told.words);
    const failure mixed = co_await failure_of(
        cluster::connect({url, "redis://" + shared_cluster().node(1).address()}));
    CHECK(mixed.code == redis::errc::bad_url);
}

}  // namespace
