#include <ouro/kv/redis/cache.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cache;
using redis::client;

namespace {

std::string invalidate(std::string_view key) {
    return ">2\r\n" + bulk("invalidate") + "*1\r\n" + bulk(key);
}
const std::string invalidate_all = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// A server that answers what the test says, as soon as the test says so. Its values count up.
struct script {
    std::string before_value;  // pushes: before the next value, …
    std::string behind_value;  // … between it and its PTTL …
    std::string behind_life;   // … and behind that
    std::string life = ":-1\r\n";
    bool hold = false;     // keeps what it would say until the next ECHO
    bool hang_up = false;  // closes behind the next value
    std::string held;
    int values = 0;

    std::string answer(const words_said& said, fake_caller& who) {
        std::string text;
        if (said[0] == "HELLO") return "%1\r\n+id\r\n:7\r\n";
        if (said[0] == "CLIENT") {
            text = "+OK\r\n";
        } else if (said[0] == "GET") {
            text =
                take(before_value) + bulk("value " + std::to_string(++values)) + take(behind_value);
            who.close = std::exchange(hang_up, false);
        } else if (said[0] == "PTTL") {
            text = life + take(behind_life);
        } else {
            hold = false;
            who.close = said.back() == "bye";
            if (who.close) return take(held).substr(0, 0);
            return take(held) + bulk(said.back());
        }
        if (!hold) return text;
        held += text;
        return {};
    }

    static std::string take(std::string& from) { return std::exchange(from, {}); }
};

fake_server::answer played_by(script& by) {
    return [&by](const words_said& said, fake_caller& who) { return by.answer(said, who); };
}

/// What was sent until now has been answered, and pushes before that have been read.
task<> catch_up(client& db) { co_await db.command("ECHO", "now"); }

/// A connected client, its cache and its server.
struct stage {
    explicit stage(redis::client_options how = {}) : server(played_by(plays), false), how(how) {}

    task<> open(redis::cache_options options = {}) {
        db.emplace(co_await client::connect(server.url(), how));
        near.emplace(co_await cache::on(*db, options));
    }
    task<> close() {
        near.reset();
        co_await db->close();
    }
    task<std::string> get(std::string key, duration ttl = 1min) {
        std::optional<std::string> got = co_await near->get(key, ttl);
        co_return got.value_or("nothing");
    }

    script plays;
    fake_server server;
    redis::client_options how;
    std::optional<client> db;
    std::optional<cache> near;
};

OURO_TEST_IO("what was read once is answered from memory until the server says it has changed") {
    stage on;
    co_await on.open();
    CHECK(co_await on.get("k") == "value 1");
    CHECK(co_await on.get("k") == "value 1");
    CHECK(co_await on.get("other") == "value 2");
    const redis::cached_reply held = co_await on.near->share("k");
    CHECK(held.text() == "value 1");
    CHECK(on.near->figures().hits == 2);
    CHECK(on.near->figures().misses == 2);

    on.plays.held = invalidate("k");
    co_await catch_up(*on.db);
    CHECK(on.near->figures().invalidations == 1);
    CHECK(on.near->figures().entries == 1);
    CHECK(!on.near->peek("k"));
    CHECK(on.near->peek("other").text() == "value 2");
    CHECK(held.text() == "value 1");  // whoever holds it keeps it
    CHECK(co_await on.get("k") == "value 3");
    co_await on.close();
    CHECK(held.text() == "value 1");
}

OURO_TEST("a read is sent with CACHING before it and PTTL behind it") {
    std::vector<std::string> said;
    fake_server server(
        [&said](const words_said& words, fake_caller&) {
            std::string line;
            for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
            said.push_back(line);
            if (words[0] == "HELLO") return std::string("%1\r\n+id\r\n:7\r\n");
            if (words[0] == "CLIENT") return std::string("+OK\r\n");
            return words[0] == "PTTL" ? std::string(":-1\r\n") : bulk("v");
        },
        false);
    {
        client db = co_await client::connect(server.url(), {.link = {.library_info = false}});
        cache near = co_await cache::on(db);
        co_await near.get("k");
        co_await db.get("k");
    }
    const std::vector<std::string> expected = {
        "HELLO 3", "CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES", "GET k", "PTTL k", "GET k"};
    CHECK(said == expected);
    said.clear();
    {
        client db = co_await client::connect(server.url(), {.link = {.library_info = false}});
        cache near = co_await cache::on(db, {.broadcast = true, .prefixes = {"user:", "page:"}});
        co_await near.get("user:1");
        co_await near.get("k");
        co_await near.get("k");
    }
    const std::vector<std::string> broadcast = {
        "HELLO 3",    "CLIENT TRACKING ON BCAST PREFIX user: PREFIX page:",
        "GET user:1", "PTTL user:1",
        "GET k",      "GET k"};
    CHECK(said == broadcast);
}

OURO_TEST("callers of one missing key share one request") {
    stage on;
    co_await on.open();
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) {
            tasks.spawn([](stage& on) -> task<> { CHECK(co_await on.get("k") == "value 1"); }, on);
        }
        co_return;
    });
    CHECK(on.plays.values == 1);
    CHECK(on.near->figures().misses == 1);
    CHECK(on.near->figures().shared == 19);
    co_await on.close();
}

