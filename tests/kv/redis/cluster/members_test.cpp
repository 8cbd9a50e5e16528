// Joining a cluster, and asking one of its members.
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cluster;

namespace {

OURO_TEST("a cluster that cannot be joined names each seed, and why it did not help") {
    fake_cluster nodes(3);
    nodes[0].stop();
    nodes.instead = [](fake_node& at, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (said[0] != "CLUSTER") return {};
        if (at.number() == 1) return "-ERR This instance has cluster support disabled\r\n";
        return "*0\r\n";
    };
    const std::vector<std::string> seeds{nodes[0].url(), nodes[1].url(), nodes[2].url()};
    try {
        co_await cluster::connect(seeds);
        FAIL("it connected");
    } catch (const redis::error& failure) {
        const std::string what = failure.what();
        CAPTURE(what);
        CHECK(failure.code() == redis::errc::cluster_down);
        CHECK(what.find(nodes.at(0) + ": ") != std::string::npos);
        CHECK(what.find("onnection refused; " + nodes.at(1) +
                        ": ERR This instance has cluster support disabled; " + nodes.at(2) +
                        ": it knows of no node that serves a slot") != std::string::npos);
    }
    try {
        co_await cluster::connect(nodes[0].url());
        FAIL("it connected");
    } catch (const redis::error& failure) {
        const std::string what = failure.what();
        CAPTURE(what);
        CHECK(failure.code() == std::errc::connection_refused);
        CHECK(what.starts_with("redis cluster at " + nodes.at(0) + ": "));
    }
}

OURO_TEST("a member takes commands that block, on a connection of their own to it") {
    fake_cluster nodes(2);
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (said[0] != "BLPOP") return {};
        return "*2\r\n" + bulk(said[1]) + bulk("a job");
    };
    auto db = co_await cluster::connect(nodes.url());
    auto all = db.masters();
    REQUIRE(all.size() == 2);
    for (auto& member : all) {
        const auto popped = co_await member.blpop({"jobs"}, 50ms);  // whoever has its slot
        REQUIRE(popped);
        CHECK(popped->value == "a job");
    }
    for (int n = 0; n < 2; ++n) {
        CHECK(heard(nodes[n], "BLPOP") == 1);
        CHECK(nodes[n].connections == 2);
    }
    co_await db.close();
}

}  // namespace
