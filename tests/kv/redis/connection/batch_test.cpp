#include <ouro/kv/redis/connection/batch.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/resp.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using redis::arg;
using redis::batch;
using redis::handle;
using redis::verb;

namespace {

std::size_t add(batch& to, verb what, std::initializer_list<arg> arguments) {
    return to.add(redis::info(what), std::span(arguments.begin(), arguments.size()));
}

/// Gives the command at `index` the reply that these bytes are.
void reply_to(batch& of, std::size_t index, std::string_view bytes) {
    redis::resp_parser parser;
    REQUIRE(parser.parse(std::as_bytes(std::span(bytes))).value() == bytes.size());
    of.set_reply(index, parser.root());
}

std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_CASE("commands stand in a row as they are sent") {
    batch all;
    CHECK(all.empty());
    CHECK(all.bytes().empty());
    CHECK(add(all, verb::get, {"a"}) == 0);
    CHECK(add(all, verb::set, {"b", std::string_view("\r\n\0", 3)}) == 1);
    CHECK(all.add(redis::command("PING", {})) == 2);
    CHECK(all.size() == 3);
    CHECK(text(all.bytes(0)) == "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    CHECK(text(all.bytes(1)) == std::string("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$3\r\n\r\n\0\r\n", 29));
    CHECK(text(all.bytes(2)) == "*1\r\n$4\r\nPING\r\n");
    CHECK(text(all.bytes()) == text(all.bytes(0)) + text(all.bytes(1)) + text(all.bytes(2)));
}

TEST_CASE("it only reads while every command of it only reads") {
    batch all;
    CHECK(all.read_only());
    add(all, verb::get, {"a"});
    CHECK(all.read_only());
    add(all, verb::del, {"a"});
    add(all, verb::get, {"a"});
    CHECK_FALSE(all.read_only());
    all.clear();
    CHECK(all.read_only());
}

TEST_CASE("each handle has the reply of its own command, in any order of reading") {
    batch all;
    const handle<std::optional<std::string>> a(all, add(all, verb::get, {"a"}));
    const handle<std::int64_t> b(all, add(all, verb::incr, {"b"}));
    const handle<std::vector<std::string>> c(all, add(all, verb::keys, {"*"}));
    CHECK_FALSE(a.ready());
    CHECK(a.as_result().error() == redis::errc::batch_ended);
    CHECK_THROWS_AS(b.get(), std::system_error);
    reply_to(all, 0, "$5\r\nvalue\r\n");
    CHECK(a.ready());
    CHECK_FALSE(b.ready());
    reply_to(all, 1, ":7\r\n");
    reply_to(all, 2, "*2\r\n$1\r\nx\r\n$0\r\n\r\n");
    CHECK(c.get() == std::vector<std::string>{"x", ""});
    CHECK(b.get() == 7);
    CHECK(a.get() == "value");
    CHECK(a.get() == "value");
}

TEST_CASE("an error belongs to its command alone") {
    batch all;
    const handle<std::int64_t> a(all, add(all, verb::incr, {"a"}));
    const handle<std::int64_t> b(all, add(all, verb::incr, {"b"}));
    const handle<void> c(all, add(all, verb::set, {"c", 1}));
    reply_to(all, 0, "-WRONGTYPE Operation against a key\r\n");
    reply_to(all, 1, "+seven\r\n");
    reply_to(all, 2, "+OK\r\n");
    CHECK(a.as_result().error() == redis::errc::wrong_type);
    CHECK(b.as_result().error() == redis::errc::unexpected_reply);
    CHECK(c.as_result());
    try {
        static_cast<void>(a.get());
        FAIL("it has an error");
    } catch (const redis::error& error) {
        CHECK(error.words() == "WRONGTYPE Operation against a key");
        CHECK(error.how_far() == net::fate::answered);
        CHECK(std::string(error.what()).find("INCR") != std::string::npos);
    }
    CHECK_THROWS_AS(all.throw_first_error(), redis::error);
    CHECK_NOTHROW(c.get());
}

TEST_CASE("what has no reply is told why, and what has one keeps it") {
    batch all;
    const handle<std::int64_t> a(all, add(all, verb::incr, {"a"}));
    const handle<std::int64_t> b(all, add(all, verb::incr, {"b"}));
    reply_to(all, 0, ":1\r\n");
    all.fail_rest(make_error_code(ouro::errc::end_of_stream), net::fate::unanswered);
    CHECK(a.get() == 1);
    CHECK(b.as_result().error() == ouro::errc::end_of_stream);
    CHECK(all.fate_of(0) == net::fate::answered);
    CHECK(all.fate_of(1) == net::fate::unanswered);
}

TEST_CASE("cleared, it ends its handles; replies forgotten, it can be sent again") {
    batch all;
    const handle<std::int64_t> a(all, add(all, verb::incr, {"a"}));
    reply_to(all, 0, ":1\r\n");
    all.forget_replies();
    CHECK(a.as_result().error() == redis::errc::batch_ended);
    reply_to(all, 0, ":2\r\n");
    CHECK(a.get() == 2);
    all.clear();
    CHECK(all.empty());
    CHECK(a.as_result().error() == redis::errc::batch_ended);
    const handle<std::int64_t> later(all, add(all, verb::incr, {"b"}));
    reply_to(all, 0, ":3\r\n");
    CHECK(later.get() == 3);
    CHECK(a.as_result().error() == redis::errc::batch_ended);
}

TEST_CASE("a command too large for Redis has that for its outcome, and is not among the bytes") {
    const std::vector<std::string_view> keys(redis::command_words_max, "k");
    const arg list{std::span<const std::string_view>(keys)};
    batch all;
    add(all, verb::get, {"a"});
    const handle<std::int64_t> huge(all, add(all, verb::del, {list}));
    const handle<std::int64_t> named(all, all.add(redis::command("DEL", std::span(&list, 1))));
    add(all, verb::get, {"b"});
    CHECK(huge.as_result().error() == redis::errc::too_large);
    CHECK(named.as_result().error() == redis::errc::too_large);
    CHECK(all.fate_of(1) == net::fate::unsent);
    CHECK(text(all.bytes()) == "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
    all.forget_replies();
    CHECK(huge.as_result().error() == redis::errc::too_large);
}

TEST_CASE("views lead into its replies") {
    batch all;
    const handle<std::string_view> a(all, add(all, verb::getrange, {"a", 0, -1}));
    const handle<std::string_view> b(all, add(all, verb::get, {"b"}));
    reply_to(all, 0, "$3\r\none\r\n");
    reply_to(all, 1, "$-1\r\n");
    CHECK(a.get() == "one");
    CHECK(b.as_result().error() == redis::errc::null_reply);
}

}  // namespace
