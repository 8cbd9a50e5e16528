#include <ouro/kv/redis/commands/keys.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <set>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using maybe_texts = std::vector<std::optional<std::string>>;

namespace {

std::chrono::system_clock::time_point in_an_hour() {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + 1h;
}

}  // namespace

OURO_TEST_DOOR("keys are counted, touched and removed") {
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}});
    CHECK(db.exists({"a", "b", "nothing"}) == 2);
    CHECK(db.exists({"a", "a"}) == 2);
    CHECK(db.touch({"a", "b", "nothing"}) == 2);
    CHECK(db.del("a") == 1);
    CHECK(db.del({"a", "b"}) == 1);
    CHECK(db.unlink({"c", "d", "nothing"}) == 2);
    CHECK(db.dbsize() == 0);
    CHECK_FALSE(db.randomkey());
    db.set("only", 1);
    CHECK(db.randomkey() == "only");
    const texts many(1000, "only");
    CHECK(db.exists(many) == 1000);
}

OURO_TEST_DOOR("keys are copied, renamed and moved") {
    db.set("a", 1);
    CHECK(db.copy("a", "b"));
    CHECK_FALSE(db.copy("a", "b"));
    db.set("a", 2);
    CHECK(db.copy("a", "b", {.replace = true}));
    CHECK(db.get("b") == "2");
    CHECK(db.copy("a", "a", {.database = 1}));
    CHECK_FALSE(db.move("a", 1));
    CHECK(db.move("b", 1));
    CHECK(db.exists("b") == 0);
    db.rename("a", "c");
    CHECK(db.get("c") == "2");
    db.set("d", 3);
    CHECK_FALSE(db.renamenx("c", "d"));
    CHECK(db.renamenx("c", "e"));
    CHECK(code_from([&] { db.rename("nothing", "x"); }) == errc::server_error);
}

OURO_TEST_DOOR("keys expire, and say when") {
    CHECK_FALSE(db.expire("a", 1h));
    db.set("a", 1);
    CHECK(db.ttl("a") == time_left<std::chrono::seconds>{.exists = true});
    CHECK_FALSE(db.ttl("nothing").exists);
    CHECK(db.expire("a", 1h));
    CHECK(db.ttl("a").left > 3590s);
    CHECK(db.pexpire("a", 7200s));
    CHECK(db.pttl("a").left > 7190s);
    CHECK(db.pttl("a").left <= 7200s);

    const auto then = in_an_hour();
    CHECK(db.expireat("a", then));
    CHECK(db.expiretime("a").at == then);
    CHECK(db.pexpireat("a", then + 7ms));
    CHECK(db.pexpiretime("a").at == then + 7ms);
    CHECK(db.expiretime("a").exists);
    CHECK_FALSE(db.expiretime("nothing").exists);
    CHECK(db.persist("a"));
    CHECK_FALSE(db.persist("a"));
    CHECK(db.pexpiretime("a").exists);
    CHECK_FALSE(db.pexpiretime("a").at);
    CHECK(db.expire("a", 0s));
    CHECK(db.exists("a") == 0);
}

OURO_TEST_DOOR("a new expiry may depend on the old one") {
    db.set("a", 1);
    CHECK_FALSE(db.expire("a", 1h, expire_when::if_any));
    CHECK(db.expire("a", 1h, expire_when::if_none));
    CHECK_FALSE(db.expire("a", 2h, expire_when::if_none));
    CHECK_FALSE(db.expire("a", 30min, expire_when::if_later));
    CHECK(db.expire("a", 2h, expire_when::if_later));
    CHECK(db.pexpire("a", 1h, expire_when::if_earlier));
    CHECK_FALSE(db.expireat("a", in_an_hour() + 24h, expire_when::if_earlier));
    CHECK(db.pexpireat("a", in_an_hour() + 24h, expire_when::if_any));
}

OURO_TEST_DOOR("KEYS and TYPE tell what is there") {
    db.set("string", 1);
    db.rpush("list", 1);
    db.sadd("set", 1);
    db.zadd("zset", 1, "a");
    db.hset("hash", "a", 1);
    db.xadd("stream", {{"a", 1}});
    auto found = db.keys("s*");
    std::sort(found.begin(), found.end());
    CHECK(found == texts{"set", "stream", "string"});
    for (const std::string type : {"string", "list", "set", "zset", "hash", "stream"})
        CHECK(db.type(type) == type);
    CHECK(db.type("nothing") == "none");
    CHECK(db.keys("nothing*").empty());
}

OURO_TEST_DOOR("OBJECT looks at how a value is kept") {
    const auto before = std::chrono::steady_clock::now();
    db.set("a", 1);
    CHECK(db.object_encoding("a") == "int");
    CHECK_FALSE(db.object_encoding("nothing"));
    // The server's clock for this ticks in seconds.
    CHECK(db.object_idletime("a") <= std::chrono::steady_clock::now() - before + 2s);
    CHECK(db.object_refcount("a").value() > 0);
    CHECK_FALSE(db.object_refcount("nothing"));
    CHECK(code_from([&] { db.object_freq("a"); }) == errc::server_error);
    db.config_set({{"maxmemory-policy", "allkeys-lfu"}});
    db.set("b", 1);
    CHECK(db.object_freq("b").value() >= 0);
    CHECK_FALSE(db.object_freq("nothing"));
    db.config_set({{"maxmemory-policy", "noeviction"}});
}

