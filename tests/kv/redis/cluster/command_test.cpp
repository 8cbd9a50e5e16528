// Which commands a cluster takes, and where they go, beyond their keys.
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/script.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/redis/money.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using redis::cluster;
using testing::fake_cluster;
using testing::fake_node;
using testing::fake_peer;
using testing::heard;
using testing::key_of;
using testing::money;
using testing::words_said;

namespace {

OURO_TEST("what a decoder throws reaches its caller, and nobody else is harmed") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 1);
    co_await db.set(key, "abc");
    const int connections = nodes[1].connections;
    std::string seen;
    try {
        co_await db.command<money>("GET", key);
    } catch (const std::invalid_argument&) {
        seen = "invalid_argument";
    }
    CHECK(seen == "invalid_argument");
    try {
        static_cast<void>(co_await as_result(db.command<money>("GET", key)));
    } catch (const std::invalid_argument&) {
        seen = "invalid_argument, again";
    }
    CHECK(seen == "invalid_argument, again");
    CHECK(heard(nodes[1], "GET") == 2);  // it is no reason to ask again
    co_await db.set(key, "7");
    const money price = co_await db.command<money>("GET", key);
    CHECK(price.cents == 7);
    CHECK(nodes[1].connections == connections);
    co_await db.close();
}

OURO_TEST("what is not for a shared connection is refused, by whichever door") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    auto node = db.masters().front();
    auto batch = db.pipeline();
    auto all = db.transaction();
    for (const char* name : {"SELECT 0", "WAIT 1 10", "WAITAOF 1 0 10", "CLIENT ID", "MONITOR",
                             "CLIENT NO-TOUCH ON", "MY.COMMAND", "SUBSCRIBE a", "QUIT", "RESET"}) {
        CAPTURE(name);
        CHECK((co_await as_result(db.command(name))).error() == redis::errc::not_shareable);
        CHECK((co_await as_result(node.command(name))).error() == redis::errc::not_shareable);
        CHECK_THROWS_AS(batch.command(name), redis::error);
        CHECK_THROWS_AS(all.command(name), redis::error);
    }
    // By verb, too; and the error says what to do.
    try {
        redis::cluster_call<void> select = db.run<void>(redis::verb::select, {"1"});
        co_await select;
        FAIL("it was sent");
    } catch (const redis::error& refused) {
        CHECK(refused.code() == redis::errc::not_shareable);
        CHECK(refused.how_far() == net::fate::unsent);
        CHECK(std::string_view(refused.what()).find("lease") != std::string_view::npos);
    }
    CHECK((co_await as_result(db.wait(1, 10ms))).error() == redis::errc::not_shareable);
    for (int n = 0; n < 3; ++n) CHECK(nodes[n].heard.empty());
    co_await db.close();
}

OURO_TEST("a cursor is one node's") {
    fake_cluster nodes(2);
    nodes.replicas[0] = 1;
    auto db =
        co_await cluster::connect(nodes.url(), {.read_from = redis::read_preference::replicas});
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (!said[0].ends_with("SCAN")) return {};
        return "*2\r\n$1\r\n0\r\n*0\r\n";
    };
    CHECK((co_await as_result(db.scan_step("0"))).error() == redis::errc::not_shareable);
    auto batch = db.pipeline();
    CHECK_THROWS_AS(batch.scan_step("0"), redis::error);
    auto node = db.masters().front();
    CHECK((co_await node.scan_step("0")).found.empty());
    const std::string key = key_of(nodes, 0);
    for (int i = 0; i < 4; ++i) co_await db.command("SSCAN", {key, "0"});
    CHECK(heard(nodes[0], "SSCAN") == 4);
    co_await db.close();
}

OURO_TEST("a connection that is leased from the owner of a key writes there, and waits there") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        return said[0] == "WAIT" ? std::optional<std::string>(":1\r\n") : std::nullopt;
    };
    const std::string key = key_of(nodes, 1);
    auto mine = co_await db.owner_of(key).lease();
    co_await mine->set(key, "v");
    CHECK(co_await mine->wait(1, 100ms) == 1);
    CHECK(nodes[1].heard == std::vector<words_said>{{"SET", key, "v"}, {"WAIT", "1", "100"}});
    mine.release();
    co_await db.close();
}

OURO_TEST("those without a table entry find their way, once it is said what they do") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "MY.COMMAND") return {};
        if (at.number() == 2) return "+here\r\n";
        return "-MOVED 16000 " + nodes.at(2) + "\r\n";
    };
    const redis::reply got = co_await db.command("MY.COMMAND", {"x"}, {});
    CHECK(got.text() == "here");
    // With their key, they go there at once; in a pipeline, too.
    const std::string key = key_of(nodes, 2);
    const std::uint64_t moved = db.figures().moved;
    const int connections = nodes[2].connections;
    const redis::reply at_once = co_await db.command("MY.COMMAND", {key}, {.key = key});
    CHECK(at_once.text() == "here");
    auto batch = db.pipeline();
    auto piped = batch.command("MY.COMMAND", {key}, {.key = key});
    co_await batch.exec();
    CHECK(piped.get().text() == "here");
    CHECK(db.figures().moved == moved);
    CHECK(nodes[2].connections == connections);
    // One that blocks has a connection of its own.
    const redis::reply waited =
        co_await db.command("MY.COMMAND", {key}, {.blocks = true, .key = key});
    CHECK(waited.text() == "here");
    CHECK(nodes[2].connections == connections + 1);
    // A transaction keeps its slot.
    auto all = db.transaction();
    all.command("MY.COMMAND", {key}, {.key = key});
    CHECK_THROWS_AS(all.get(key_of(nodes, 0)), redis::error);
    co_await db.close();
}

/// Has the nodes know scripts by EVAL, and tells the digests of which node.
void know_scripts(fake_cluster& nodes, std::vector<int>& knowing) {
    nodes.instead = [&knowing](fake_node& at, const words_said& said,
                               fake_peer&) -> std::optional<std::string> {
        const bool known = std::find(knowing.begin(), knowing.end(), at.number()) != knowing.end();
        if (said[0] == "EVALSHA" && !known) return "-NOSCRIPT No matching script\r\n";
        if (said[0] == "EVAL") knowing.push_back(at.number());
        if (said[0] == "EVALSHA" || said[0] == "EVAL") return ":7\r\n";
        return said[0] == "SCRIPT" ? std::optional<std::string>("-NOPERM\r\n") : std::nullopt;
    };
}

OURO_TEST("a script needs the node of its key, and neither the others nor SCRIPT LOAD") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    std::vector<int> knowing;
    know_scripts(nodes, knowing);
    nodes[2].stop();
    redis::script seven("return 7");
    for (int i = 0; i < 3; ++i) CHECK(co_await seven.run<int>(db, key_of(nodes, 1)) == 7);
    CHECK(knowing == std::vector<int>{1});
    CHECK(heard(nodes[1], "EVALSHA") == 3);
    CHECK(heard(nodes[1], "EVAL") == 1);
    CHECK(nodes[0].heard.empty());
    co_await db.close();
}

OURO_TEST("a node that does not have the script gets it, also where any node will do") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    std::vector<int> knowing;
    know_scripts(nodes, knowing);
    redis::script seven("return 7");
    for (int i = 0; i < 6; ++i) CHECK(co_await seven.run<int>(db) == 7);
    std::sort(knowing.begin(), knowing.end());
    CHECK(knowing == std::vector<int>{0, 1});
    nodes[1].stop();
    for (int i = 0; i < 4; ++i) CHECK(co_await seven.run<int>(db) == 7);
    co_await db.close();
}

}  // namespace
