// A cluster that a test can tell what to say, on the simulated network.
#include <ouro/kv/redis/cluster.hpp>

#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

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

/// What a GET came to: the value, or the error.
task<std::string> outcome_of_get(cluster& db, std::string key) {
    const result<text> got = co_await as_result(db.get(key));
    co_return got ? got->value_or("nothing") : got.error().message();
}

std::string message(redis::errc code) { return make_error_code(code).message(); }

/// Until the client has seen that its connection to a node has ended.
task<> noticed(cluster& db, fake_node& gone) {
    const redis::node_endpoint where{"127.0.0.1", gone.port()};
    while (db.core()->map().at(where)->commands().is_connected()) co_await sleep_for(1ms);
}

OURO_TEST("commands go to the node of their slot") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    for (int n = 0; n < 3; ++n) {
        const std::string key = key_of(nodes, n);
        co_await db.set(key, key);
        const text got = co_await db.get(key);
        CHECK(got == key);
        CHECK(nodes[n].keys.size() == 1);
        CHECK(nodes[n].heard.size() == 2);
        CHECK(nodes[n].connections == 1);
    }
    CHECK(db.figures().moved == 0);
    co_await db.close();
}

OURO_TEST("MOVED is followed, heeded from then on, and makes the table be read again") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    nodes.owner[redis::slot_of(key)] = 2;
    co_await db.set(key, "1");
    CHECK(nodes[2].keys.at(key) == "1");
    CHECK(heard(nodes[0], "SET") == 1);
    const text got = co_await db.get(key);
    CHECK(got == "1");
    CHECK(heard(nodes[0], "GET") == 0);
    CHECK(db.figures().moved == 1);
    co_await sleep_for(1s);
    CHECK(db.figures().refreshes == 2);
    CHECK(nodes[2].topologies == 1);  // whoever was named is asked
    co_await db.close();
}

OURO_TEST("many MOVED make one refresh, and refreshes keep their distance") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    for (std::size_t slot = 0; slot < nodes.owner.size(); ++slot)
        nodes.owner[slot] = (nodes.owner[slot] + 1) % 3;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int n = 0; n < 50; ++n)
            tasks.spawn([&db](std::string key) -> task<> { co_await db.set(key, "x"); },
                        "key:" + std::to_string(n));
        co_return;
    });
    CHECK(db.figures().moved == 50);
    co_await sleep_for(200ms);
    CHECK(db.figures().refreshes <= 2);
    co_await sleep_for(10s);
    CHECK(db.figures().refreshes == 2);
    CHECK(db.slots().shards().size() == 3);
    co_await db.close();
}

OURO_TEST("the table is read anew now and then, without a reason") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url(), {.refresh_interval = 8s});
    co_await sleep_for(60s);
    CHECK(db.figures().refreshes >= 8);
    CHECK(db.figures().refreshes <= 11);
    CHECK(db.figures().changes == 1);  // the first
    co_await db.close();
}

OURO_TEST("ASK is followed with ASKING on the same connection, and changes nothing") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    nodes.begin_move(key, 1);
    nodes[1].keys[key] = "there";
    for (int n = 0; n < 20; ++n) {
        const std::string got = co_await outcome_of_get(db, key);
        CHECK(got == "there");
    }
    CHECK(heard(nodes[0], "GET") == 20);
    CHECK(heard(nodes[1], "ASKING") == 20);
    CHECK(db.figures().asked == 20);
    CHECK(db.figures().moved == 0);
    CHECK(db.figures().changes == 1);
    nodes.finish_move(key);
    const std::string got = co_await outcome_of_get(db, key);
    CHECK(got == "there");
    CHECK(db.figures().moved == 1);
    co_await db.close();
}

OURO_TEST("ASKING stands right in front of its command, whoever else asks at the time") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string moving = key_of(nodes, 0);
    nodes.begin_move(moving, 1);
    nodes[1].keys[moving] = "there";
    const std::string other = key_of(nodes, 1);
    nodes[1].keys[other] = "here";
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int n = 0; n < 30; ++n) {
            tasks.spawn(
                [&db](std::string key, std::string wanted) -> task<> {
                    for (int again = 0; again < 10; ++again) {
                        const std::string got = co_await outcome_of_get(db, key);
                        CHECK(got == wanted);
                    }
                },
                n % 2 ? moving : other, n % 2 ? "there" : "here");
        }
        co_return;
    });
    const auto& said = nodes[1].heard;
    for (std::size_t at = 0; at < said.size(); ++at)
        if (said[at][0] == "ASKING") CHECK(said.at(at + 1)[1] == moving);
    co_await db.close();
}

