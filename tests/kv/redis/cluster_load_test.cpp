// A real cluster of six nodes under load, while slots move and masters change and die.
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/shared_cluster.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cluster;

namespace {

// Load: each task owns a key, counts in it, and knows what it must find.

struct tally {
    bool may_forget = false;  // acknowledged writes may be lost by the servers themselves
    bool over = false;
    std::atomic<std::uint64_t> done = 0;  // a helper thread looks, too
    std::uint64_t done_before = 0;        // when the cluster was whole again
    std::uint64_t failed = 0;
    std::uint64_t wrong = 0;
};

task<> count(cluster& db, std::string key, tally& of) {
    // What the counter may be by now: more than `sure`, when answers were lost.
    std::int64_t sure = 0;
    std::int64_t possible = 0;
    const std::string mark = key + ":mark";
    co_await db.set(key, "0");
    co_await db.set(mark, mark);
    while (!of.over) {
        const auto now = co_await as_result(db.incr(key));
        ++possible;
        if (now) {
            if ((*now <= sure && !of.may_forget) || *now > possible) ++of.wrong;
            sure = possible = *now;
            ++of.done;
        } else {
            ++of.failed;
        }
        const auto said = co_await as_result(db.get(mark));
        if (said && said->has_value() && *said != mark) ++of.wrong;  // somebody else's
        if (said && !said->has_value() && !of.may_forget) ++of.wrong;
        if (!said) ++of.failed;
        auto batch = db.pipeline();
        auto first = batch.get(mark);
        auto second = batch.strlen(mark);
        const auto ran = co_await as_result(batch.exec());
        if (!ran || of.may_forget || !first.as_result() || !second.as_result()) continue;
        if (first.get() != mark || second.get() != static_cast<std::int64_t>(mark.size()))
            ++of.wrong;
    }
    for (int tries = 0; tries < 20; ++tries) {
        const auto last = co_await as_result(db.get<std::int64_t>(key));
        if (!last) continue;
        const std::int64_t found = last->value_or(-1);
        if ((found < sure && !of.may_forget) || found > possible) ++of.wrong;
        break;
    }
}

/// Runs on a thread of its own what would hold the loop, and thus the load.
task<> disturb_by(void (*disturb)(tally&), tally& of) {
    std::atomic<bool> ended = false;
    std::thread worker([&] {
        disturb(of);
        ended = true;
    });
    while (!ended) co_await sleep_for(1ms);
    worker.join();
}

task<> under_load(cluster& db, tally& of, std::string name, void (*disturb)(tally&)) {
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int n = 0; n < 24; ++n)
            tasks.spawn([&](std::string key) -> task<> { return count(db, std::move(key), of); },
                        name + std::to_string(n));
        co_await sleep_for(200ms);
        co_await disturb_by(disturb, of);
        co_await sleep_for(300ms);
        of.over = true;
    });
}

void move_slots(tally&) {
    redis_cluster& nodes = shared_cluster();
    for (const char* key : {"load:0", "load:5", "load:11"}) {
        const unsigned slot = nodes.slot_of(key);
        redis_server& from = nodes.owner(slot);
        redis_server& to = another_master(nodes, from);
        nodes.move_slot(slot, to);
        nodes.move_slot(slot, from);
    }
}

void fail_over(tally&) {
    redis_cluster& nodes = shared_cluster();
    nodes.fail_over_to(replica_of(nodes, nodes.owner_of("over:0")));
}

void take_over_and_kill(tally& of) {
    redis_cluster& nodes = shared_cluster();
    redis_server& old = nodes.owner_of("kill:0");
    redis_server& replica = replica_of(nodes, old);
    replica.call({"CLUSTER", "FAILOVER", "TAKEOVER"});
    nodes.wait_until_whole();
    replica.kill();
    nodes.wait_until_whole();
    of.done_before = of.done;
    replica.restart();
    nodes.wait_until_whole();
}

OURO_TEST_REAL("slots move under load, and nobody loses anything or gets what is another's") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    tally of;
    co_await under_load(db, of, "load:", move_slots);
    CHECK(of.wrong == 0);
    CHECK(of.failed == 0);
    CHECK(of.done > 100);
    CHECK(db.figures().moved > 0);
    MESSAGE("done ", of.done.load(), ", MOVED ", db.figures().moved, ", ASK ", db.figures().asked);
    co_await db.close();
}

OURO_TEST_REAL("a replica takes over under load") {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    tally of;
    co_await under_load(db, of, "over:", fail_over);
    CHECK(of.wrong == 0);
    CHECK(of.done > 100);
    MESSAGE("done ", of.done.load(), ", failed ", of.failed, ", MOVED ", db.figures().moved);
    co_await db.close();
}

task<> master_killed() {
    redis_cluster& nodes = shared_cluster();
    auto db = co_await cluster::connect(url_of(nodes.node(0)));
    tally of{.may_forget = true};  // what had not reached the replica is lost, says Redis
    co_await under_load(db, of, "kill:", take_over_and_kill);
    CHECK(of.wrong == 0);
    CHECK(of.done > of.done_before);
    MESSAGE("done ", of.done.load(), ", failed ", of.failed, ", MOVED ", db.figures().moved);
    co_await db.close();
}

// Once: a node that was killed takes its time to be back.
TEST_CASE("a replica takes over without asking, and a master is killed under load") {
    block_on(master_killed());
}

}  // namespace
