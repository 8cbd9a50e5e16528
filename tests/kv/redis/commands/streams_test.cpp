#include <ouro/kv/redis/commands/streams.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <map>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;
using entries = std::vector<stream_entry>;
using reads = std::vector<stream_read>;

namespace {

stream_entry entry(std::string id) { return {std::move(id), {{"n", "1"}}}; }

// Entries 1-0, 2-0 and 3-0 with the field n.
void add_three(plain_door& db, std::string_view key) {
    for (const std::string_view id : {"1-0", "2-0", "3-0"})
        CHECK(db.xadd(key, {{"n", 1}}, {.id = id}) == id);
}

}  // namespace

OURO_TEST_DOOR("entries are added, read and removed") {
    const auto id = db.xadd("s", {{"name", "x"}, {"age", 5}});
    REQUIRE(id);
    const entries all = db.xrange("s");
    REQUIRE(all.size() == 1);
    CHECK(all[0] == stream_entry{*id, {{"name", "x"}, {"age", "5"}}});
    REQUIRE(all[0].find("age"));
    CHECK(*all[0].find("age") == "5");
    CHECK(all[0].find("nothing") == nullptr);
    CHECK(db.xdel("s", *id) == 1);
    CHECK(db.xlen("s") == 0);

    add_three(db, "t");
    CHECK(db.xlen("t") == 3);
    CHECK(db.xrange("t", "2-0", "+") == entries{entry("2-0"), entry("3-0")});
    CHECK(db.xrange("t", "(2-0") == entries{entry("3-0")});
    CHECK(db.xrange("t", "-", "+", 1) == entries{entry("1-0")});
    CHECK(db.xrevrange("t", "+", "-", 2) == entries{entry("3-0"), entry("2-0")});
    CHECK(db.xrevrange("t").size() == 3);
    CHECK(db.xrange("nothing").empty());
    CHECK(db.xdel("t", {"1-0", "9-0"}) == 1);
    CHECK(code_from([&] { db.xadd("t", {{"a", 1}}, {.id = "1-0"}); }) == errc::server_error);
    const std::map<std::string, std::string> fields{{"a", "1"}, {"b", "2"}};
    CHECK(db.xadd("t", fields).has_value());
    db.set("string", 1);
    CHECK(code_from([&] { db.xadd("string", {{"a", 1}}); }) == errc::wrong_type);
}

OURO_TEST_DOOR("a stream is kept short") {
    CHECK_FALSE(db.xadd("s", {{"a", 1}}, {.only_existing = true}));
    add_three(db, "s");
    CHECK(db.xadd("s", {{"n", 1}}, {.id = "4-*", .trim = {.max_length = 2}}) == "4-0");
    CHECK(db.xlen("s") == 2);
    CHECK(db.xadd("s", {{"n", 1}}, {.id = "5-0", .trim = {.min_id = "4", .approximate = true}}) ==
          "5-0");
    CHECK(db.xtrim("s", {.min_id = "5-0"}) == 2);
    CHECK(db.xtrim("s", {.max_length = 0}) == 1);
    add_three(db, "t");
    CHECK(db.xtrim("t", {.max_length = 1, .approximate = true, .limit = 100}) == 0);
    CHECK(db.xtrim("t", {.max_length = 1}) == 2);
}

OURO_TEST_DOOR("all options and as many fields as stand in braces go into one XADD") {
    const pairs fields{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4},
                       {"e", 5}, {"f", 6}, {"g", 7}, {"h", 8}};
    CHECK(db.xadd("s", fields, {.id = "1-0"}) == "1-0");
    CHECK(db.xadd("s", fields,
                  {.id = "2-0",
                   .only_existing = true,
                   .trim = {.max_length = 5, .approximate = true, .limit = 100}}) == "2-0");
    CHECK(db.xrange("s").back().fields.size() == 8);
}