OURO_TEST("redirections that lead nowhere end") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url(), {.redirects_max = 3});
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET") return {};
        return "-MOVED " + std::to_string(redis::slot_of(said[1])) + " " +
               nodes.at(1 - at.number()) + "\r\n";
    };
    const std::string key = key_of(nodes, 0);
    const std::string got = co_await outcome_of_get(db, key);
    CHECK(got == message(redis::errc::redirected_too_often));
    CHECK(heard(nodes[0], "GET") == 2);
    CHECK(heard(nodes[1], "GET") == 2);
    try {
        co_await db.get(key);
        FAIL("it was answered");
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::redirected_too_often);
        CHECK(failure.words().starts_with("MOVED "));
        CHECK(failure.how_far() == net::fate::answered);
    }
    co_await db.close();
}

OURO_TEST("a node that sends on to itself is asked on another connection") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        // The connections of before lead to somebody else, who knows better.
        if (said[0] != "GET" || at.connections > 1) return {};
        return "-MOVED " + std::to_string(redis::slot_of(said[1])) + " " + nodes.at(0) + "\r\n";
    };
    const std::string got = co_await outcome_of_get(db, "a");
    CHECK(got == "nothing");
    CHECK(nodes[0].connections == 2);
    co_await db.close();
}

OURO_TEST("a redirection may leave out the host") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    const std::string slot = std::to_string(redis::slot_of(key));
    const std::string port = std::to_string(nodes[1].port());
    for (const std::string& where : {":" + port, "?:" + port}) {
        nodes.owner[redis::slot_of(key)] = 1;
        bool told = false;
        nodes.instead = [&](fake_node& at, const words_said& said,
                            fake_peer&) -> std::optional<std::string> {
            if (said[0] != "GET" || at.number() != 0) return {};
            told = true;
            return "-MOVED " + slot + " " + where + "\r\n";
        };
        const std::string got = co_await outcome_of_get(db, key);
        CHECK(got == "nothing");
        CHECK(told);
        nodes.instead = {};
        nodes.owner[redis::slot_of(key)] = 0;
        co_await db.refresh();
    }
    co_await db.close();
}

OURO_TEST("a broken redirection is the answer") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET") return {};
        return "-MOVED 16384 127.0.0.1:1\r\n";
    };
    const std::string got = co_await outcome_of_get(db, "a");
    CHECK(got == message(redis::errc::moved));
    CHECK(heard(nodes[0], "GET") == 1);
    co_await db.close();
}

OURO_TEST("what passes is waited for: TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN, READONLY") {
    for (const std::string word :
         {"TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY"}) {
        fake_cluster nodes(1);
        auto db = co_await cluster::connect(nodes.url());
        int left = 3;
        nodes.instead = [&](fake_node&, const words_said& said,
                            fake_peer&) -> std::optional<std::string> {
            if (said[0] != "SET" || left-- == 0) return {};
            return "-" + word + " later\r\n";
        };
        const time_point before = clock::now();
        co_await db.set("a", "1");
        CHECK(clock::now() - before >= 20ms);
        CHECK(clock::now() - before < 1s);
        CHECK(heard(nodes[0], "SET") == 4);
        co_await db.close();
    }
}

OURO_TEST("MOVED and ASK are followed without a pause") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 0);
    co_await db.set(key_of(nodes, 1), "1");  // is connected
    co_await db.set(key_of(nodes, 0), "1");
    nodes.owner[redis::slot_of(key)] = 1;
    const time_point before = clock::now();
    co_await db.set(key, "2");
    CHECK(clock::now() - before < 10ms);
    CHECK(db.figures().waits == 0);
    co_await db.close();
}

OURO_TEST("what does not pass is told with the server's words when time is up") {
    fake_cluster nodes(1);
    auto db =
        co_await cluster::connect(nodes.url(), {.link = {.requests = {.request_timeout = 2s}}});
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET") return {};
        return "-CLUSTERDOWN Hash slot not served\r\n";
    };
    const time_point before = clock::now();
    try {
        co_await db.get("a");
        FAIL("it was answered");
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::cluster_down);
        CHECK(failure.words() == "CLUSTERDOWN Hash slot not served");
    }
    CHECK(clock::now() - before >= 2s);
    CHECK(clock::now() - before < 3s);
    CHECK(heard(nodes[0], "GET") < 20);
    co_await db.close();
}

