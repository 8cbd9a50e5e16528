#include <ouro/kv/redis/cluster/pubsub.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using redis::cluster;
using redis::cluster_subscriber;
using redis::message;

namespace {

redis_cluster& shared() {
    static redis_cluster made;
    return made;
}

task<cluster> connected() {
    const std::string url = "redis://" + shared().node(0).address();
    co_return co_await cluster::connect(url);
}

task<std::string> next_of(cluster_subscriber& sub) {
    const std::optional<message> got = co_await timeout(30s, sub.next());
    if (!got) co_return "(end)";
    if (!got->is_published()) co_return "(" + std::string(to_string(got->kind())) + ")";
    co_return std::string(got->channel()) + ": " + std::string(got->payload());
}

/// Publishes until it is heard, which may take a while after something has moved.
task<> heard_again(cluster db, cluster_subscriber& sub, std::string channel) {
    for (int tries = 0;; ++tries) {
        const std::string text = std::to_string(tries);
        static_cast<void>(co_await as_result(db.spublish(channel, text)));
        co_await sleep_for(10ms);
        while (sub.waiting() > 0)
            if (co_await next_of(sub) == channel + ": " + text) co_return;
    }
}

std::vector<std::string> names_of(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back("channel " + std::to_string(i));
    return names;
}

}  // namespace

OURO_TEST_REAL("a slot that moves while its channel is given up costs no caller a reply") {
    redis_cluster& nodes = shared();
    redis_server& here = nodes.owner_of("chan");
    std::vector<std::string> mine;  // keys that `here` serves, in other slots
    redis_server* there = nullptr;
    for (int i = 0; mine.size() < 4 || !there; ++i) {
        const std::string key = "key" + std::to_string(i);
        if (&nodes.owner_of(key) != &here)
            there = &nodes.owner_of(key);
        else if (nodes.slot_of(key) != nodes.slot_of("chan") && mine.size() < 4)
            mine.push_back(key);
    }
    auto db = co_await redis::client::connect("redis://" + here.address());
    for (const std::string& key : mine) co_await db.set(key, "value of " + key);
    auto sub = db.subscriber();
    co_await sub.ssubscribe("chan");
    auto leaving = spawn(sub.sunsubscribe("chan"));
    co_await yield();  // it has been asked for, and leaves at the end of this turn
    nodes.move_slot(nodes.slot_of("chan"), *there);  // its news are in our socket by then
    co_await yield();
    auto check = [](redis::client on, std::string key) -> task<> {
        CHECK(co_await on.get(key) == "value of " + key);
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (const std::string& key : mine) tasks.spawn(check, db, key);
        co_return;
    });
    static_cast<void>(co_await as_result(leaving));
    co_await db.close();
    nodes.move_slot(nodes.slot_of("chan"), here);
}

OURO_TEST_REAL("shard channels are heard at the nodes that have their slots") {
    auto db = co_await connected();
    auto sub = db.subscriber();
    const std::vector<std::string> names = names_of(30);
    co_await sub.ssubscribe(names);
    CHECK(sub.topics() == 30);
    std::map<std::string, int> heard;
    for (const std::string& name : names) {
        const auto receivers = co_await db.spublish(name, "hello");
        CHECK(receivers == 1);
    }
    for (int i = 0; i < 30; ++i) ++heard[co_await next_of(sub)];
    CHECK(heard.size() == 30);
    co_await sub.sunsubscribe(names[0], names[1]);
    const auto nobody = co_await db.spublish(names[0], "hello");
    CHECK(nobody == 0);
    co_await sub.sunsubscribe_all();
    CHECK(sub.topics() == 0);
    co_await sub.close();
    CHECK(co_await next_of(sub) == "(end)");
    co_await db.close();
}

OURO_TEST_REAL("a channel follows its slot, and the gap is told") {
    auto db = co_await connected();
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a", "b", "c");
    const unsigned slot = shared().slot_of("a");
    redis_server& from = shared().owner(slot);
    redis_server* to = nullptr;
    for (std::size_t at = 0; at < shared().size() && !to; ++at) {
        redis_server& master = shared().owner(static_cast<unsigned>(at * 2730));
        if (&master != &from) to = &master;
    }
    REQUIRE(to);
    shared().move_slot(slot, *to);
    CHECK(co_await next_of(sub) == "(interrupted)");
    CHECK(co_await next_of(sub) == "(resumed)");
    const auto receivers = co_await db.spublish("a", "at its new home");
    CHECK(receivers == 1);
    CHECK(co_await next_of(sub) == "a: at its new home");
    shared().move_slot(slot, from);
    co_await heard_again(db, sub, "a");
    co_await heard_again(db, sub, "b");
    // Somebody whose table is old finds the way, too.
    auto other = db.subscriber();
    co_await other.ssubscribe("a");
    co_await heard_again(db, other, "a");
    co_await other.close();
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("when a replica takes its master's place, its channels are heard there") {
    auto db = co_await connected();
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a", "b", "c");
    redis_server& master = shared().owner_of("b");
    shared().fail_over_to(shared().replica_of(master));
    for (const char* name : {"a", "b", "c"}) co_await heard_again(db, sub, name);
    co_await sub.close();
    co_await db.close();
}
