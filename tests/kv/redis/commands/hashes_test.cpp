#include <ouro/kv/redis/commands/hashes.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace ouro::redis;

using texts = std::vector<std::string>;
using maybe_texts = std::vector<std::optional<std::string>>;
using text_map = std::map<std::string, std::string>;

namespace {

struct user {
    std::string name;
    std::optional<std::int64_t> age;
    bool admin = false;
    double weight = 0;

    static constexpr auto redis_fields() {
        return std::tuple(field("name", &user::name), field("age", &user::age),
                          field("admin", &user::admin), field("weight", &user::weight));
    }
    bool operator==(const user&) const = default;
};

}  // namespace

OURO_TEST_DOOR("fields are set, read and removed") {
    CHECK(db.hset("h", {{"a", 1}, {"b", "two"}}) == 2);
    CHECK(db.hset("h", {{"a", 3}, {"c", 4}}) == 1);
    CHECK_FALSE(db.hset("h", "a", 5));
    CHECK(db.hset("h", "d", 6));
    CHECK(db.hget("h", "b") == "two");
    CHECK(db.hget<int>("h", "a") == 5);
    CHECK_FALSE(db.hget("h", "nothing"));
    CHECK_FALSE(db.hget("nothing", "a"));
    CHECK(db.hexists("h", "a"));
    CHECK_FALSE(db.hexists("h", "nothing"));
    CHECK(db.hmget("h", {"a", "nothing", "b"}) == maybe_texts{"5", std::nullopt, "two"});
    CHECK(db.hlen("h") == 4);
    CHECK(db.hstrlen("h", "b") == 3);
    CHECK(db.hdel("h", {"a", "b", "nothing"}) == 2);
    CHECK(db.hdel("h", "c") == 1);
    CHECK(db.hlen("h") == 1);
    CHECK(db.hsetnx("h", "n", 1));
    CHECK_FALSE(db.hsetnx("h", "n", 2));
    db.hmset("h", {{"x", 1}});
    CHECK(db.hget("h", "x") == "1");
    db.set("string", 1);
    CHECK(code_from([&] { db.hget("string", "a"); }) == errc::wrong_type);
}

OURO_TEST_DOOR("a hash is read and written as a map") {
    const text_map map{{"a", "1"}, {"b", "2"}};
    CHECK(db.hset("h", map) == 2);
    CHECK(db.hgetall<text_map>("h") == map);
    CHECK(db.hgetall("h").at("b") == "2");
    CHECK(db.hgetall<std::map<std::string, int>>("h").at("b") == 2);
    CHECK(db.hgetall("nothing").empty());
    auto names = db.hkeys("h");
    std::sort(names.begin(), names.end());
    CHECK(names == texts{"a", "b"});
    CHECK(db.hvals<std::set<int>>("h") == std::set{1, 2});
    const std::vector<std::pair<std::string, std::string>> listed{{"c", "3"}};
    CHECK(db.hset("h", listed) == 1);
}

OURO_TEST_DOOR("a hash is read and written as a struct") {
    const user alice{"Alice", 30, true, 61.5};
    CHECK(db.hset("user:1", alice) == 4);
    CHECK(db.hgetall<user>("user:1") == alice);
    CHECK(db.hget("user:1", "admin") == "1");
    const user bob{.name = "Bob"};
    CHECK(db.hset("user:2", bob) == 3);
    CHECK_FALSE(db.hexists("user:2", "age"));
    CHECK(db.hgetall<user>("user:2") == bob);
    CHECK(db.hgetall<user>("nothing") == user());
    db.hset("user:1", "unknown", "field");
    CHECK(db.hgetall<user>("user:1") == alice);
    db.hset("user:1", "age", "old");
    CHECK(code_from([&] { db.hgetall<user>("user:1"); }) == errc::unexpected_reply);
}

OURO_TEST_DOOR("fields are counted up") {
    CHECK(db.hincrby("h", "n", 5) == 5);
    CHECK(db.hincrby("h", "n", -7) == -2);
    CHECK(db.hincrbyfloat("h", "f", 1.25) == 1.25);
    CHECK(code_from([&] {
              db.hset("h", "text", "x");
              db.hincrby("h", "text", 1);
          }) == errc::server_error);
}

OURO_TEST_DOOR("random fields are drawn") {
    CHECK_FALSE(db.hrandfield("h"));
    CHECK(db.hrandfield("h", 5).empty());
    db.hset("h", {{"a", 1}, {"b", 2}});
    const auto one = db.hrandfield("h");
    CHECK((one == "a" || one == "b"));
    CHECK(db.hrandfield("h", 5).size() == 2);
    CHECK(db.hrandfield("h", -5).size() == 5);
    CHECK(db.hrandfield_withvalues<text_map>("h", 5) == text_map{{"a", "1"}, {"b", "2"}});
    CHECK(db.hrandfield_withvalues("h", -3).size() == 3);
}

OURO_TEST_DOOR("HSCAN steps through a hash") {
    text_map expected;
    for (int i = 0; i < 600; ++i) expected["field:" + std::to_string(i)] = std::to_string(i);
    db.hset("h", expected);
    text_map found;
    scan_page<std::vector<std::pair<std::string, std::string>>> page;
    do {
        page = db.hscan_step("h", page.next, {.match = "field:*", .count = 100});
        found.insert(page.found.begin(), page.found.end());
    } while (!page.last());
    CHECK(found == expected);
    CHECK(db.hscan_step("nothing", "0").found.empty());
}
