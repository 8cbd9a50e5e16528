#include <ouro/kv/redis/cluster/scatter.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/resp.hpp>

#include <doctest/doctest.h>

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro;
using namespace ouro::redis;

namespace {

reply read(std::string_view bytes) {
    resp_parser parser;
    REQUIRE(parser.parse(std::as_bytes(std::span(bytes))));
    return reply(parser.root());
}

std::string spelled(const command& what) {
    std::string all;
    for (const std::string_view word : what.words()) all += std::string(word) + " ";
    return all;
}

std::vector<command_part> split(const command& what) {
    return split_by_slot(what.info(), what.bytes());
}

std::string joined(response_policy policy, std::vector<std::string> bytes) {
    std::vector<reply> all;
    for (const std::string& each : bytes) all.push_back(read(each));
    const joined_reply made = joined_reply::make(policy, all, {});
    return made.error() ? made.error().message() : to_text(made.root());
}

TEST_CASE("only commands whose parts are worth as much as the whole are split") {
    std::set<std::string_view> names;
    for (const command_info& each : all_commands())
        if (may_be_split(each)) names.insert(each.name);
    CHECK(names == std::set<std::string_view>{"DEL", "EXISTS", "MGET", "MSET", "TOUCH", "UNLINK"});
}

TEST_CASE("keys of one slot stay together, in their order") {
    CHECK(split(command(verb::mget, {"a"})).empty());
    CHECK(split(command(verb::mget, {"{x}a", "{x}b", "x"})).empty());
    const command whole(verb::mget, {"foo", "bar", "{foo}2", "foo", "{bar}2"});
    const std::vector<command_part> parts = split(whole);
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].slot == slot_of("bar"));
    CHECK(spelled(parts[0].what) == "MGET bar {bar}2 ");
    CHECK(parts[0].places == std::vector<std::uint32_t>{1, 4});
    CHECK(spelled(parts[1].what) == "MGET foo {foo}2 foo ");
    CHECK(parts[1].places == std::vector<std::uint32_t>{0, 2, 3});
}

TEST_CASE("values go with their keys") {
    const std::vector<command_part> parts =
        split(command(verb::mset, {"foo", "1", "bar", "2", "{foo}2", "3"}));
    REQUIRE(parts.size() == 2);
    CHECK(spelled(parts[0].what) == "MSET bar 2 ");
    CHECK(spelled(parts[1].what) == "MSET foo 1 {foo}2 3 ");
    CHECK(split(command(verb::mset, {"foo", "1", "bar"})).empty());  // the server says why
}

TEST_CASE("the slot of a command is that of its first key") {
    const auto slot = [](const command& what) {
        return slot_of_command(what.info(), what.bytes());
    };
    CHECK(slot(command(verb::get, {"foo"})) == slot_of("foo"));
    CHECK(slot(command(verb::eval, {"return 1", 1, "foo", "bar"})) == slot_of("foo"));
    CHECK(!slot(command(verb::eval, {"return 1", 0})));
    CHECK(slot(command(verb::xread, {"COUNT", 1, "STREAMS", "foo", "0"})) == slot_of("foo"));
    CHECK(slot(command(verb::spublish, {"foo", "x"})) == slot_of("foo"));
    CHECK(!slot(command(verb::ping, {})));
    CHECK(!slot(command(verb::get, {})));
    CHECK(slot(command(verb::get, {""})) == 0);
    CHECK(!slot(command("MY.MODULE", std::span<const arg>())));
}

TEST_CASE("commands agree on a slot, or not") {
    std::optional<std::uint16_t> slot;
    const auto agrees = [&slot](const command& what) {
        return agree_on_slot(what.info(), what.bytes(), slot);
    };
    CHECK(agrees(command(verb::ping, {})));
    CHECK(!slot);
    CHECK(agrees(command(verb::rename, {"{a}1", "{a}2"})));
    CHECK(slot == slot_of("a"));
    CHECK(agrees(command(verb::get, {"{a}3"})));
    CHECK(!agrees(command(verb::get, {"b"})));
    slot.reset();
    CHECK(!agrees(command(verb::rename, {"a", "b"})));
}

