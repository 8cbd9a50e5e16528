#include <ouro/kv/redis/commands/strings.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <map>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using maybe_texts = std::vector<std::optional<std::string>>;

OURO_TEST_DOOR("SET sets, GET gets, and what is missing is empty") {
    CHECK_FALSE(db.get("a"));
    CHECK(db.set("a", "text"));
    CHECK(db.get("a") == "text");
    CHECK(db.set("a", 5));
    CHECK(db.get<int>("a") == 5);
    CHECK(db.set("a", 0.1));
    CHECK(db.get<double>("a") == 0.1);
    CHECK(db.set("a", ""));
    CHECK(db.get("a") == "");
    const std::string bytes("\0\r\n$3\xff", 6);
    CHECK(db.set(bytes, bytes));
    CHECK(db.get(bytes) == bytes);
    const std::string large(100'000, 'x');
    CHECK(db.set("large", large));
    CHECK(db.get("large") == large);
}

OURO_TEST_DOOR("GET of a list is wrong_type, and of a text as a number unexpected_reply") {
    db.rpush("list", "a");
    CHECK(code_from([&] { db.get("list"); }) == errc::wrong_type);
    db.set("text", "abc");
    CHECK(code_from([&] { db.get<int>("text"); }) == errc::unexpected_reply);
    CHECK(db.get("text") == "abc");
}

OURO_TEST_DOOR("SET heeds its conditions") {
    CHECK_FALSE(db.set("a", 1, {.when = set_when::if_present}));
    CHECK(db.set("a", 1, {.when = set_when::if_absent}));
    CHECK_FALSE(db.set("a", 2, {.when = set_when::if_absent}));
    CHECK(db.set("a", 3, {.when = set_when::if_present}));
    CHECK(db.get("a") == "3");
}

OURO_TEST_DOOR("SET sets and keeps times to live") {
    const auto soon = std::chrono::system_clock::now() + 1h;
    CHECK(db.set("a", 1, {.ttl = 1h}));
    CHECK(db.ttl("a").left > 50min);
    CHECK(db.set("a", 2, {.keep_ttl = true}));
    CHECK(db.ttl("a").left > 50min);
    CHECK(db.set("a", 3));
    CHECK_FALSE(db.ttl("a").left);
    CHECK(db.set("a", 4, {.expires_at = soon}));
    CHECK(db.pexpiretime("a").at == std::chrono::floor<std::chrono::milliseconds>(soon));
    CHECK(code_from([&] { db.set("a", 5, {.ttl = 0ms}); }) == errc::server_error);
}

OURO_TEST_DOOR("SET with GET returns the value before") {
    CHECK_FALSE(db.set_get("a", 1));
    CHECK(db.set_get<int>("a", 2, {.ttl = 1h}) == 1);
    CHECK(db.set_get("a", 3, {.when = set_when::if_absent}) == "2");
    CHECK(db.get("a") == "2");
}

OURO_TEST_DOOR("GETDEL, GETEX and GETSET get and do more") {
    CHECK_FALSE(db.getdel("a"));
    db.set("a", 1);
    CHECK(db.getex("a", {.ttl = 1h}) == "1");
    CHECK(db.ttl("a").left > 50min);
    CHECK(db.getex("a", {.persist = true}) == "1");
    CHECK_FALSE(db.ttl("a").left);
    CHECK(db.getex("a", {.expires_at = std::chrono::system_clock::now() + 1h}) == "1");
    CHECK(db.ttl("a").left > 50min);
    CHECK(db.getex<int>("a", {}) == 1);
    CHECK(db.getset<int>("a", 7) == 1);
    CHECK(db.getdel<int>("a") == 7);
    CHECK_FALSE(db.getset("a", 7));
}

OURO_TEST_DOOR("numbers are counted up and down") {
    CHECK(db.incr("n") == 1);
    CHECK(db.incrby("n", 10) == 11);
    CHECK(db.decr("n") == 10);
    CHECK(db.decrby("n", 100) == -90);
    CHECK(db.incrby("n", std::numeric_limits<std::int64_t>::max()) ==
          std::numeric_limits<std::int64_t>::max() - 90);
    CHECK(code_from([&] { db.incrby("n", 91); }) == errc::server_error);
    CHECK(db.incrbyfloat("f", 0.5) == 0.5);
    CHECK(db.incrbyfloat("f", -2) == -1.5);
}

OURO_TEST_DOOR("strings are appended to and cut") {
    CHECK(db.append("a", "Hello") == 5);
    CHECK(db.append("a", " World") == 11);
    CHECK(db.strlen("a") == 11);
    CHECK(db.strlen("nothing") == 0);
    CHECK(db.getrange("a", 0, 4) == "Hello");
    CHECK(db.getrange("a", -5, -1) == "World");
    CHECK(db.substr("a", 6, 8) == "Wor");
    CHECK(db.setrange("a", 6, "Redis") == 11);
    CHECK(db.get("a") == "Hello Redis");
    CHECK(db.setrange("gap", 2, "x") == 3);
    CHECK(db.get("gap") == std::string("\0\0x", 3));
    CHECK(db.getrange("nothing", 0, -1) == "");
}

OURO_TEST_DOOR("many keys are set and read at once") {
    const std::string second = "b";
    db.mset({{"a", 1}, {second, "two"}});
    CHECK(db.mget({"a", "missing", second}) == maybe_texts{"1", std::nullopt, "two"});
    const auto both = db.mget<std::tuple<int, std::optional<std::string>>>({"a", "b"});
    CHECK(both == std::tuple(1, std::optional<std::string>("two")));
    db.mset({{"c", 3}});
    CHECK(db.mget("c") == maybe_texts{"3"});

    const std::map<std::string, std::string> map{{"x", "1"}, {"y", "2"}, {"z", "3"}};
    db.mset(map);
    const texts keys{"x", "y", "z"};
    CHECK(db.mget<std::vector<int>>(keys) == std::vector{1, 2, 3});
    const std::vector<std::string_view> views{"z", "x"};
    CHECK(db.mget<std::vector<int>>(views) == std::vector{3, 1});
    CHECK(code_from([&] { db.mget<texts>({"x", "missing"}); }) == errc::null_reply);

    CHECK(db.msetnx({{"n", 1}, {"m", 2}}));
    CHECK_FALSE(db.msetnx({{"n", 3}, {"k", 4}}));
    CHECK(db.exists("k") == 0);
}

OURO_TEST_DOOR("as many as fit stand in braces") {
    CHECK(db.mget({"a", "b", "c", "d", "e", "f", "g", "h"}).size() == 8);
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}, {"f", 6}, {"g", 7}, {"h", 8}});
    CHECK(db.mget({"a", "b", "c", "d", "e", "f", "g", "h"}).back() == "8");
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}});
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}});
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}});
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}, {"f", 6}});
    db.mset({{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}, {"f", 6}, {"g", 9}});
    CHECK(db.get<int>("g") == 9);
}