OURO_TEST("a caller who leaves does not take the others' request along") {
    stage on;
    co_await on.open();
    on.plays.hold = true;
    auto first = spawn(on.get("k"));
    auto second = spawn(on.get("k"));
    co_await settle();
    first.cancel();
    const auto left = co_await as_result(first);
    CHECK(left.error() == errc::cancelled);
    co_await catch_up(*on.db);
    CHECK(co_await second == "value 1");
    CHECK(co_await on.get("k") == "value 1");

    // … not even the last one.
    on.plays.hold = true;
    auto only = spawn(on.get("other"));
    co_await settle();
    only.cancel();
    co_await settle();
    co_await catch_up(*on.db);
    CHECK(on.near->peek("other").text() == "value 2");
    co_await on.close();
}

OURO_TEST("an invalidation that comes before the reply keeps that from being kept") {
    stage on;
    co_await on.open();
    for (std::string* where :
         {&on.plays.before_value, &on.plays.behind_value, &on.plays.behind_life}) {
        *where = invalidate("k");
        const int before = on.plays.values;
        const std::string got = co_await on.get("k");
        CHECK(got == "value " + std::to_string(before + 1));
        co_await catch_up(*on.db);
        CHECK(!on.near->peek("k"));
        CHECK(on.near->figures().entries == 0);
    }
    CHECK(on.near->figures().invalidations == 3);
    co_await on.close();
}

OURO_TEST("nobody joins a request whose key was invalidated meanwhile") {
    stage on;
    co_await on.open();
    on.plays.hold = true;
    on.plays.before_value = invalidate("k");
    auto first = spawn(on.get("k"));
    co_await settle();
    on.near->forget("k");
    auto second = spawn(on.get("k"));
    co_await settle();
    co_await catch_up(*on.db);
    CHECK(co_await first == "value 1");
    CHECK(co_await second == "value 2");
    CHECK(on.near->figures().shared == 0);
    co_await on.close();
}

OURO_TEST("null instead of keys drops everything") {
    stage on;
    co_await on.open();
    co_await on.get("a");
    co_await on.get("b");
    on.plays.before_value = invalidate_all;
    CHECK(co_await on.get("c") == "value 3");
    CHECK(on.near->figures().flushes == 1);
    CHECK(on.near->figures().entries == 0);
    CHECK(co_await on.get("a") == "value 4");
    co_await on.close();
}

OURO_TEST("pushes that are none of ours change nothing") {
    stage on;
    co_await on.open();
    co_await on.get("k");
    on.plays.held =
        ">1\r\n+invalidate\r\n>2\r\n+pubsub\r\n*1\r\n+k\r\n>0\r\n"
        ">3\r\n+message\r\n+k\r\n+k\r\n>2\r\n+invalidate\r\n*1\r\n:5\r\n"
        ">2\r\n*0\r\n*0\r\n";
    co_await catch_up(*on.db);
    CHECK(on.near->peek("k").text() == "value 1");
    co_await on.close();
}