TEST_CASE("replies of parts stand where their keys stood") {
    const std::vector<command_part> parts =
        split(command(verb::mget, {"foo", "bar", "{foo}2", "{bar}2"}));
    std::vector<reply> all;
    all.push_back(read("*2\r\n$1\r\n1\r\n_\r\n"));
    all.push_back(read("*2\r\n$1\r\n0\r\n$1\r\n2\r\n"));
    const joined_reply made = joined_reply::make(response_policy::none, all, parts);
    CHECK(!made.error());
    CHECK(to_text(made.root()) == "[\"0\" \"1\" \"2\" (nil)]");

    all[1] = read("*1\r\n$1\r\n0\r\n");
    const joined_reply broken = joined_reply::make(response_policy::none, all, parts);
    CHECK(broken.error() == redis::errc::unexpected_reply);
}

TEST_CASE("an error among the replies is the reply") {
    CHECK(joined(response_policy::agg_sum, {":1\r\n", "-OOM no\r\n", ":2\r\n"}) ==
          to_text(read("-OOM no\r\n")));
    CHECK(joined(response_policy::one_succeeded, {"-OOM no\r\n", "+OK\r\n"}) ==
          to_text(read("+OK\r\n")));
    CHECK(joined(response_policy::one_succeeded, {"-A\r\n", "-B\r\n"}) == to_text(read("-A\r\n")));
}

TEST_CASE("replies are made one as the policy says") {
    CHECK(joined(response_policy::agg_sum, {":1\r\n", ":5\r\n", ":-2\r\n"}) == "4");
    CHECK(joined(response_policy::agg_min, {":4\r\n", ":1\r\n", ":5\r\n"}) == "1");
    CHECK(joined(response_policy::agg_max, {":4\r\n", ":1\r\n", ":5\r\n"}) == "5");
    CHECK(joined(response_policy::all_succeeded, {"+OK\r\n", "+OK\r\n"}) ==
          to_text(read("+OK\r\n")));
    CHECK(joined(response_policy::agg_logical_and,
                 {"*3\r\n:1\r\n:1\r\n:0\r\n", "*3\r\n:1\r\n:0\r\n:0\r\n"}) == "[1 0 0]");
    CHECK(joined(response_policy::agg_logical_or,
                 {"*3\r\n:1\r\n:1\r\n:0\r\n", "*3\r\n:1\r\n:0\r\n:0\r\n"}) == "[1 1 0]");
    CHECK(joined(response_policy::none, {"*1\r\n+a\r\n", "*0\r\n", "*2\r\n*1\r\n:1\r\n:2\r\n"}) ==
          to_text(read("*3\r\n+a\r\n*1\r\n:1\r\n:2\r\n")));
    CHECK(joined(response_policy::none, {"_\r\n", "$1\r\na\r\n"}) == "\"a\"");
    CHECK(joined(response_policy::none, {"_\r\n", "_\r\n"}) == "(nil)");
}

TEST_CASE("replies that do not go together are refused") {
    const std::string unexpected = redis::make_error_code(redis::errc::unexpected_reply).message();
    CHECK(joined(response_policy::agg_sum, {":1\r\n", "+x\r\n"}) == unexpected);
    CHECK(joined(response_policy::agg_logical_and, {"*1\r\n:1\r\n", "*2\r\n:1\r\n:1\r\n"}) ==
          unexpected);
    CHECK(joined(response_policy::agg_logical_and, {"*1\r\n:1\r\n", ":1\r\n"}) == unexpected);
    CHECK(joined(response_policy::agg_logical_and, {"*1\r\n+x\r\n", "*1\r\n:1\r\n"}) == unexpected);
}

}  // namespace
