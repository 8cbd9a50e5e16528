// Pipelines, commands that are split, transactions and watches on a cluster that can be told what
// to say, on the simulated network.
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using redis::cluster;
using testing::fake_cluster;
using testing::fake_node;
using testing::fake_peer;
using testing::heard;
using testing::key_of;
using testing::words_said;

namespace {

using text = std::optional<std::string>;
using answer = std::optional<std::string>;

OURO_TEST("a pipeline is split by node, and each handle has its own reply") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    auto batch = db.pipeline();
    std::vector<redis::handle<text>> values;
    for (int n = 0; n < 60; ++n) {
        const std::string key = "key:" + std::to_string(n);
        batch.set(key, std::to_string(n));
        values.push_back(batch.get(key));
    }
    co_await batch.exec();
    for (int n = 0; n < 60; ++n)
        CHECK(values[static_cast<std::size_t>(n)].get() == std::to_string(n));
    for (int n = 0; n < 3; ++n) CHECK(nodes[n].connections == 1);
    co_await batch.exec();
    CHECK(values[7].get() == "7");
    batch.clear();
    co_await batch.exec();
    CHECK(values[7].as_result().error() == redis::errc::batch_ended);
    co_await db.close();
}

OURO_TEST("of a pipeline, only what was sent on goes on") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string stays = key_of(nodes, 0, 0);
    const std::string moved = key_of(nodes, 0, 1);
    const std::string asked = key_of(nodes, 0, 2);
    const std::string wrong = key_of(nodes, 0, 3);
    nodes.owner[redis::slot_of(moved)] = 1;
    nodes.begin_move(asked, 2);
    nodes.instead = [&](fake_node&, const words_said& said, fake_peer&) -> answer {
        return said.size() > 1 && said[1] == wrong ? answer("-WRONGTYPE no\r\n") : answer();
    };
    auto batch = db.pipeline();
    auto a = batch.incr(stays);
    auto b = batch.incr(moved);
    auto c = batch.incr(asked);
    auto d = batch.incr(wrong);
    auto e = batch.incr(asked);
    auto f = batch.incr(moved);
    co_await batch.exec();
    CHECK(a.get() == 1);
    CHECK(b.get() == 1);
    CHECK(c.get() == 1);
    CHECK(d.as_result().error() == redis::errc::wrong_type);
    CHECK(e.get() == 2);
    CHECK(f.get() == 2);
    CHECK(heard(nodes[0], "INCR") == 6);
    CHECK(heard(nodes[1], "INCR") == 2);
    CHECK(heard(nodes[2], "INCR") == 2);
    CHECK(heard(nodes[2], "ASKING") == 2);
    co_await db.close();
}

OURO_TEST("what must wait in a pipeline does not hold up what was moved") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string waits = key_of(nodes, 0);
    const std::string moved = key_of(nodes, 0, 1);
    nodes.owner[redis::slot_of(moved)] = 1;
    int left = 4;
    time_point moved_at;
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> answer {
        if (said[0] != "INCR") return {};
        if (said[1] == moved && at.number() == 1) moved_at = clock::now();
        if (said[1] == waits && left-- > 0) return "-CLUSTERDOWN later\r\n";
        return {};
    };
    const time_point before = clock::now();
    auto batch = db.pipeline();
    auto first = batch.incr(waits);
    auto second = batch.incr(moved);
    co_await batch.exec();
    CHECK(first.get() == 1);
    CHECK(second.get() == 1);
    CHECK(moved_at - before < 10ms);
    CHECK(clock::now() - before > 20ms);
    co_await db.close();
}

OURO_TEST("a pipeline whose node is lost tells each command how far it came") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string here = key_of(nodes, 0);
    const std::string lost = key_of(nodes, 1);
    nodes.instead = [&](fake_node&, const words_said& said, fake_peer&) -> answer {
        return said[0] == "INCR" && said[1] == lost ? answer("close") : answer();
    };
    auto batch = db.pipeline();
    auto a = batch.set(here, "1");
    auto b = batch.set(lost, "1");
    auto c = batch.incr(lost);
    auto d = batch.incr(lost);
    try {
        co_await batch.exec();
        FAIL("it succeeded");
    } catch (const redis::error& failure) {
        CHECK(failure.how_far() == net::fate::unanswered);
    }
    CHECK(a.as_result());
    CHECK(b.as_result());
    CHECK(!c.as_result());
    CHECK(!d.as_result());
    CHECK(heard(nodes[1], "INCR") == 1);
    co_await db.close();
}

