// A real cluster of six nodes under load, while a replica elects itself and a master is killed: one
// that no other test has used, since masters that were elected a moment ago may not agree with one
// that has elected itself.
#include <ouro/runtime/run.hpp>
#include <ouro/tests/kv/redis/cluster_load.hpp>
#include <ouro/tests/kv/redis/shared_cluster.hpp>

using namespace ouro;
using namespace ouro::testing;
using redis::cluster;

namespace {

void take_over_and_kill(tally& of) {
    redis_cluster& nodes = shared_cluster();
    redis_server& old = nodes.owner_of("kill:0");
    redis_server& replica = replica_of(nodes, old);
    replica.call({"CLUSTER", "FAILOVER", "TAKEOVER"});
    nodes.wait_until_whole();
    replica.kill();
    nodes.wait_until_whole();
    of.wait_for_progress();
    replica.restart();
    nodes.wait_until_whole();
}

task<> master_killed() {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    tally of{.may_forget = true};  // what had not reached the replica is lost, says Redis
    co_await under_load(db, of, "kill:", take_over_and_kill);
    CHECK(of.wrong == 0);
    CHECK(of.failed_writes <= 2 * counters);
    CHECK(of.failed_reads <= counters);
    CHECK(db.figures().moved > 0);
    report(of, db.figures());
    co_await db.close();
}

// Once: a node that was killed takes its time to be back.
TEST_CASE("a replica takes over without asking, and a master is killed under load") {
    block_on(master_killed());
}

}  // namespace
