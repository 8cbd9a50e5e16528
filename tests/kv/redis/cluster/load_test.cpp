// A real cluster of six nodes under load, while slots move and masters change.
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/cluster_load.hpp>
#include <ouro/tests/kv/redis/shared_cluster.hpp>

using namespace ouro;
using namespace ouro::testing;
using redis::cluster;

namespace {

void move_slots(tally& of) {
    redis_cluster& nodes = shared_cluster();
    for (const char* key : {"load:0", "load:5", "load:11"}) {
        const unsigned slot = nodes.slot_of(key);
        redis_server& from = nodes.owner(slot);
        redis_server& to = another_master(nodes, from);
        nodes.move_slot(slot, to);
        of.wait_for_progress();
        nodes.move_slot(slot, from);
    }
}

void fail_over(tally&) {
    redis_cluster& nodes = shared_cluster();
    nodes.fail_over_to(replica_of(nodes, nodes.owner_of("over:0")));
}

OURO_TEST_REAL("slots move under load, and nobody loses anything or gets what is another's") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    tally of;
    co_await under_load(db, of, "load:", move_slots);
    CHECK(of.wrong == 0);
    CHECK(of.failed_writes == 0);
    CHECK(of.failed_reads == 0);
    CHECK(db.figures().moved > 0);
    report(of, db.figures());
    co_await db.close();
}

OURO_TEST_REAL("a replica takes over under load") {
    redis_cluster& nodes = shared_cluster();
    // Until the others have voted, which they do only so often, the old master answers nobody.
    auto db = co_await cluster::connect(url_of(nodes.node(0)),
                                        {.link = {.requests = {.request_timeout = patience}}});
    tally of;
    co_await under_load(db, of, "over:", fail_over);
    CHECK(of.wrong == 0);
    CHECK(of.failed_writes == 0);
    CHECK(of.failed_reads == 0);
    CHECK(db.figures().moved > 0);
    report(of, db.figures());
    co_await db.close();
}

}  // namespace
