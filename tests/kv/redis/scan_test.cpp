#include <ouro/kv/redis/scan.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

using namespace ouro;

namespace {

redis_server& shared() {
    static redis_server server;
    return server;
}

task<redis::client> connected() { return redis::client::connect("redis://" + shared().address()); }

// 1 000 of each: keys user:N, and hash, set and sorted set of as many.
task<> fill(redis::client& db) {
    co_await db.flushall();
    auto batch = db.pipeline();
    for (int i = 0; i < 1000; ++i) {
        const std::string name = "user:" + std::to_string(i);
        batch.set(name, i);
        batch.hset("hash", name, i);
        batch.sadd("set", name);
        batch.zadd("zset", i, name);
    }
    co_await batch.exec();
}

}  // namespace

OURO_TEST_REAL("a walk comes by every key, once or more") {
    auto db = co_await connected();
    co_await fill(db);
    std::set<std::string> seen;
    auto all = redis::scan(db);
    while (auto key = co_await all.next()) seen.insert(*key);
    CHECK(seen.size() == 1003);

    seen.clear();
    auto some = redis::scan(db, {.match = "user:*5", .count = 10});
    while (auto key = co_await some.next()) seen.insert(*key);
    CHECK(seen.size() == 100);

    seen.clear();
    auto sets = redis::scan(db, {.type = "set"});
    while (auto key = co_await sets.next()) seen.insert(*key);
    CHECK(seen == std::set<std::string>{"set"});
    co_await db.close();
}

OURO_TEST_REAL("a walk comes by every field and member") {
    auto db = co_await connected();
    co_await fill(db);
    std::map<std::string, std::string> fields;
    auto hash = redis::hscan(db, "hash");
    while (auto field = co_await hash.next()) fields.insert(*field);
    CHECK(fields.size() == 1000);
    CHECK(fields.at("user:77") == "77");

    std::set<std::string> members;
    auto set = redis::sscan(db, "set", {.count = 7});
    while (auto member = co_await set.next()) members.insert(*member);
    CHECK(members.size() == 1000);

    std::map<std::string, double> scores;
    auto zset = redis::zscan(db, "zset", {.match = "user:1*"});
    while (auto member = co_await zset.next()) scores[member->member] = member->score;
    CHECK(scores.size() == 111);
    CHECK(scores.at("user:19") == 19);
    co_await db.close();
}

OURO_TEST_REAL("a walk may be left, and through nothing it ends at once") {
    auto db = co_await connected();
    co_await fill(db);
    {
        auto left = redis::scan(db);
        const auto first = co_await left.next();
        CHECK(first.has_value());
    }
    auto nothing = redis::sscan(db, "nothing");
    const auto none = co_await nothing.next();
    CHECK_FALSE(none);
    auto wrong = redis::sscan(db, "hash");
    const auto failed = co_await as_result(wrong.next());
    CHECK(failed.error() == redis::errc::wrong_type);
    co_await db.close();
}

namespace {

// Three pages, the second one empty.
task<> walk_pages() {
    testing::fake_server server(
        [](const testing::words_said& said, testing::fake_caller&) -> std::string {
            if (said[1] == "0") return "*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
            if (said[1] == "17") return "*2\r\n$20\r\n18446744073709551615\r\n*0\r\n";
            return "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n";
        });
    auto db = co_await redis::client::connect(server.url());
    std::string found;
    auto keys = redis::scan(db, {.match = std::string("x*"), .count = 5, .type = "set"});
    while (auto key = co_await keys.next()) found += *key;
    CHECK(found == "abc");
    co_await db.close();
    const std::vector<std::string> last{
        "SCAN", "18446744073709551615", "MATCH", "x*", "COUNT", "5", "TYPE", "set"};
    REQUIRE(server.heard().size() == 3);
    CHECK(server.heard()[2] == last);
}

}  // namespace

OURO_TEST("a walk goes on behind an empty page, with its options") { co_await walk_pages(); }

TEST_CASE("a walk can be cancelled anywhere") {
    const auto report = cancel_everywhere(walk_pages);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}