OURO_TEST("commands with keys of many slots are split, and answered in the caller's order") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    std::map<std::string, std::string> values;
    std::vector<std::string> keys;
    for (int n = 0; n < 40; ++n) {
        keys.push_back("key:" + std::to_string(n));
        values[keys.back()] = std::to_string(n);
    }
    co_await db.mset(values);
    keys.insert(keys.begin() + 5, "none");
    const std::vector<text> got = co_await db.mget(keys);
    REQUIRE(got.size() == 41);
    CHECK(!got[5]);
    for (int n = 0; n < 40; ++n)
        CHECK(got[static_cast<std::size_t>(n < 5 ? n : n + 1)] == std::to_string(n));
    const std::int64_t there = co_await db.exists(keys);
    CHECK(there == 40);
    const std::int64_t removed = co_await db.del(keys);
    CHECK(removed == 40);
    const std::int64_t left = co_await db.exists(keys);
    CHECK(left == 0);
    co_await db.close();
}

OURO_TEST("the parts of a split command are redirected each for itself, in a pipeline, too") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string a = key_of(nodes, 0);
    const std::string b = key_of(nodes, 0, 1);
    const std::string c = key_of(nodes, 1);
    co_await db.mset({{a, "1"}, {b, "2"}, {c, "3"}});
    nodes.owner[redis::slot_of(b)] = 2;
    nodes[2].keys[b] = "moved";
    const std::vector<text> got = co_await db.mget({c, b, a});
    CHECK(got == std::vector<text>{"3", "moved", "1"});
    CHECK(db.figures().moved == 1);
    nodes.owner[redis::slot_of(c)] = 2;
    nodes[2].keys[c] = "gone";
    auto batch = db.pipeline();
    auto all = batch.mget({a, b, c});
    auto one = batch.get(a);
    co_await batch.exec();
    CHECK(all.get() == std::vector<text>{"1", "moved", "gone"});
    CHECK(one.get() == "1");
    co_await db.close();
}

OURO_TEST("a part that fails is the answer of the whole") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string a = key_of(nodes, 0);
    const std::string b = key_of(nodes, 1);
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> answer {
        return said[0] == "MSET" && at.number() == 1 ? answer("-OOM no\r\n") : answer();
    };
    const auto set = co_await as_result(db.mset({{a, "1"}, {b, "2"}}));
    CHECK(set.error() == redis::errc::out_of_memory);
    CHECK(nodes[0].keys.count(a) == 1);
    co_await db.close();
}

OURO_TEST("several keys of a slot that moves are asked for until they are in one place") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string tag = "{" + key_of(nodes, 0) + "}";
    co_await db.mset({{tag + "a", "1"}, {tag + "b", "2"}});
    nodes.begin_move(tag, 1);
    nodes[1].keys[tag + "a"] = "1";
    nodes[0].keys.erase(tag + "a");
    auto get_all = [](cluster& from, std::string in) -> task<std::vector<text>> {
        co_return co_await from.mget({in + "a", in + "b"});
    };
    join_handle<std::vector<text>> reading = spawn(get_all(db, tag));
    co_await sleep_for(200ms);
    CHECK(!reading.finished());
    CHECK(db.figures().waits > 2);
    nodes[1].keys[tag + "b"] = "2";
    nodes[0].keys.erase(tag + "b");
    const std::vector<text> got = co_await reading;
    CHECK(got == std::vector<text>{"1", "2"});
    co_await db.close();
}

OURO_TEST("a transaction runs on the node of its slot, and goes on as a whole") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    auto tx = db.transaction();
    auto first = tx.incr(key);
    auto second = tx.incr("{" + key + "}2");
    co_await tx.exec();
    CHECK(first.get() == 1);
    CHECK(second.get() == 1);

    nodes.owner[redis::slot_of(key)] = 1;  // MOVED
    co_await tx.exec();
    CHECK(first.get() == 1);
    CHECK(second.get() == 1);
    CHECK(heard(nodes[1], "EXEC") == 1);
    CHECK(nodes[0].keys.at(key) == "1");

    nodes.begin_move(key, 2);  // ASK for all of it
    nodes[1].keys.clear();
    co_await tx.exec();
    CHECK(first.get() == 1);
    CHECK(heard(nodes[2], "ASKING") == 1);
    CHECK(nodes[2].keys.at(key) == "1");
    CHECK(nodes[1].keys.empty());
    co_await db.close();
}

