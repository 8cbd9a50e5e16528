#include <ouro/kv/redis/commands/sorted_sets.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <map>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using members = std::vector<scored_member>;
using some_popped = popped<members>;

namespace {

// a 1, b 2, c 3
void add_abc(plain_door& db, std::string_view key) {
    CHECK(db.zadd(key, {{1, "a"}, {2, "b"}, {3, "c"}}) == 3);
}

}  // namespace

OURO_TEST_DOOR("members are added with scores") {
    add_abc(db, "z");
    CHECK(db.zadd("z", 4.5, "d") == 1);
    CHECK(db.zadd("z", {{1.5, "a"}}) == 0);
    CHECK(db.zadd("z", {{9, "a"}, {5, "e"}}, {.changed = true}) == 2);
    CHECK(db.zscore("z", "a") == 9);
    CHECK_FALSE(db.zscore("z", "none"));
    CHECK_FALSE(db.zscore("nothing", "none"));
    CHECK(db.zmscore("z", {"d", "none", "b"}) ==
          std::vector<std::optional<double>>{4.5, std::nullopt, 2});
    CHECK(db.zcard("z") == 5);
    const members listed{{"f", 6}, {"g", std::numeric_limits<double>::infinity()}};
    CHECK(db.zadd("z", listed) == 2);
    CHECK(db.zscore("z", "g") == std::numeric_limits<double>::infinity());
    const std::vector<std::pair<double, std::string>> pairs{{7, "h"}};
    CHECK(db.zadd("z", pairs) == 1);
    CHECK(db.zadd("many", {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}}) == 4);
    CHECK(db.zadd("many", {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}, {5, "e"}}) == 1);
    CHECK(db.zadd("many", {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}, {5, "e"}, {6, "f"}}) == 1);
    CHECK(db.zadd("many", {{1, "x"}, {2, "y"}}) == 2);
    db.set("string", 1);
    CHECK(code_from([&] { db.zadd("string", 1, "a"); }) == errc::wrong_type);
}

OURO_TEST_DOOR("ZADD heeds its conditions") {
    add_abc(db, "z");
    using when = zadd_options::when_kind;
    using update = zadd_options::compare_kind;
    CHECK(db.zadd("z", 9, "a", {.when = when::if_absent}) == 0);
    CHECK(db.zscore("z", "a") == 1);
    CHECK(db.zadd("z", {{9, "x"}}, {.when = when::if_present}) == 0);
    CHECK_FALSE(db.zscore("z", "x"));
    CHECK(db.zadd("z", 1, "b", {.update = update::greater, .changed = true}) == 0);
    CHECK(db.zadd("z", 5, "b", {.update = update::greater, .changed = true}) == 1);
    CHECK(db.zadd("z", 4, "b", {.update = update::less, .changed = true}) == 1);
    CHECK(db.zadd_incr("z", 1.5, "a") == 2.5);
    CHECK_FALSE(db.zadd_incr("z", 1, "a", {.when = when::if_absent}));
    CHECK(db.zincrby("z", -1, "a") == 1.5);
    CHECK(db.zincrby("z", 7, "new") == 7);
}

OURO_TEST_DOOR("members are counted, ranked and removed") {
    add_abc(db, "z");
    CHECK(db.zcount("z", 1, 2) == 2);
    CHECK(db.zcount("z", exclusive(1), score_bound::highest()) == 2);
    CHECK(db.zcount("z", score_bound::lowest(), exclusive(1.0)) == 0);
    CHECK(db.zrank("z", "c") == 2);
    CHECK(db.zrevrank("z", "c") == 0);
    CHECK_FALSE(db.zrank("z", "none"));
    CHECK_FALSE(db.zrevrank("z", "none"));
    CHECK(db.zrem("z", {"a", "none"}) == 1);
    CHECK(db.zremrangebyscore("z", exclusive(2), 3) == 1);
    CHECK(db.zremrangebyrank("z", 0, -1) == 1);
    db.zadd("same", {{0, "a"}, {0, "b"}, {0, "c"}});
    CHECK(db.zlexcount("same", "a", "b") == 2);
    CHECK(db.zlexcount("same", exclusive("a"), lex_bound::highest()) == 2);
    CHECK(db.zremrangebylex("same", lex_bound::lowest(), exclusive("c")) == 2);
    CHECK(db.zcard("same") == 1);
}

