// A real cluster of six nodes.
#include <ouro/tests/kv/real.hpp>

#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/redis/shared_cluster.hpp>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cluster;

namespace {

using text = std::optional<std::string>;

OURO_TEST_REAL("commands find the node of their key") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(
        {url_of(nodes.node(0)), url_of(nodes.node(4)), "redis://127.0.0.1:1"},
        {.client_name = "test"});
    CHECK(db.slots().covered() == redis::slot_count);
    CHECK(db.slots().shards().size() == 3);
    for (int n = 0; n < 50; ++n) {
        const std::string key = "key:" + std::to_string(n);
        co_await db.set(key, std::to_string(n));
        CHECK(redis::slot_of(key) == nodes.slot_of(key));
    }
    std::vector<std::string> keys;
    for (int n = 0; n < 50; ++n) keys.push_back("key:" + std::to_string(n));
    const std::vector<text> got = co_await db.mget(keys);
    for (int n = 0; n < 50; ++n) CHECK(got[static_cast<std::size_t>(n)] == std::to_string(n));
    CHECK(db.figures().moved == 0);

    std::set<std::string> walked;
    auto walk = redis::scan(db, {.match = "key:*"});
    while (auto key = co_await walk.next()) walked.insert(*key);
    CHECK(walked.size() == 50);
    const std::int64_t size = co_await db.dbsize();
    CHECK(size >= 50);
    const std::int64_t removed = co_await db.unlink(keys);
    CHECK(removed == 50);
    co_await db.close();
}

OURO_TEST_REAL("the table can be told by CLUSTER SHARDS") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(1)),
                                        {.topology = redis::topology_command::cluster_shards});
    CHECK(db.slots().covered() == redis::slot_count);
    CHECK(db.slots().shards().size() == 3);
    CHECK(db.members().size() == 6);
    for (const char* key : {"a", "b", "c"}) co_await db.set(key, key);
    CHECK(db.figures().moved == 0);
    co_await db.close();
}

OURO_TEST_REAL("transactions and watches run on their node") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(2)));
    co_await db.del({"{stock}left", "{stock}sold"});
    co_await db.set("{stock}left", "40");
    auto sell = [](redis::connection& mine, redis::transaction& tx) -> task<> {
        const auto left = co_await mine.get<int>("{stock}left");
        CHECK(left.has_value());
        tx.set("{stock}left", std::to_string(left.value_or(0) - 1));
        tx.incr("{stock}sold");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int n = 0; n < 4; ++n)
            tasks.spawn([&]() -> task<> {
                for (int times = 0; times < 5; ++times)
                    co_await redis::with_watch(db, {"{stock}left"}, sell, {.attempts_max = 1000});
            });
        co_return;
    });
    const text left = co_await db.get("{stock}left");
    const text sold = co_await db.get("{stock}sold");
    CHECK(left == "20");
    CHECK(sold == "20");
    co_await db.close();
}

OURO_TEST_REAL("replicas answer reads") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)),
                                        {.read_from = redis::read_preference::replicas});
    co_await db.set("replicated", "1");
    // A master names its replicas once it has heard that they have something.
    const std::uint16_t slot = redis::slot_of("replicated");
    for (;;) {
        const bool told = co_await db.refresh();
        CHECK(told);
        if (!db.slots().shards()[db.slots().shard_of(slot)].replicas.empty()) break;
        co_await sleep_for(10ms);
    }
    while (co_await db.get("replicated") != "1") co_await sleep_for(10ms);
    redis_server& replica = replica_of(nodes, nodes.owner_of("replicated"));
    CHECK(replica.call({"INFO", "commandstats"}).find("cmdstat_get:") != std::string::npos);
    co_await db.close();
}

OURO_TEST_REAL("keys of a slot that moves are found, half moved and moved") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    const std::string tag = "{moving}";
    const unsigned slot = nodes.slot_of(tag);
    redis_server& from = nodes.owner(slot);
    redis_server& to = another_master(nodes, from);
    co_await db.mset({{tag + "a", "1"}, {tag + "b", "2"}});
    nodes.begin_move(slot, to);
    nodes.move_key(tag + "a", to);
    const text a = co_await db.get(tag + "a");  // ASK
    const text b = co_await db.get(tag + "b");
    CHECK(a == "1");
    CHECK(b == "2");
    CHECK(db.figures().asked >= 1);
    auto tx = db.transaction();
    auto n = tx.incr(tag + "a");
    co_await tx.exec();
    CHECK(n.get() == 2);

    auto both = [](cluster& in, std::string of) -> task<std::vector<text>> {
        co_return co_await in.mget({of + "a", of + "b"});
    };
    join_handle<std::vector<text>> waiting = spawn(both(db, tag));  // TRYAGAIN
    while (db.figures().waits == 0) co_await sleep_for(1ms);
    nodes.move_key(tag + "b", to);
    const std::vector<text> got = co_await waiting;
    CHECK(got == std::vector<text>{"2", "2"});
    nodes.finish_move(slot, to);
    const text later = co_await db.get(tag + "a");
    CHECK(later == "2");
    co_await db.del({tag + "a", tag + "b"});
    nodes.move_slot(slot, from);
    co_await db.close();
}

}  // namespace
