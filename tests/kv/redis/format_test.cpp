#include <ouro/kv/redis/format.hpp>

#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <span>
#include <string>
#include <string_view>

using namespace ouro;
using namespace ouro::redis;

namespace {

reply read(std::string_view bytes) {
    resp_parser parser;
    const auto used = parser.parse(std::as_bytes(std::span(bytes)));
    REQUIRE(used.has_value());
    REQUIRE(*used == bytes.size());
    reply copy;
    copy.assign(parser.root());
    return copy;
}

std::string printed(std::string_view bytes) { return fmt::format("{}", read(bytes)); }

}  // namespace

TEST_CASE("a reply that is one value is printed as that") {
    CHECK(printed("$5\r\nhello\r\n") == "hello");
    CHECK(printed("+OK\r\n") == "OK");
    CHECK(printed("-ERR no\r\n") == "ERR no");
    CHECK(printed(":-7\r\n") == "-7");
    CHECK(printed(",1.5\r\n") == "1.5");
    CHECK(printed("#t\r\n") == "true");
    CHECK(printed("_\r\n") == "null");
    CHECK(printed("(12345678901234567890123\r\n") == "12345678901234567890123");
    CHECK(fmt::format("{:*>7}", read("+OK\r\n")) == "*****OK");
    CHECK(fmt::format("{:.3}", read("$5\r\nhello\r\n").root()) == "hel");
}

TEST_CASE("the elements of a reply are printed with their texts in quotes") {
    CHECK(printed("*3\r\n$1\r\na\r\n:1\r\n_\r\n") == "[\"a\", 1, null]");
    CHECK(printed("%2\r\n+k\r\n:1\r\n+l\r\n*0\r\n") == "{\"k\": 1, \"l\": []}");
    CHECK(printed("~2\r\n+a\r\n#f\r\n") == "{\"a\", false}");
    CHECK(printed("*1\r\n$5\r\n\"\\\n\x01z\r\n") == "[\"\\\"\\\\\\x0a\\x01z\"]");
}

TEST_CASE("errors, codes, addresses and kinds are printed as words") {
    const redis::error failure(redis::errc::wrong_type, net::fate::answered, "GET", "WRONGTYPE no");
    CHECK(fmt::format("{}", failure) == failure.what());
    CHECK(fmt::format("{}", redis::errc::no_auth) ==
          make_error_code(redis::errc::no_auth).message());
    redis::address where;
    where.host = "10.0.0.1";
    where.port = 6379;
    CHECK(fmt::format("{:>15}", where) == "  10.0.0.1:6379");
    CHECK(fmt::format("{:.>8}", redis::type::map) == ".....map");
    CHECK(fmt::format("{}", redis::message_kind::resumed) ==
          to_string(redis::message_kind::resumed));
}