OURO_TEST_DOOR("a dumped value is restored") {
    CHECK_FALSE(db.dump("a"));
    db.rpush("a", {1, 2, 3});
    const auto dumped = db.dump("a");
    REQUIRE(dumped);
    db.restore("b", *dumped);
    CHECK(db.lrange("b", 0, -1) == texts{"1", "2", "3"});
    CHECK_FALSE(db.ttl("b").left);
    CHECK(code_from([&] { db.restore("b", *dumped); }) == errc::busy_key);
    db.restore("b", *dumped, {.ttl = 1h, .replace = true, .idle_time = 500s});
    CHECK(db.ttl("b").left > 50min);
    CHECK(db.object_idletime("b") >= 500s);
    const auto then = in_an_hour();
    db.restore("c", *dumped, {.expires_at = then});
    CHECK(db.expiretime("c").at == then);
    db.restore("d", *dumped, {.frequency = 7});
    CHECK(code_from([&] { db.restore("e", "no dump"); }) == errc::server_error);
}

OURO_TEST_DOOR("MIGRATE moves keys to another server") {
    const ouro::redis_server other({.password = "secret", .acl = {}});
    db.mset({{"a", 1}, {"b", 2}});
    const auto to = [&](migrate_options options) {
        options.host = "127.0.0.1";
        options.port = other.port();
        return options;
    };
    CHECK(db.migrate("nothing", to({.password = "secret"})) == migrate_result::no_key);
    CHECK(db.migrate("a", to({.copy = true, .password = "secret"})) == migrate_result::moved);
    CHECK(db.exists("a") == 1);
    CHECK(code_from([&] { db.migrate({"a", "b"}, to({.password = "secret"})); }) ==
          errc::server_error);
    CHECK(db.migrate({"a", "b"}, to({.replace = true, .user = "default", .password = "secret"})) ==
          migrate_result::moved);
    CHECK(db.dbsize() == 0);
    CHECK(other.call({"MGET", "a", "b"}) == "1\n2");
    db.set("c", 3);
    CHECK(db.migrate("c", to({.database = 2, .timeout = 10s, .password = "secret"})) ==
          migrate_result::moved);
}

OURO_TEST_DOOR("SCAN steps through all keys") {
    std::set<std::string> expected;
    for (int i = 0; i < 500; ++i) {
        const std::string key = "key:" + std::to_string(i);
        db.set(key, i);
        expected.insert(key);
    }
    db.rpush("list", 1);
    std::set<std::string> found;
    scan_page<texts> page;
    do {
        page = db.scan_step(page.next, {.match = "key:*", .count = 50});
        found.insert(page.found.begin(), page.found.end());
    } while (!page.last());
    CHECK(found == expected);

    found.clear();
    do {
        page = db.scan_step(page.next, {.count = 1000, .type = "list"});
        found.insert(page.found.begin(), page.found.end());
    } while (!page.last());
    CHECK(found == std::set<std::string>{"list"});
}

OURO_TEST_DOOR("SORT sorts by what it is told") {
    db.rpush("list", {3, 1, 2});
    db.mset({{"w_1", 30}, {"w_2", 20}, {"w_3", 10}, {"d_1", "one"}, {"d_3", "three"}});
    CHECK(db.sort("list") == texts{"1", "2", "3"});
    CHECK(db.sort<std::vector<int>>("list", {.descending = true}) == std::vector{3, 2, 1});
    CHECK(db.sort("list", {.limit = {.offset = 1, .count = 1}}) == texts{"2"});
    CHECK(db.sort_ro("list", {.by = "w_*"}) == texts{"3", "2", "1"});
    CHECK(db.sort<maybe_texts>("list", {.get = {"#", "d_*"}}) ==
          maybe_texts{"1", "one", "2", std::nullopt, "3", "three"});
    CHECK(db.sort_ro("list", {.by = "nosort"}) == texts{"3", "1", "2"});
    CHECK(db.sort_store("list", "to", {.descending = true}) == 3);
    CHECK(db.lrange("to", 0, -1) == texts{"3", "2", "1"});
    db.rpush("names", {"b", "a"});
    CHECK(code_from([&] { db.sort("names"); }) == errc::server_error);
    CHECK(db.sort("names", {.alpha = true}) == texts{"a", "b"});
    const texts patterns(100, "#");
    CHECK(db.sort("list", {.by = "w_*", .limit = {.count = 2}, .get = patterns}).size() == 200);
}

OURO_TEST_DOOR("WAIT counts replicas") {
    CHECK(db.wait(0, 10ms) == 0);
    CHECK(db.wait(1, 10ms) == 0);
}