OURO_TEST("keys of several slots in a transaction are refused before anything is sent") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    auto tx = db.transaction();
    tx.incr("{a}1");
    try {
        tx.incr("{b}1");
        FAIL("it was taken");
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::cross_slot);
        CHECK(failure.how_far() == net::fate::unsent);
    }
    CHECK(tx.size() == 1);
    const auto nothing = [](redis::connection&, redis::transaction&) -> task<> { co_return; };
    const auto crossed = co_await as_result(redis::with_watch(db, {"a", "b"}, nothing));
    CHECK(crossed.error() == redis::errc::cross_slot);
    for (int n = 0; n < 3; ++n) CHECK(nodes[n].heard.empty());
    co_await db.close();
}

OURO_TEST("a command that is refused in a transaction is told, and nothing is done") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node&, const words_said& said, fake_peer& peer) -> answer {
        if (said[0] != "GET") return {};
        peer.broken = true;
        return "-ERR wrong number of arguments\r\n";
    };
    auto tx = db.transaction();
    tx.incr("{a}");
    tx.get("{a}");
    try {
        co_await tx.exec();
        FAIL("it was done");
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::exec_aborted);
        CHECK(failure.words() == "ERR wrong number of arguments");
    }
    CHECK(nodes[0].keys.empty());
    co_await db.close();
}

OURO_TEST("a MULTI that a node refuses makes the transaction fail, with the node's words") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node&, const words_said& said, fake_peer&) -> answer {
        if (said[0] == "MULTI") return "-NOPERM no permission to run 'multi'\r\n";
        if (said[0] == "EXEC") return "-ERR EXEC without MULTI\r\n";
        return "$1\r\nx\r\n";
    };
    auto tx = db.transaction();
    const auto got = tx.get("a");
    const auto refused = co_await as_result(tx.exec());
    CHECK(refused.error() == redis::errc::no_permission);
    CHECK(got.as_result().error() == redis::errc::no_permission);
    co_await db.close();
}

OURO_TEST("a watch is done over when a key was changed, and where the slot is by then") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    int runs = 0;
    int conflicts = 2;
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer& peer) -> answer {
        if (said[0] == "UNWATCH") return "+OK\r\n";
        if (said[0] == "WATCH" && nodes.owner_of(said[1]).number() == at.number()) return "+OK\r\n";
        if (said[0] != "EXEC" || conflicts-- <= 0) return {};
        peer.queued.reset();
        return "_\r\n";
    };
    auto body = [&](redis::connection& mine,
                    redis::transaction& tx) -> task<redis::handle<std::int64_t>> {
        ++runs;
        const text was = co_await mine.get(key);
        CHECK(!was);
        co_return tx.incr(key);
    };
    const std::int64_t now = co_await redis::with_watch(db, {key}, body);
    CHECK(now == 1);
    CHECK(runs == 3);

    nodes.owner[redis::slot_of(key)] = 1;
    const std::int64_t there = co_await redis::with_watch(db, {key}, body);
    CHECK(there == 1);
    CHECK(nodes[1].keys.at(key) == "1");
    co_await db.close();
}

OURO_TEST("reads go to replicas, and to the master when these cannot answer") {
    fake_cluster nodes(4);
    for (int& owner : nodes.owner) owner = owner % 2;
    nodes.replicas = {{0, 2}, {1, 3}};
    auto db =
        co_await cluster::connect(nodes.url(), {.read_from = redis::read_preference::replicas});
    const std::string key = key_of(nodes, 0);
    bool loading = false;
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> answer {
        if (at.number() < 2 || said[0] != "GET") return {};
        return loading ? "-LOADING later\r\n" : "$7\r\nreplica\r\n";
    };
    co_await db.set(key, "master");
    CHECK(nodes[0].keys.count(key) == 1);
    const text read = co_await db.get(key);
    CHECK(read == "replica");
    loading = true;
    const text fallen = co_await db.get(key);
    CHECK(fallen == "master");
    loading = false;
    nodes[2].stop();
    for (int n = 0; n < 3; ++n) {
        const text left = co_await db.get(key);
        CHECK(left == "master");
    }
    CHECK(db.figures().waits == 0);
    co_await db.close();
}