OURO_TEST_DOOR("streams are read behind an id") {
    add_three(db, "s");
    add_three(db, "t");
    CHECK(db.xread({{"s", "2-0"}}) == reads{{"s", {entry("3-0")}}});
    CHECK(db.xread({{"s", "0"}, {"t", "2-0"}}, {.count = 1}) ==
          reads{{"s", {entry("1-0")}}, {"t", {entry("3-0")}}});
    CHECK(db.xread({{"s", "3-0"}, {"nothing", "0"}}).empty());
    CHECK(db.xread_block({{"s", "3-0"}}, 1ms).empty());
    CHECK(db.xread_block({{"s", "0"}}, 0ms, {.count = 2}) ==
          reads{{"s", {entry("1-0"), entry("2-0")}}});
    const std::map<std::string, std::string> positions{{"s", "2-0"}, {"t", "3-0"}};
    CHECK(db.xread(positions) == reads{{"s", {entry("3-0")}}});
    CHECK(db.xread({{"s", "2-0"}, {"t", "3"}, {"u", "0"}}).size() == 1);
    CHECK(db.xread({{"s", "2-0"}, {"t", "3"}, {"u", "0"}, {"v", "0"}}).size() == 1);
}

OURO_TEST_DOOR("what waits gets what another one adds") {
    plain_door other(shared_server(), 3);
    arg_list waiting;
    waiting.add("BLOCK", 0, "STREAMS", "s", "$");
    db.send(command(verb::xread, waiting));
    const auto waits = [&] {
        return other.info("clients").find("blocked_clients:1") != std::string::npos;
    };
    ouro::eventually("the command waits", waits);
    other.xadd("s", {{"n", 1}}, {.id = "7-0"});
    CHECK(db.receive<reads>() == reads{{"s", {entry("7-0")}}});
}

OURO_TEST_DOOR("a group's entries are shared among its consumers") {
    CHECK(code_from([&] { db.xgroup_create("s", "g"); }) == errc::server_error);
    db.xgroup_create("s", "g", "$", {.make_stream = true});
    CHECK(code_from([&] { db.xgroup_create("s", "g"); }) == errc::busy_group);
    add_three(db, "s");
    const auto before = std::chrono::steady_clock::now();
    CHECK(db.xreadgroup("g", "alice", {{"s", ">"}}, {.count = 2}) ==
          reads{{"s", {entry("1-0"), entry("2-0")}}});
    CHECK(db.xreadgroup_block("g", "bob", {{"s", ">"}}, 1s) == reads{{"s", {entry("3-0")}}});
    CHECK(db.xreadgroup_block("g", "bob", {{"s", ">"}}, 1ms).empty());
    CHECK(db.xreadgroup("g", "bob", {{"s", ">"}}).empty());
    CHECK(db.xreadgroup("g", "alice", {{"s", "0"}}) == reads{{"s", {entry("1-0"), entry("2-0")}}});

    const pending_summary summary = db.xpending("s", "g");
    CHECK(summary.count == 3);
    CHECK(summary.lowest == "1-0");
    CHECK(summary.highest == "3-0");
    CHECK(summary.consumers.size() == 2);
    CHECK(db.xack("s", "g", {"1-0", "9-0"}) == 1);
    const auto pending = db.xpending("s", "g", "-", "+", 10);
    REQUIRE(pending.size() == 2);
    CHECK(pending[0].id == "2-0");
    CHECK(pending[0].consumer == "alice");
    CHECK(pending[0].deliveries == 2);
    CHECK(pending[0].idle <= std::chrono::steady_clock::now() - before + 1s);
    CHECK(db.xpending("s", "g", "-", "+", 10, {.consumer = "bob"}).size() == 1);
    CHECK(db.xpending("s", "g", "-", "+", 10, {.min_idle = 1h}).empty());

    CHECK(db.xadd("s", {{"n", 1}}, {.id = "4-0"}).has_value());
    CHECK(db.xreadgroup("g", "carol", {{"s", ">"}}, {.no_ack = true}).size() == 1);
    CHECK(db.xpending("s", "g").count == 2);
    CHECK(code_from([&] { db.xreadgroup("none", "x", {{"s", ">"}}); }) == errc::no_group);
    CHECK(db.xdel("s", "2-0") == 1);
    CHECK(db.xreadgroup("g", "alice", {{"s", "0"}}) == reads{{"s", {{"2-0", {}}}}});
}

