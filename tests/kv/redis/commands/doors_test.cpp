#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using maybe_texts = std::vector<std::optional<std::string>>;

namespace {

redis_server& shared() {
    static redis_server server;
    return server;
}

task<redis::client> connected() {
    shared().call({"FLUSHALL"});
    return redis::client::connect("redis://" + shared().address());
}

}  // namespace

OURO_TEST_REAL("typed commands read well when awaited") {
    auto db = co_await connected();
    const std::string name = "b";
    co_await db.mset({{"a", 1}, {name, "two"}});
    const maybe_texts values = co_await db.mget({"a", "missing", name});
    CHECK(values == maybe_texts{"1", std::nullopt, "two"});
    CHECK(co_await db.set("a", 5, {.ttl = 1h, .when = redis::set_when::if_present}));
    CHECK(co_await db.incrby("a", 2) == 7);
    CHECK(co_await db.get<int>("a") == 7);

    const std::map<std::string, std::string> fields{{"x", "1"}, {"y", "2"}};
    CHECK(co_await db.hset("hash", fields) == 2);
    const auto hash = co_await db.hgetall<std::map<std::string, std::string>>("hash");
    CHECK(hash == fields);
    CHECK(co_await db.zadd("zset", {{1.5, "x"}, {2, "y"}}) == 2);
    const auto range = co_await db.zrange("zset", redis::by_score{.min = redis::exclusive(1.5)});
    CHECK(range == texts{"y"});
    const auto id = co_await db.xadd("stream", {{"n", 1}}, {.trim = {.max_length = 10}});
    CHECK(id.has_value());
    const auto read = co_await db.xread({{"stream", "0"}}, {.count = 5});
    CHECK(read.size() == 1);
    co_await db.geoadd("geo", {{{13.36, 38.11}, "Palermo"}});
    const auto found =
        co_await db.geosearch("geo", redis::geo_position{13, 38},
                              redis::geo_circle{100, redis::geo_unit::km}, {.with_distance = true});
    CHECK(found.size() == 1);
    co_await db.close();
}

OURO_TEST_REAL("commands that wait have a connection of their own") {
    auto db = co_await connected();
    auto waiting = spawn(
        [](redis::client& db) -> task<std::string> {
            auto job = co_await db.blpop({"urgent", "queue"}, 10s);
            co_return job ? job->key + " " + job->value : "nothing";
        },
        std::ref(db));
    co_await db.rpush("queue", "job");  // not behind the one that waits
    CHECK(co_await waiting == "queue job");
    const auto nothing = co_await db.blpop("queue", 10ms);
    CHECK_FALSE(nothing);
    const auto unread = co_await db.xread_block({{"stream", "$"}}, 10ms);
    CHECK(unread.empty());
    co_await db.close();
}

OURO_TEST_REAL("a pipeline and a transaction have the same commands") {
    auto db = co_await connected();
    auto batch = db.pipeline();
    auto pushed = batch.rpush("list", {1, 2, 3});
    auto wrong = batch.incr("list");
    auto all = batch.lrange<std::vector<int>>("list", 0, -1);
    auto missing = batch.get("nothing");
    co_await batch.exec();
    CHECK(pushed.get() == 3);
    CHECK_THROWS_AS(wrong.get(), redis::error);
    CHECK(all.get() == std::vector{1, 2, 3});
    CHECK_FALSE(missing.get());

    auto tx = db.transaction();
    auto left = tx.decrby("stock", 5);
    auto members = tx.zadd("zset", {{1, "a"}, {2, "b"}});
    auto popped = tx.zpopmax("zset");
    co_await tx.exec();
    CHECK(left.get() == -5);
    CHECK(members.get() == 2);
    CHECK(popped.get() == std::vector<redis::scored_member>{{"b", 2}});
    co_await db.close();
}
