#include <ouro/kv/redis/commands/sets.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <set>
#include <unordered_set>

using namespace ouro::redis;

using texts = std::vector<std::string>;
using text_set = std::set<std::string>;

OURO_TEST_DOOR("members are added, found and removed") {
    CHECK(db.sadd("s", {"a", "b", "c"}) == 3);
    CHECK(db.sadd("s", "a") == 0);
    CHECK(db.sadd("s", {1, 2}) == 2);
    CHECK(db.scard("s") == 5);
    CHECK(db.sismember("s", "a"));
    CHECK(db.sismember("s", 1));
    CHECK_FALSE(db.sismember("s", "x"));
    CHECK(db.smismember("s", {"a", "x", 2}) == std::vector{true, false, true});
    CHECK(db.smembers<text_set>("s") == text_set{"a", "b", "c", "1", "2"});
    CHECK(db.smembers<std::unordered_set<std::string>>("s").size() == 5);
    CHECK(db.smembers("s").size() == 5);
    CHECK(db.smembers("nothing").empty());
    CHECK(db.srem("s", {"a", "b", "x"}) == 2);
    CHECK(db.smove("s", "to", "c"));
    CHECK_FALSE(db.smove("s", "to", "c"));
    CHECK(db.smembers<std::set<int>>("s") == std::set{1, 2});
    db.set("string", 1);
    CHECK(code_from([&] { db.sadd("string", "a"); }) == errc::wrong_type);
}

OURO_TEST_DOOR("sets are compared and put together") {
    db.sadd("a", {1, 2, 3});
    db.sadd("b", {2, 3, 4});
    CHECK(db.sdiff<std::set<int>>({"a", "b"}) == std::set{1});
    CHECK(db.sinter<std::set<int>>({"a", "b"}) == std::set{2, 3});
    CHECK(db.sunion<std::set<int>>({"a", "b"}) == std::set{1, 2, 3, 4});
    CHECK(db.sunion("a").size() == 3);
    CHECK(db.sintercard({"a", "b"}) == 2);
    CHECK(db.sintercard({"a", "b"}, 1) == 1);
    CHECK(db.sdiffstore("to", {"a", "b"}) == 1);
    CHECK(db.sinterstore("to", {"a", "b"}) == 2);
    CHECK(db.sunionstore("to", {"a", "b", "nothing"}) == 4);
    const texts keys{"a", "b"};
    CHECK(db.sunionstore("to", keys) == 4);
    CHECK(db.sintercard(keys) == 2);
}

OURO_TEST_DOOR("random members are drawn") {
    CHECK_FALSE(db.spop("s"));
    CHECK_FALSE(db.srandmember("s"));
    CHECK(db.spop("s", 3).empty());
    CHECK(db.srandmember("s", 3).empty());
    db.sadd("s", {1, 2, 3, 4});
    CHECK(db.srandmember<int>("s").value() <= 4);
    CHECK(db.srandmember("s", 9).size() == 4);
    CHECK(db.srandmember<std::vector<int>>("s", -9).size() == 9);
    CHECK(db.spop<int>("s").value() >= 1);
    CHECK(db.spop<std::set<int>>("s", 2).size() == 2);
    CHECK(db.scard("s") == 1);
}

OURO_TEST_DOOR("SSCAN steps through a set") {
    text_set expected;
    for (int i = 0; i < 600; ++i) {
        expected.insert("member:" + std::to_string(i));
        db.sadd("s", "member:" + std::to_string(i));
    }
    db.sadd("s", "other");
    text_set found;
    scan_page<texts> page;
    do {
        page = db.sscan_step("s", page.next, {.match = "member:*", .count = 100});
        found.insert(page.found.begin(), page.found.end());
    } while (!page.last());
    CHECK(found == expected);
}