OURO_TEST_DOOR("ZRANGE reads by rank, score and text") {
    add_abc(db, "z");
    CHECK(db.zrange("z", 0, -1) == texts{"a", "b", "c"});
    CHECK(db.zrange("z", by_rank{1, 1}) == texts{"b"});
    CHECK(db.zrange("z", by_rank{0, 1}, {.reverse = true}) == texts{"c", "b"});
    CHECK(db.zrange("z", by_score{.min = exclusive(1)}) == texts{"b", "c"});
    CHECK(db.zrange("z", by_score{.min = 1, .max = exclusive(3)}, {.reverse = true}) ==
          texts{"b", "a"});
    CHECK(db.zrange("z", by_score{}, {.limit = {.offset = 1, .count = 1}}) == texts{"b"});
    CHECK(db.zrange_withscores("z", 0, 0) == members{{"a", 1}});
    CHECK(db.zrange_withscores("z", by_score{.min = 2}) == members{{"b", 2}, {"c", 3}});
    CHECK(db.zrange("nothing", 0, -1).empty());
    CHECK(db.zrange_withscores("nothing", 0, -1).empty());
    db.zadd("same", {{0, "a"}, {0, "b"}, {0, "c"}});
    CHECK(db.zrange("same", by_lex{.min = exclusive("a")}) == texts{"b", "c"});
    CHECK(db.zrange("same", by_lex{.max = "b"}, {.reverse = true, .limit = {.count = 1}}) ==
          texts{"b"});
    CHECK(db.zrangestore("to", "z", by_rank{0, 1}) == 2);
    CHECK(db.zrangestore("to", "z", by_score{.max = 2}, {.limit = {.count = 1}}) == 1);
    CHECK(db.zrange("to", 0, -1) == texts{"a"});
}

OURO_TEST_DOOR("the old ways to read ranges do what they did") {
    add_abc(db, "z");
    CHECK(db.zrevrange("z", 0, 1) == texts{"c", "b"});
    CHECK(db.zrevrange_withscores("z", 0, 0) == members{{"c", 3}});
    CHECK(db.zrangebyscore("z", 2, 3) == texts{"b", "c"});
    CHECK(db.zrangebyscore("z", 1, 3, {.offset = 1, .count = 1}) == texts{"b"});
    CHECK(db.zrangebyscore_withscores("z", exclusive(2), 3) == members{{"c", 3}});
    CHECK(db.zrevrangebyscore("z", 3, 2) == texts{"c", "b"});
    CHECK(db.zrevrangebyscore_withscores("z", 3, 1, {.count = 1}) == members{{"c", 3}});
    db.zadd("same", {{0, "a"}, {0, "b"}, {0, "c"}});
    CHECK(db.zrangebylex("same", "a", "b") == texts{"a", "b"});
    CHECK(db.zrevrangebylex("same", lex_bound::highest(), exclusive("a"), {.count = 1}) ==
          texts{"c"});
}

OURO_TEST_DOOR("members are taken from both ends") {
    add_abc(db, "z");
    CHECK(db.zpopmin("z") == members{{"a", 1}});
    CHECK(db.zpopmax("z", 5) == members{{"c", 3}, {"b", 2}});
    CHECK(db.zpopmax("z").empty());
    add_abc(db, "z");
    CHECK(db.zmpop({"nothing", "z"}, by_end::lowest) == some_popped{"z", {{"a", 1}}});
    CHECK(db.zmpop("z", by_end::highest, 2) == some_popped{"z", {{"c", 3}, {"b", 2}}});
    CHECK_FALSE(db.zmpop("z", by_end::lowest));
}