OURO_TEST("other errors are the answer, at once") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET") return {};
        return "-WRONGTYPE no\r\n";
    };
    const std::string got = co_await outcome_of_get(db, "a");
    CHECK(got == message(redis::errc::wrong_type));
    CHECK(heard(nodes[0], "GET") == 1);
    co_await db.close();
}

OURO_TEST("a node that does not keep its connections is asked less and less often") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 1);
    co_await db.get(key);
    nodes.instead = [&](fake_node& at, const words_said& said, fake_peer&) -> text {
        if (at.number() == 1 && said[0] == "GET") return "close";
        return {};
    };
    const int before = nodes[1].connections;
    const time_point until = clock::now() + 10s;
    int failed = 0;
    while (clock::now() < until) {
        failed += co_await outcome_of_get(db, key) != key;
        co_await sleep_for(1ms);
    }
    CHECK(failed > 0);
    CHECK(nodes[1].connections - before < 20);
    nodes.instead = nullptr;
    co_await sleep_for(6s);
    co_await db.set(key, "there");
    CHECK(co_await outcome_of_get(db, key) == "there");
    co_await db.close();
}

OURO_TEST("a node that is gone is noticed, and its slots are looked for") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes[1].url());
    const std::string key = key_of(nodes, 0);
    co_await db.set(key, "1");
    nodes[0].stop();
    join_handle<std::string> reading = spawn(outcome_of_get(db, key));
    co_await sleep_for(600ms);
    CHECK(!reading.finished());
    for (int& owner : nodes.owner)  // a failover
        if (owner == 0) owner = 2;
    nodes[2].keys[key] = "1";
    const time_point before = clock::now();
    const std::string got = co_await reading;
    CHECK(got == "1");
    CHECK(clock::now() - before < 1s);
    CHECK(db.slots().shards().size() == 2);
    co_await db.close();
}

OURO_TEST("an idle connection that has died costs a reconnection, and no error") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 1);
    co_await db.set(key, "1");
    nodes[1].stop();
    co_await noticed(db, nodes[1]);
    nodes[1].start();
    co_await db.set(key, "2");
    const std::string got = co_await outcome_of_get(db, key);
    CHECK(got == "2");
    co_await db.close();
}

OURO_TEST("a write whose answer was lost is not repeated, a read is") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    int left = 1;
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if ((said[0] != "INCR" && said[0] != "GET") || left-- <= 0) return {};
        return "close";
    };
    try {
        co_await db.incr("n");
        FAIL("it was answered");
    } catch (const redis::error& failure) {
        CHECK(failure.how_far() == net::fate::unanswered);
    }
    CHECK(heard(nodes[0], "INCR") == 1);
    left = 1;
    const std::string got = co_await outcome_of_get(db, "n");
    CHECK(got == "nothing");
    CHECK(heard(nodes[0], "GET") == 2);
    left = 100;
    const std::string none = co_await outcome_of_get(db, "n");
    CHECK(none != "nothing");
    CHECK(heard(nodes[0], "GET") == 5);
    co_await db.close();
}

OURO_TEST("writes are repeated where the caller has said so") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url(), {.repeat_writes = true});
    int left = 1;
    nodes.instead = [&](fake_node&, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "SET" || left-- <= 0) return {};
        return "close";
    };
    co_await db.set("a", "1");
    CHECK(heard(nodes[0], "SET") == 2);
    co_await db.close();
}

OURO_TEST("a node that takes and never answers is given up, and others are not held up") {
    fake_cluster nodes(2);
    auto db =
        co_await cluster::connect(nodes.url(), {.link = {.requests = {.request_timeout = 1s}}});
    const std::string slow = key_of(nodes, 1);
    const std::string quick = key_of(nodes, 0);
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET" || at.number() != 1) return {};
        return "";
    };
    const time_point before = clock::now();
    join_handle<std::string> waiting = spawn(outcome_of_get(db, slow));
    const std::string got = co_await outcome_of_get(db, quick);
    CHECK(got == "nothing");
    CHECK(clock::now() - before < 100ms);
    const std::string none = co_await waiting;
    CHECK(none == ouro::make_error_code(ouro::errc::timed_out).message());
    CHECK(clock::now() - before < 2s);
    co_await db.close();
}

OURO_TEST("the seeds are asked when all known nodes are gone") {
    fake_cluster nodes(3);
    const std::string url = nodes[2].url();
    for (int& owner : nodes.owner) owner = owner % 2;  // the seed itself serves nothing
    auto db = co_await cluster::connect(url);
    CHECK(db.slots().shards().size() == 2);
    co_await db.set("a", "1");
    nodes[0].stop();
    nodes[1].stop();
    for (int& owner : nodes.owner) owner = 2;
    // A write that leaves before that may have been done, and is not repeated.
    co_await noticed(db, nodes[0]);
    co_await noticed(db, nodes[1]);
    co_await db.set("a", "2");
    CHECK(nodes[2].keys.at("a") == "2");
    CHECK(db.slots().shards().size() == 1);
    co_await db.close();
}

