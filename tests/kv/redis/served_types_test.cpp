// Every type of reply as a real server sends it, in both versions of the protocol.
#include <ouro/kv/redis/wire/decode.hpp>
#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/kv/redis/resp_reading.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::redis;

namespace {

redis_server& server() {
    static redis_server only;
    return only;
}

// What the server sends back for `commands` on a connection of its own.
std::string served(const std::string& commands, int protocol) {
    constexpr std::string_view last = "$10\r\nthat is it\r\n";
    blocking_socket socket(server().port());
    if (protocol == 3) {
        socket.send("HELLO 3\r\nECHO \"that is it\"\r\n");
        for (std::string hello; !hello.ends_with(last);) hello += socket.bytes(1);
    }
    socket.send(commands + "\r\nECHO \"that is it\"\r\n");
    std::string bytes;
    while (!bytes.ends_with(last)) bytes += socket.bytes(1);
    bytes.resize(bytes.size() - last.size());
    return bytes;
}

// The replies in `bytes`, which arrive in two pieces, cut at every position.
std::string read_at_every_split(const std::string& bytes) {
    CAPTURE(escaped(bytes));
    const parsed whole = read_whole(bytes);
    CHECK(whole.error == std::error_code());
    CHECK(whole.used == bytes.size());
    REQUIRE(read_bytewise(bytes) == whole);
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
        REQUIRE(read_pieces(bytes, std::array{cut}) == whole);
    std::string replies;
    for (const std::string& each : whole.replies) replies += (replies.empty() ? "" : "; ") + each;
    return replies;
}

std::string debug_protocol(const std::string& kind, int protocol) {
    return read_at_every_split(served("DEBUG PROTOCOL " + kind, protocol));
}

template <class T>
T as(const std::string& bytes) {
    resp_parser parser;
    REQUIRE(*parser.parse(std::as_bytes(std::span(bytes))) == bytes.size());
    T made = blank<T>::make();
    CHECK(decode(parser.root(), made) == std::error_code());
    return made;
}

}  // namespace

TEST_CASE("every type of RESP3 is read as the server sends it, at every split") {
    CHECK(debug_protocol("string", 3) == R"($"Hello World")");
    CHECK(debug_protocol("integer", 3) == ":12345");
    CHECK(debug_protocol("double", 3) == ",3.141");
    CHECK(debug_protocol("bignum", 3) == R"(("1234567999999999999999999999999999999")");
    CHECK(debug_protocol("null", 3) == "_");
    CHECK(debug_protocol("array", 3) == "*[:0 :1 :2]");
    CHECK(debug_protocol("set", 3) == "~[:0 :1 :2]");
    CHECK(debug_protocol("map", 3) == "%[:0 #f :1 #t :2 #f]");
    CHECK(debug_protocol("true", 3) == "#t");
    CHECK(debug_protocol("false", 3) == "#f");
    CHECK(debug_protocol("verbatim", 3) == R"(=txt"This is a verbatim\x0astring")");
}

TEST_CASE("an attribute is left out, a push comes before the reply it is no part of") {
    CHECK(debug_protocol("attrib", 3) == R"($"Some real reply following the attribute")");
    CHECK(debug_protocol("push", 3) ==
          R"(>[$"server-cpu-usage" :42]; $"Some real reply following the push reply")");
}

TEST_CASE("RESP2 says the same with fewer types, at every split") {
    CHECK(debug_protocol("string", 2) == R"($"Hello World")");
    CHECK(debug_protocol("integer", 2) == ":12345");
    CHECK(debug_protocol("double", 2) == R"($"3.141")");
    CHECK(debug_protocol("bignum", 2) == R"($"1234567999999999999999999999999999999")");
    CHECK(debug_protocol("null", 2) == "_");
    CHECK(debug_protocol("array", 2) == "*[:0 :1 :2]");
    CHECK(debug_protocol("set", 2) == "*[:0 :1 :2]");
    CHECK(debug_protocol("map", 2) == "*[:0 :0 :1 :1 :2 :0]");
    CHECK(debug_protocol("true", 2) == ":1");
    CHECK(debug_protocol("false", 2) == ":0");
    CHECK(debug_protocol("verbatim", 2) == R"($"This is a verbatim\x0astring")");
    CHECK(debug_protocol("attrib", 2) == R"($"Some real reply following the attribute")");
    CHECK(debug_protocol("push", 2) == R"(-"ERR RESP2 is not supported by this command")");
}