OURO_TEST_DOOR("members are waited for") {
    add_abc(db, "z");
    CHECK(db.bzpopmin({"nothing", "z"}, 1s) == popped_member{"z", "a", 1});
    CHECK(db.bzpopmax("z", 1s) == popped_member{"z", "c", 3});
    CHECK(db.bzmpop({"nothing", "z"}, by_end::lowest, 1s, 5) == some_popped{"z", {{"b", 2}}});
    CHECK_FALSE(db.bzpopmin("z", 1ms));
    CHECK_FALSE(db.bzpopmax({"y", "z"}, 1ms));
    CHECK_FALSE(db.bzmpop("z", by_end::highest, 1ms));
}

OURO_TEST_DOOR("random members are drawn") {
    CHECK_FALSE(db.zrandmember("z"));
    CHECK(db.zrandmember("z", 3).empty());
    add_abc(db, "z");
    CHECK(db.zrandmember("z").has_value());
    CHECK(db.zrandmember("z", 9).size() == 3);
    CHECK(db.zrandmember("z", -9).size() == 9);
    const members all = db.zrandmember_withscores("z", 3);
    CHECK(all.size() == 3);
    for (const scored_member& each : all) CHECK(each.score == each.member[0] - 'a' + 1);
}

OURO_TEST_DOOR("sorted sets are compared and put together") {
    add_abc(db, "y");
    db.zadd("z", {{10, "b"}, {20, "c"}, {30, "d"}});
    CHECK(db.zdiff({"y", "z"}) == texts{"a"});
    CHECK(db.zdiff_withscores({"y", "z"}) == members{{"a", 1}});
    CHECK(db.zinter({"y", "z"}) == texts{"b", "c"});
    CHECK(db.zinter_withscores({"y", "z"}) == members{{"b", 12}, {"c", 23}});
    CHECK(db.zunion({"y", "z"}).size() == 4);
    using kind = combine_options::aggregate_kind;
    CHECK(db.zunion_withscores({"y", "z"}, {.weights = {1, 0.5}, .aggregate = kind::max}) ==
          members{{"a", 1}, {"b", 5}, {"c", 10}, {"d", 15}});
    CHECK(db.zinter({"y", "z"}, {.aggregate = kind::min}) == texts{"b", "c"});
    CHECK(db.zinter_withscores({"y", "z"}, {.aggregate = kind::min}) ==
          members{{"b", 2}, {"c", 3}});
    CHECK(db.zunion({"y", "z"}, {.weights = {1, 100}}).back() == "d");
    CHECK(db.zintercard({"y", "z"}) == 2);
    CHECK(db.zintercard({"y", "z"}, 1) == 1);
    CHECK(db.zdiffstore("to", {"y", "z"}) == 1);
    CHECK(db.zinterstore("to", {"y", "z"}) == 2);
    CHECK(db.zunionstore("to", {"y", "z"}, {.weights = {2, 1}}) == 4);
    CHECK(db.zscore("to", "a") == 2);
    CHECK(db.zunion_withscores({"y", "nothing", "z", "a", "b", "c", "d", "e"},
                               {.weights = {1, 2, 3, 4, 5, 6, 7, 8}, .aggregate = kind::max})
              .size() == 4);
    const texts keys{"y", "z"}, weights{"1", "2"};
    CHECK(db.zinter_withscores(keys, {.weights = weights}) == members{{"b", 22}, {"c", 43}});
    CHECK(code_from([&] { db.zunion(keys, {.weights = {1}}); }) == errc::server_error);
}

OURO_TEST_DOOR("ZSCAN steps through a sorted set") {
    std::map<std::string, double> expected, found;
    for (int i = 0; i < 600; ++i) {
        db.zadd("z", i, "member:" + std::to_string(i));
        expected["member:" + std::to_string(i)] = i;
    }
    scan_page<members> page;
    do {
        page = db.zscan_step("z", page.next, {.match = "member:*", .count = 100});
        for (const scored_member& each : page.found) found[each.member] = each.score;
    } while (!page.last());
    CHECK(found == expected);
}