OURO_TEST("connecting tries one seed after the other, and tells the last failure") {
    fake_cluster nodes(2);
    const std::string dead = "redis://127.0.0.1:1";
    auto db = co_await cluster::connect({dead, nodes.url()});
    CHECK(db.slots().covered() == redis::slot_count);
    co_await db.close();

    const auto none = co_await as_result(cluster::connect(dead));
    CHECK(!none);
    for (const char* url : {"http://a", "redis://a/1", "unix:/a"}) {
        const auto bad = co_await as_result(cluster::connect(url));
        CHECK(bad.error() == redis::errc::bad_url);
    }
}

OURO_TEST("a server that is no cluster says so") {
    fake_cluster nodes(1);
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (said[0] != "CLUSTER") return {};
        return "-ERR This instance has cluster support disabled\r\n";
    };
    try {
        co_await cluster::connect(nodes.url());
        FAIL("it connected");
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::server_error);
        CHECK(failure.words() == "ERR This instance has cluster support disabled");
    }
}

OURO_TEST("a node that was reset does not make the others forgotten") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node& at, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (said[0] != "CLUSTER" || at.number() != 0) return {};
        return "*0\r\n";
    };
    for (int n = 0; n < 10; ++n) {
        const bool told = co_await db.refresh();
        CHECK(told);
    }
    CHECK(db.slots().shards().size() == 2);
    co_await db.close();
}

OURO_TEST("sessions of nodes that left are closed when the last reply has come") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string key = key_of(nodes, 1);
    nodes[1].keys[key] = "last";
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "GET" || at.number() != 1 || nodes.gate.is_set()) return {};
        return "hold";
    };
    join_handle<std::string> waiting = spawn(outcome_of_get(db, key));
    co_await settle();
    const redis::node_endpoint where{"127.0.0.1", nodes[1].port()};
    std::weak_ptr<redis::session> line = db.core()->map().at(where)->commands().present();
    CHECK(!line.expired());
    for (int& owner : nodes.owner) owner = 0;
    const bool told = co_await db.refresh();
    CHECK(told);
    CHECK(db.slots().shards().size() == 1);
    co_await sleep_for(100ms);
    CHECK(!line.expired());  // somebody waits for a reply
    for (int& owner : nodes.owner) owner = 1;
    nodes.gate.set();
    const std::string got = co_await waiting;
    CHECK(got == "last");
    co_await sleep_for(100ms);
    CHECK(line.expired());
    co_await db.close();
}

OURO_TEST("closing tells those who wait") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        return said[0] == "GET" ? std::optional<std::string>("") : std::nullopt;
    };
    join_handle<std::string> waiting = spawn(outcome_of_get(db, "a"));
    co_await settle();
    co_await db.close();
    const std::string got = co_await waiting;
    CHECK(got == ouro::make_error_code(ouro::errc::closed).message());
    const std::string later = co_await outcome_of_get(db, "a");
    CHECK(later == ouro::make_error_code(ouro::errc::closed).message());
}

OURO_TEST("a command for all masters is, and their answers are one") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node& at, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        if (said[0] == "DBSIZE") return ":" + std::to_string(at.number() + 1) + "\r\n";
        if (said[0] == "KEYS") return "*1\r\n" + testing::bulk(std::to_string(at.number()));
        return {};
    };
    const std::int64_t size = co_await db.dbsize();
    CHECK(size == 6);
    std::vector<std::string> keys = co_await db.keys("*");
    std::sort(keys.begin(), keys.end());
    CHECK(keys == std::vector<std::string>{"0", "1", "2"});
    co_await db.close();
}

OURO_TEST("commands without a key go to every master in turn") {
    fake_cluster nodes(3);
    auto db = co_await cluster::connect(nodes.url());
    nodes.instead = [](fake_node&, const words_said& said,
                       fake_peer&) -> std::optional<std::string> {
        return said[0] == "TIME" ? std::optional<std::string>("*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
                                 : std::nullopt;
    };
    for (int n = 0; n < 9; ++n) {
        const redis::reply got = co_await db.command("TIME");
        CHECK(got.size() == 2);
    }
    for (int n = 0; n < 3; ++n) CHECK(heard(nodes[n], "TIME") == 3);
    co_await db.close();
}

}  // namespace