TEST_CASE("both versions decode to the same") {
    for (const int protocol : {2, 3}) {
        const auto bytes = [&](const std::string& kind) {
            return served("DEBUG PROTOCOL " + kind, protocol);
        };
        CHECK(as<std::string>(bytes("string")) == "Hello World");
        CHECK(as<int>(bytes("integer")) == 12345);
        CHECK(as<double>(bytes("double")) == 3.141);
        CHECK(as<std::string>(bytes("bignum")) == "1234567999999999999999999999999999999");
        CHECK(as<std::optional<std::string>>(bytes("null")) == std::nullopt);
        CHECK(as<std::vector<int>>(bytes("array")) == std::vector{0, 1, 2});
        CHECK(as<std::vector<int>>(bytes("set")) == std::vector{0, 1, 2});
        CHECK(as<std::vector<std::pair<int, bool>>>(bytes("map")) ==
              std::vector<std::pair<int, bool>>{{0, false}, {1, true}, {2, false}});
        CHECK(as<bool>(bytes("true")));
        CHECK(!as<bool>(bytes("false")));
        CHECK(as<std::string>(bytes("verbatim")) == "This is a verbatim\nstring");
    }
}

TEST_CASE("replies of ordinary commands are read, at every split, and decode to the same") {
    using scores = std::vector<std::pair<std::string, double>>;
    using fields = std::vector<std::pair<std::string, std::string>>;
    for (const int protocol : {2, 3}) {
        CAPTURE(protocol);
        read_at_every_split(served("FLUSHALL\r\nHELLO\r\nCOMMAND COUNT\r\nINFO server", protocol));
        served(
            "HSET h f v g w\r\nZADD z 1 a 2.5 b inf c\r\nXADD s 1-1 f v\r\nSET k 7\r\nRPUSH l a b",
            protocol);
        const auto bytes = [&](const std::string& command) {
            const std::string reply = served(command, protocol);
            read_at_every_split(reply);
            return reply;
        };
        CHECK(as<std::string>(bytes("GET k")) == "7");
        CHECK(as<int>(bytes("GET k")) == 7);
        CHECK(as<std::optional<int>>(bytes("GET none")) == std::nullopt);
        CHECK(as<result<int>>(bytes("LLEN k")).error() == redis::errc::wrong_type);
        CHECK(as<fields>(bytes("HGETALL h")) == fields{{"f", "v"}, {"g", "w"}});
        CHECK(as<scores>(bytes("ZRANGE z 0 -1 WITHSCORES")) ==
              scores{{"a", 1}, {"b", 2.5}, {"c", std::numeric_limits<double>::infinity()}});
        CHECK(as<double>(bytes("ZSCORE z b")) == 2.5);
        CHECK(as<int>(bytes("ZSCORE z a")) == 1);
        CHECK(as<std::vector<std::pair<std::string, fields>>>(bytes("XRANGE s - +")) ==
              std::vector<std::pair<std::string, fields>>{{"1-1", {{"f", "v"}}}});
        CHECK(as<std::optional<std::vector<std::string>>>(bytes("LPOP none 2")) == std::nullopt);
        CHECK(as<std::vector<std::string>>(bytes("LRANGE l 0 -1")) ==
              std::vector<std::string>{"a", "b"});
        CHECK(as<std::pair<std::string, std::vector<std::string>>>(bytes("SSCAN none 0")).first ==
              "0");
        CHECK(as<std::string>(bytes("PING")) == "PONG");
        CHECK(as<result<int>>(bytes("NOSUCH")).error() == redis::errc::unknown_command);
        CHECK(
            as<result<int>>(bytes("EVALSHA 0000000000000000000000000000000000000000 0")).error() ==
            redis::errc::no_script);
        const std::string exec = served("MULTI\r\nINCR k\r\nLPUSH k x\r\nGET k\r\nEXEC", protocol);
        CHECK(read_at_every_split(exec) ==
              R"(+"OK"; +"QUEUED"; +"QUEUED"; +"QUEUED"; *[:8 -"WRONGTYPE Operation against )"
              R"(a key holding the wrong kind of value" $"8"])");
    }
}