OURO_TEST("what was read on a connection goes with it") {
    stage on;
    co_await on.open();
    co_await on.get("a");
    co_await on.get("b");
    on.plays.hang_up = true;
    // The value came, its life did not: it is good for who waits, and for nobody else.
    CHECK(co_await on.get("c") == "value 3");
    co_await settle();
    CHECK(on.near->figures().entries == 0);
    CHECK(!on.near->peek("a"));
    CHECK(co_await on.get("a") == "value 4");
    CHECK(on.server.connections() == 2);
    CHECK(co_await on.get("a") == "value 4");  // tracked again
    co_await on.close();
}

OURO_TEST("a read whose connection is lost before its reply is sent again, and kept") {
    stage on;
    co_await on.open();
    on.plays.hold = true;
    auto waiting = spawn(on.get("k"));
    co_await settle();
    const auto lost = co_await as_result(on.db->command("ECHO", "bye"));
    CHECK(!lost);
    CHECK(co_await waiting == "value 2");
    CHECK(on.near->peek("k").text() == "value 2");
    co_await on.close();
}

OURO_TEST("of several connections each has its own entries") {
    stage on({.connections = 3});
    co_await on.open();
    CHECK(on.server.connections() == 3);
    co_await ouro::all_of(on.get("a"), on.get("b"), on.get("c"));
    CHECK(on.near->figures().entries == 3);
    for (const std::size_t left : {2, 1, 0}) {
        redis::session& session = *on.db->sessions()[left];
        redis::call<void> bye(session, redis::verb::echo, {"bye"});
        static_cast<void>(co_await as_result(bye));
        co_await settle();
        CHECK(on.near->figures().entries == left);
        CHECK(!!on.near->peek("a") + !!on.near->peek("b") + !!on.near->peek("c") == int(left));
    }
    co_await on.close();
}

OURO_TEST("nothing is kept longer than its key lives, and no answer is older than was asked for") {
    stage on;
    co_await on.open();
    on.plays.life = ":1000\r\n";
    CHECK(co_await on.get("k") == "value 1");
    co_await sleep_for(999ms);
    CHECK(co_await on.get("k") == "value 1");
    co_await sleep_for(1ms);
    CHECK(co_await on.get("k") == "value 2");

    on.plays.life = ":-1\r\n";
    CHECK(co_await on.get("long") == "value 3");
    co_await sleep_for(30s);
    CHECK(co_await on.get("long", 30s) == "value 3");
    CHECK(co_await on.get("long", 29s) == "value 4");
    CHECK(co_await on.get("long", 30s) == "value 4");

    on.plays.life = ":-2\r\n";  // it was there, and is gone
    CHECK(co_await on.get("gone") == "value 5");
    CHECK(!on.near->peek("gone"));
    on.plays.life = "-ERR no\r\n";
    CHECK(co_await on.get("odd") == "value 6");
    CHECK(!on.near->peek("odd"));
    co_await on.close();
}

OURO_TEST("the entry that was not used for longest makes room") {
    stage on;
    co_await on.open({.entries_max = 2});
    co_await on.get("a");
    co_await on.get("b");
    co_await on.get("a");
    co_await on.get("c");
    CHECK(on.near->peek("a"));
    CHECK(!on.near->peek("b"));
    CHECK(on.near->peek("c"));
    CHECK(on.near->figures().evictions == 1);
    CHECK(on.near->figures().entries == 2);
    co_await on.close();
}

