// A cluster that a test can tell what to say, on the simulated network.
#include <ouro/kv/redis/cluster.hpp>

#include <ouro/kv/redis/script.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/redis/fake_cluster.hpp>

#include <algorithm>
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

OURO_TEST("TRYAGAIN behind ASK is waited for where it was said, for as long as there is time") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string tag = "{" + key_of(nodes, 0) + "}";
    const std::string a = tag + "a", b = tag + "b";
    nodes.begin_move(a, 1);
    auto finish = [](fake_cluster& of, std::string key) -> task<> {
        co_await sleep_for(3s);  // most of the time that a command has
        of.finish_move(key);
    };
    auto moving = spawn(finish(nodes, a));
    const time_point before = clock::now();
    co_await db.mset({{a, "1"}, {b, "2"}});
    CHECK(clock::now() - before >= 3s);
    CHECK(nodes[1].keys.at(b) == "2");
    CHECK(db.figures().asked == 1);
    CHECK(heard(nodes[0], "MSET") == 1);
    CHECK(heard(nodes[1], "MSET") > 5);
    CHECK(heard(nodes[1], "MSET") < 30);  // its pauses grow
    CHECK(heard(nodes[1], "ASKING") == heard(nodes[1], "MSET"));
    co_await moving;
    co_await db.close();
}

OURO_TEST("TRYAGAIN that does not pass is told as such, and not as too many redirections") {
    for (const bool in_transaction : {false, true}) {
        fake_cluster nodes(2);
        auto db = co_await cluster::connect(nodes.url(), {.requests = {.request_timeout = 1s}});
        const std::string tag = "{" + key_of(nodes, 0) + "}";
        nodes.begin_move(tag, 1);
        std::error_code why;
        if (in_transaction) {
            auto all = db.transaction();
            all.mset({{tag + "a", "1"}, {tag + "b", "2"}});
            why = (co_await as_result(all.exec())).error();
        } else {
            why = (co_await as_result(db.mset({{tag + "a", "1"}, {tag + "b", "2"}}))).error();
        }
        CHECK(why == redis::errc::try_again);
        CHECK(db.figures().asked == 1);
        co_await db.close();
    }
}

OURO_TEST("a move that is called off while TRYAGAIN is waited for leads back") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url());
    const std::string tag = "{" + key_of(nodes, 0) + "}";
    nodes.begin_move(tag, 1);
    auto call_off = [](fake_cluster& of) -> task<> {
        co_await sleep_for(500ms);
        of.moving.clear();
    };
    auto moving = spawn(call_off(nodes));
    co_await db.mset({{tag + "a", "1"}, {tag + "b", "2"}});
    CHECK(nodes[0].keys.size() == 2);
    co_await moving;
    co_await db.close();
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
    auto db = co_await cluster::connect(nodes.url(), {.requests = {.request_timeout = 2s}});
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

OURO_TEST("what was sent once is not told to be unsent when its repetition was not sent") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(
        nodes.url(), {.repeat_writes = true, .requests = {.request_timeout = 2s}});
    nodes.instead = [&](fake_node& at, const words_said& said,
                        fake_peer&) -> std::optional<std::string> {
        if (said[0] != "INCR") return {};
        at.keys["n"] = "1";  // it is done, and then nobody is there any more
        at.stop();
        return "close";
    };
    for (const char* key : {"n", "never sent"}) {
        net::fate how_far = net::fate::answered;
        try {
            co_await db.incr(key);
        } catch (const redis::error& failure) {
            how_far = failure.how_far();
        }
        const bool was_sent = std::string_view(key) == "n";
        CHECK(how_far == (was_sent ? net::fate::unanswered : net::fate::unsent));
    }
    CHECK(heard(nodes[0], "INCR") == 1);
    co_await db.close();
}

OURO_TEST("what was sent in part is not told to be unsent") {
    fake_cluster nodes(2);
    auto db = co_await cluster::connect(nodes.url(), {.requests = {.request_timeout = 1s}});
    const std::string here = key_of(nodes, 0), there = key_of(nodes, 1);
    nodes[1].stop();
    co_await sleep_for(100ms);
    for (const bool piped : {false, true}) {
        net::fate how_far = net::fate::answered;
        try {
            if (piped) {
                auto batch = db.pipeline();
                auto done = batch.mset({{here, "1"}, {there, "1"}});
                static_cast<void>(co_await as_result(batch.exec()));
                done.get();
            } else {
                co_await db.mset({{here, "1"}, {there, "1"}});
            }
        } catch (const redis::error& failure) {
            how_far = failure.how_far();
        }
        CHECK(how_far == net::fate::unanswered);
        CHECK(nodes[0].keys.at(here) == "1");
    }
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
    auto db = co_await cluster::connect(nodes.url(), {.requests = {.request_timeout = 1s}});
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
        co_await db.run<void>(redis::verb::select, {"1"});
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

namespace {

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

}  // namespace

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