OURO_TEST_DOOR("the old ways to set do what they did") {
    db.psetex("a", 3600s, 1);
    CHECK(db.ttl("a").left > 50min);
    db.setex("b", 1h, 2);
    CHECK(db.ttl("b").left > 50min);
    CHECK(db.setnx("c", 3));
    CHECK_FALSE(db.setnx("c", 4));
    CHECK(db.mget<std::vector<int>>({"a", "b", "c"}) == std::vector{1, 2, 3});
}

OURO_TEST_DOOR("LCS finds what two strings have in common") {
    db.mset({{"a", "ohmytext"}, {"b", "mynewtext"}});
    CHECK(db.lcs("a", "b") == "mytext");
    CHECK(db.lcs_len("a", "b") == 6);
    const lcs_matches plain = db.lcs_idx("a", "b");
    CHECK(plain.length == 6);
    CHECK(plain.matches == std::vector<lcs_match>{{4, 7, 5, 8, 0}, {2, 3, 0, 1, 0}});
    const lcs_matches long_ones =
        db.lcs_idx("a", "b", {.min_match_len = 4, .with_match_len = true});
    CHECK(long_ones.matches == std::vector<lcs_match>{{4, 7, 5, 8, 4}});
    CHECK(db.lcs("a", "nothing") == "");
    CHECK(db.lcs_idx("a", "nothing").matches.empty());
}