OURO_TEST("reads go to whoever is nearest") {
    fake_cluster nodes(2);
    for (int& owner : nodes.owner) owner = 0;
    nodes.replicas = {{0, 1}};
    auto db =
        co_await cluster::connect(nodes.url(), {.read_from = redis::read_preference::nearest});
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> answer {
        return said[0] == "GET" && at.number() == 1 ? answer("$7\r\nreplica\r\n") : answer();
    };
    co_await db.set("a", "master");
    auto& map = db.core()->map();
    for (int n = 0; n < 100; ++n) {
        map.at({"127.0.0.1", nodes[0].port()})->measured(5ms);
        map.at({"127.0.0.1", nodes[1].port()})->measured(1ms);
    }
    const text near = co_await db.get("a");
    CHECK(near == "replica");
    for (int n = 0; n < 100; ++n) map.at({"127.0.0.1", nodes[1].port()})->measured(9ms);
    const text far = co_await db.get("a");
    CHECK(far == "master");
    co_await db.close();
}

OURO_TEST("a command that blocks has a connection of its own, and follows its key") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> answer {
        if (said[0] != "BLPOP") return {};
        if (nodes.owner_of(key).number() != at.number())
            return "-MOVED " + std::to_string(redis::slot_of(key)) + " " + nodes.at(1) + "\r\n";
        return nodes.gate.is_set() ? "*2\r\n" + testing::bulk(key) + testing::bulk("x") : "hold";
    };
    auto pop = [](cluster& from, std::string list) -> task<std::string> {
        const redis::reply got = co_await from.command("BLPOP", {list, 0});
        co_return std::string(got[1].text());
    };
    join_handle<std::string> waiting = spawn(pop(db, key));
    co_await sleep_for(20s);  // longer than any other request may take
    CHECK(!waiting.finished());
    const text others = co_await db.get(key);
    CHECK(!others);
    nodes.owner[redis::slot_of(key)] = 1;
    nodes.gate.set();
    const std::string got = co_await waiting;
    CHECK(got == "x");
    CHECK(heard(nodes[1], "BLPOP") == 1);
    co_await db.close();
}

// Anywhere: whatever is cancelled or cut, nothing is left behind and nobody hangs.

task<> everything(cluster& db, std::string key) {
    co_await db.set(key, "1");
    const std::vector<text> some = co_await db.mget({key, "b", "c"});
    auto batch = db.pipeline();
    batch.set(key, "2");
    batch.get("b");
    batch.mget({"c", "d"});
    co_await batch.exec();
    auto tx = db.transaction();
    tx.incr(key);
    co_await tx.exec();
    auto body = [](redis::connection&, redis::transaction& queued) -> task<> {
        queued.incr("{b}watched");
        co_return;
    };
    co_await redis::with_watch(db, {"{b}watched"}, body);
}

void let_watch(fake_cluster& nodes) {
    nodes.instead = [](fake_node&, const words_said& said, fake_peer&) -> answer {
        return said[0] == "WATCH" || said[0] == "UNWATCH" ? answer("+OK\r\n") : answer();
    };
}

task<> all_of_it() {
    fake_cluster nodes(2);
    let_watch(nodes);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    nodes.owner[redis::slot_of(key)] = 1;
    nodes.begin_move(key, 0);
    co_await everything(db, key);
    co_await db.close();
}

TEST_CASE("it can be cancelled at every suspension") {
    const auto report = cancel_everywhere(all_of_it);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 50);
}

OURO_TEST("a connection may end behind every reply") {
    for (int cut = 0; cut < 30; ++cut) {
        fake_cluster nodes(2);
        int left = cut;
        nodes.instead = [&](fake_node&, const words_said& said, fake_peer&) -> answer {
            if (left-- == 0) return "close";
            return said[0] == "WATCH" || said[0] == "UNWATCH" ? answer("+OK\r\n") : answer();
        };
        auto connecting = cluster::connect(nodes.url());
        result<cluster> db = co_await as_result(std::move(connecting));
        if (!db) {
            CHECK(cut == 0);
            continue;
        }
        const result<void> done = co_await as_result(everything(*db, "a"));
        if (!done) CHECK(done.error().category() != redis::category());
        const text still = co_await db->get("a");
        CHECK(!(still == "0"));
        co_await db->close();
    }
}

}  // namespace