OURO_TEST_DOOR("pending entries change hands") {
    db.xgroup_create("s", "g", "0", {.make_stream = true, .entries_read = 0});
    add_three(db, "s");
    db.xreadgroup("g", "alice", {{"s", ">"}});
    CHECK(db.xclaim("s", "g", "bob", 1h, "1-0").empty());
    CHECK(db.xclaim("s", "g", "bob", 0ms, {"1-0", "2-0"}) == entries{entry("1-0"), entry("2-0")});
    CHECK(db.xclaim_justid("s", "g", "alice", 0ms, "1-0",
                           {.idle = 2h, .retry_count = 7, .force = true}) == texts{"1-0"});
    CHECK(db.xpending("s", "g", "-", "+", 1)[0].deliveries == 7);
    CHECK(db.xclaim("s", "g", "alice", 0ms, "1-0",
                    {.time = std::chrono::system_clock::now() - 3h}) == entries{entry("1-0")});

    const auto some = db.xautoclaim("s", "g", "carol", 0ms, "0", 2);
    CHECK(some.entries == entries{entry("1-0"), entry("2-0")});
    CHECK(some.next == "3-0");
    db.xdel("s", "3-0");
    const auto rest = db.xautoclaim_justid("s", "g", "dave", 0ms, "2-0");
    CHECK(rest.next == "0-0");
    CHECK(rest.entries == texts{"2-0"});
    CHECK(rest.deleted == texts{"3-0"});
    const pending_summary left = db.xpending("s", "g");
    CHECK(left.count == 2);
}

OURO_TEST_DOOR("groups and consumers come and go") {
    db.xgroup_create("s", "g", "0", {.make_stream = true});
    CHECK(db.xgroup_createconsumer("s", "g", "alice"));
    CHECK_FALSE(db.xgroup_createconsumer("s", "g", "alice"));
    add_three(db, "s");
    const auto before = std::chrono::steady_clock::now();
    db.xreadgroup("g", "alice", {{"s", ">"}}, {.count = 2});

    const auto groups = db.xinfo_groups("s");
    REQUIRE(groups.size() == 1);
    CHECK(groups[0].name == "g");
    CHECK(groups[0].consumers == 1);
    CHECK(groups[0].pending == 2);
    CHECK(groups[0].last_delivered_id == "2-0");
    CHECK(groups[0].entries_read == 2);
    CHECK(groups[0].lag == 1);
    const auto consumers = db.xinfo_consumers("s", "g");
    REQUIRE(consumers.size() == 1);
    CHECK(consumers[0].name == "alice");
    CHECK(consumers[0].pending == 2);
    CHECK(consumers[0].idle <= std::chrono::steady_clock::now() - before + 1s);

    db.xgroup_setid("s", "g", "0", 0);
    db.xgroup_setid("s", "g", "1-0");
    CHECK(db.xinfo_groups("s")[0].last_delivered_id == "1-0");
    CHECK(db.xgroup_delconsumer("s", "g", "alice") == 2);
    CHECK(db.xgroup_destroy("s", "g"));
    CHECK_FALSE(db.xgroup_destroy("s", "g"));
    CHECK(db.xinfo_groups("s").empty());
    db.xgroup_create("s", "empty");
    const pending_summary nothing = db.xpending("s", "empty");
    CHECK(nothing.count == 0);
    CHECK_FALSE(nothing.lowest);
    CHECK(nothing.consumers.empty());
}

OURO_TEST_DOOR("XINFO STREAM tells about a stream") {
    CHECK(code_from([&] { db.xinfo_stream("s"); }) == errc::server_error);
    add_three(db, "s");
    const stream_info info = db.xinfo_stream("s");
    CHECK(info.length == 3);
    CHECK(info.groups == 0);
    CHECK(info.entries_added == 3);
    CHECK(info.last_generated_id == "3-0");
    CHECK(info.max_deleted_entry_id == "0-0");
    CHECK(info.recorded_first_entry_id == "1-0");
    CHECK(info.first_entry == entry("1-0"));
    CHECK(info.last_entry == entry("3-0"));
    CHECK(db.xinfo_stream_full("s").size() > 0);
    db.xsetid("s", "9-0");
    db.xsetid("s", "10-0", {.entries_added = 100, .max_deleted_id = "2-0"});
    CHECK(db.xinfo_stream("s").last_generated_id == "10-0");
    CHECK(db.xinfo_stream("s").max_deleted_entry_id == "2-0");
    db.xtrim("s", {.max_length = 0});
    CHECK_FALSE(db.xinfo_stream("s").first_entry);
}