OURO_TEST("an error is told and not kept") {
    bool wrong = true;
    fake_server server([&wrong](const words_said& said, fake_caller&) {
        if (said[0] == "PTTL") return std::string(":-1\r\n");
        return wrong ? std::string("-WRONGTYPE no string\r\n") : bulk("v");
    });
    client db = co_await client::connect(server.url());
    cache near = co_await cache::on(db);
    try {
        co_await near.get("k");
        FAIL("it did not throw");
    } catch (const redis::error& error) {
        CHECK(error.code() == redis::errc::wrong_type);
        CHECK(error.words() == "WRONGTYPE no string");
        CHECK(error.how_far() == net::fate::answered);
    }
    wrong = false;
    auto got = co_await as_result(near.get("k"));
    CHECK(**got == "v");
    // What cannot be read as asked for is the caller's trouble; the reply is kept.
    auto number = co_await as_result(near.get<int>("k"));
    CHECK(number.error() == redis::errc::unexpected_reply);
    CHECK(near.figures().hits == 1);
    co_await db.close();
}

OURO_TEST("only reads of one key can be cached") {
    stage on;
    co_await on.open();
    const auto error_of = [&](redis::verb what,
                              const redis::words& words) -> task<std::error_code> {
        auto got = co_await as_result(on.near->run<redis::reply>(what, words));
        co_return got.error();
    };
    using redis::verb;
    for (const verb what : {verb::set, verb::incr, verb::ttl, verb::srandmember, verb::randomkey,
                            verb::ping, verb::scan, verb::object_idletime}) {
        auto code = co_await error_of(what, {"k", "1"});
        CHECK(code == redis::errc::not_cacheable);
    }
    auto two = co_await error_of(verb::exists, {"a", "b"});
    CHECK(two == redis::errc::not_cacheable);
    auto none = co_await error_of(verb::get, {});
    CHECK(none == redis::errc::not_cacheable);
    CHECK(on.near->figures().misses == 0);
    co_await on.close();
}

OURO_TEST("a server without RESP3 is refused, and so is one that does not track") {
    fake_server old(
        [](const words_said& said, fake_caller&) {
            if (said[0] == "HELLO") return std::string("-ERR unknown command 'HELLO'\r\n");
            return std::string("+OK\r\n");
        },
        false);
    client db = co_await client::connect(old.url());
    const auto refused = co_await as_result(cache::on(db));
    CHECK(refused.error() == redis::errc::no_protocol);
    co_await db.close();

    fake_server strict(
        [](const words_said& said, fake_caller&) {
            if (said[0] == "HELLO") return std::string("%1\r\n+id\r\n:7\r\n");
            return std::string("-NOPERM this user has no permissions\r\n");
        },
        false);
    db = co_await client::connect(strict.url());
    try {
        co_await cache::on(db);
        FAIL("it did not throw");
    } catch (const redis::error& error) {
        CHECK(error.code() == redis::errc::no_permission);
        CHECK(error.words() == "NOPERM this user has no permissions");
    }
    CHECK(db.sessions().front()->options().setup.empty());
    co_await db.close();
}

OURO_TEST("a cache that goes tells those who wait, and leaves the client as it was") {
    stage on;
    co_await on.open();
    on.plays.hold = true;
    auto waiting = spawn(on.get("k"));
    co_await settle();
    on.near.reset();
    const auto told = co_await as_result(waiting);
    CHECK(told.error() == errc::closed);
    CHECK(on.db->sessions().front()->options().setup.empty());
    co_await catch_up(*on.db);
    co_await on.close();
}

OURO_TEST("a closed cache answers nothing, and the client goes on") {
    stage on;
    co_await on.open();
    co_await on.get("k");
    co_await on.near->close();
    const auto late = co_await as_result(on.near->get("k"));
    CHECK(late.error() == errc::closed);
    CHECK(!on.near->peek("k"));
    co_await catch_up(*on.db);
    co_await on.close();
}

task<> everything() {
    stage on({.connections = 2});
    co_await on.open();
    on.plays.before_value = invalidate("a");
    auto both = co_await ouro::all_of(on.get("a"), on.get("a"), on.get("b"));
    CHECK(std::get<0>(both) == std::get<1>(both));
    auto many = co_await on.near->mget({"a", "b", "c"});
    CHECK(many.size() == 3);
    on.plays.hang_up = true;
    co_await on.get("d");
    co_await on.get("a");
    co_await on.near->close();
    co_await on.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(everything);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 20);
}

}  // namespace
