#include <ouro/kv/redis/commands/lists.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using one_popped = popped<std::string>;
using some_popped = popped<texts>;

OURO_TEST_DOOR("elements are pushed to both ends and read") {
    CHECK(db.rpush("l", {"b", "c"}) == 2);
    CHECK(db.lpush("l", "a") == 3);
    CHECK(db.rpush("l", {4, 5.5}) == 5);
    CHECK(db.lrange("l", 0, -1) == texts{"a", "b", "c", "4", "5.5"});
    CHECK(db.lrange<std::vector<double>>("l", -2, -1) == std::vector{4, 5.5});
    CHECK(db.lrange("nothing", 0, -1).empty());
    CHECK(db.llen("l") == 5);
    CHECK(db.lpushx("l", "x") == 6);
    CHECK(db.rpushx("l", {"y", "z"}) == 8);
    CHECK(db.lpushx("nothing", "x") == 0);
    CHECK(db.rpushx("nothing", "x") == 0);
    const texts many(1000, "m");
    CHECK(db.rpush("many", many) == 1000);
    db.set("string", 1);
    CHECK(code_from([&] { db.rpush("string", "a"); }) == errc::wrong_type);
}

OURO_TEST_DOOR("elements are taken from both ends") {
    db.rpush("l", {1, 2, 3, 4, 5, 6});
    CHECK(db.lpop("l") == "1");
    CHECK(db.rpop<int>("l") == 6);
    CHECK(db.lpop("l", 2) == texts{"2", "3"});
    CHECK(db.rpop<std::vector<int>>("l", 9) == std::vector{5, 4});
    CHECK_FALSE(db.lpop("l"));
    CHECK_FALSE(db.rpop("l"));
    CHECK_FALSE(db.lpop("l", 2));
    CHECK_FALSE(db.rpop("l", 2));
}

OURO_TEST_DOOR("elements are found, changed and removed where they are") {
    db.rpush("l", {"a", "b", "c", "b", "a"});
    CHECK(db.lindex("l", 0) == "a");
    CHECK(db.lindex("l", -2) == "b");
    CHECK_FALSE(db.lindex("l", 5));
    CHECK(db.linsert("l", where::before, "b", "x") == 6);
    CHECK(db.linsert("l", where::after, "b", "y") == 7);
    CHECK(db.linsert("l", where::after, "none", "y") == -1);
    CHECK(db.linsert("nothing", where::after, "b", "y") == 0);
    CHECK(db.lrange("l", 0, -1) == texts{"a", "x", "b", "y", "c", "b", "a"});
    CHECK(db.lpos("l", "b") == 2);
    CHECK(db.lpos("l", "b", {.rank = -1}) == 5);
    CHECK_FALSE(db.lpos("l", "none"));
    CHECK_FALSE(db.lpos("l", "b", {.maxlen = 2}));
    CHECK(db.lpos("l", "b", 0) == std::vector<std::int64_t>{2, 5});
    CHECK(db.lpos("l", "b", 1, {.rank = -1, .maxlen = 3}) == std::vector<std::int64_t>{5});
    CHECK(db.lpos("l", "none", 1).empty());
    db.lset("l", 1, "z");
    CHECK(db.lindex("l", 1) == "z");
    CHECK(code_from([&] { db.lset("l", 99, "z"); }) == errc::server_error);
    CHECK(db.lrem("l", -1, "b") == 1);
    CHECK(db.lrem("l", 0, "a") == 2);
    db.ltrim("l", 0, 1);
    CHECK(db.lrange("l", 0, -1) == texts{"z", "b"});
}

OURO_TEST_DOOR("elements move from list to list") {
    db.rpush("l", {1, 2, 3});
    CHECK(db.lmove("l", "to", side::left, side::right) == "1");
    CHECK(db.lmove<int>("l", "to", side::right, side::left) == 3);
    CHECK(db.lrange("to", 0, -1) == texts{"3", "1"});
    CHECK(db.rpoplpush("l", "to") == "2");
    CHECK_FALSE(db.rpoplpush("l", "to"));
    CHECK_FALSE(db.lmove("l", "to", side::left, side::right));
    CHECK(db.blmove("to", "l", side::left, side::left, 1s) == "2");
    CHECK(db.brpoplpush("to", "l", 1s) == "1");
}

OURO_TEST_DOOR("elements come from the first list that has any") {
    db.rpush("b", {1, 2, 3, 4, 5, 6});
    CHECK(db.lmpop({"a", "b"}, side::left) == some_popped{"b", {"1"}});
    CHECK(db.lmpop({"a", "b"}, side::right, 2) == some_popped{"b", {"6", "5"}});
    CHECK(db.lmpop<std::vector<int>>("b", side::left) == popped<std::vector<int>>{"b", {2}});
    CHECK(db.blmpop({"a", "b"}, side::left, 1s) == some_popped{"b", {"3"}});
    CHECK_FALSE(db.lmpop({"a", "c"}, side::left));
    CHECK(db.blpop({"a", "b"}, 1s) == one_popped{"b", "4"});
    CHECK(db.exists("b") == 0);
    db.rpush("b", {7, 8});
    CHECK(db.brpop<int>({"a", "b"}, 0s) == popped<int>{"b", 8});
}

OURO_TEST_DOOR("nothing within the timeout is empty") {
    CHECK_FALSE(db.blpop({"a", "b"}, 1ms));
    CHECK_FALSE(db.brpop("a", 1ms));
    CHECK_FALSE(db.blmove("a", "b", side::left, side::left, 1ms));
    CHECK_FALSE(db.brpoplpush("a", "b", 1ms));
    CHECK_FALSE(db.blmpop("a", side::right, 1ms, 3));
}

OURO_TEST_DOOR("what waits gets what another one pushes") {
    plain_door other(shared_server(), 3);
    arg_list waiting;
    waiting.add("queue", 0);
    db.send(command(verb::blpop, waiting));
    other.rpush("queue", "job");
    CHECK(db.receive<std::optional<one_popped>>() == one_popped{"queue", "job"});
}
