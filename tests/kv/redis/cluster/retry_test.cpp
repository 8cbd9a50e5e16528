// How a cluster tries again, and what it says when that was in vain.
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <string>
#include <string_view>

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
        auto db =
            co_await cluster::connect(nodes.url(), {.link = {.requests = {.request_timeout = 1s}}});
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

OURO_TEST("what was sent once is not told to be unsent when its repetition was not sent") {
    fake_cluster nodes(1);
    auto db = co_await cluster::connect(
        nodes.url(), {.repeat_writes = true, .link = {.requests = {.request_timeout = 2s}}});
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
    auto db =
        co_await cluster::connect(nodes.url(), {.link = {.requests = {.request_timeout = 1s}}});
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

}  // namespace
