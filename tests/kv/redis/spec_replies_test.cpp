// What the protocol knows of replies, seen through the whole client: each type of RESP2 and RESP3,
// whole and byte by byte.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using redis::client;

namespace {

/// A server that answers every command with the same bytes, and a client of it.
class answering {
public:
    explicit answering(std::string reply, std::size_t piece = ~std::size_t{0})
        : server_([reply = std::move(reply), piece](const words_said& said, fake_caller& who) {
              who.piece = piece;
              return said[0] == "PING" ? std::string("+PONG\r\n") : reply;
          }) {}

    std::string url() const { return server_.url(); }

private:
    fake_server server_;
};

/// The reply that these bytes are, as a T: sent whole, and in pieces of 1, 2 and 3 bytes. A
/// command behind it must find its own reply.
template <class T>
task<T> read_as(std::string bytes) {
    std::optional<T> first;
    for (const std::size_t piece :
         {~std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
        answering server(bytes, piece);
        client db = co_await client::connect(server.url());
        T got = co_await db.command<T>("ANY", redis::words(), {});
        co_await db.ping();
        co_await db.close();
        if (!first) {
            first.emplace(std::move(got));
        } else if constexpr (requires { got == *first; }) {
            CHECK(got == *first);
        }
    }
    co_return std::move(*first);
}

task<redis::reply> read(std::string bytes) { return read_as<redis::reply>(std::move(bytes)); }

task<failure> fail(std::string bytes) {
    answering server(std::move(bytes), 1);
    client db = co_await client::connect(server.url());
    failure seen = co_await failure_of(db.command("ANY", redis::words(), {}));
    co_await db.ping();
    co_await db.close();
    co_return seen;
}

using strings = std::vector<std::string>;
using map = std::map<std::string, int>;

// --- RESP2 --------------------------------------------------------------------------------------

OURO_TEST("a simple string") {
    CHECK(co_await read_as<std::string>("+OK\r\n") == "OK");
    CHECK(co_await read_as<std::string>("+\r\n") == "");
}

OURO_TEST("an error, which is thrown with its words") {
    const failure plain = co_await fail("-ERR something is wrong\r\n");
    CHECK(plain.code == redis::errc::server_error);
    CHECK(plain.words == "ERR something is wrong");
    const failure typed = co_await fail("-WRONGTYPE Operation\r\n");
    CHECK(typed.code == redis::errc::wrong_type);
    const failure own = co_await fail("-MYERROR of a module\r\n");
    CHECK(own.code == redis::errc::server_error);
    CHECK(own.words == "MYERROR of a module");
}

OURO_TEST("an integer, up to its limits") {
    CHECK(co_await read_as<std::int64_t>(":0\r\n") == 0);
    CHECK(co_await read_as<std::int64_t>(":-1\r\n") == -1);
    CHECK(co_await read_as<std::int64_t>(":9223372036854775807\r\n") ==
          std::numeric_limits<std::int64_t>::max());
    CHECK(co_await read_as<std::int64_t>(":-9223372036854775808\r\n") ==
          std::numeric_limits<std::int64_t>::min());
}

OURO_TEST("a bulk string, also with CR, LF and NUL, also empty") {
    CHECK(co_await read_as<std::string>("$5\r\nhello\r\n") == "hello");
    CHECK(co_await read_as<std::string>("$0\r\n\r\n") == "");
    CHECK(co_await read_as<std::string>("$4\r\n\r\n\r\n\r\n") == "\r\n\r\n");
    CHECK(co_await read_as<std::string>(std::string("$3\r\n\0+\0\r\n", 9)) ==
          std::string("\0+\0", 3));
}

OURO_TEST("null, as RESP2 has it for strings and for arrays") {
    using text = std::optional<std::string>;
    using list = std::optional<strings>;
    CHECK(co_await read_as<text>("$-1\r\n") == std::nullopt);
    CHECK(co_await read_as<list>("*-1\r\n") == std::nullopt);
    answering server("$-1\r\n");
    client db = co_await client::connect(server.url());
    const failure null = co_await failure_of(db.command<std::string>("ANY", redis::words(), {}));
    CHECK(null.code == redis::errc::null_reply);
    co_await db.close();
}

OURO_TEST("an array: empty, of everything, and of arrays") {
    CHECK((co_await read_as<strings>("*0\r\n")).empty());
    const auto list = co_await read_as<strings>("*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    CHECK(list == strings{"a", "b"});
    const redis::reply mixed = co_await read("*5\r\n+a\r\n:1\r\n$1\r\nb\r\n$-1\r\n-ERR in it\r\n");
    REQUIRE(mixed.size() == 5);
    CHECK(mixed[0].text() == "a");
    CHECK(mixed[1].integer() == 1);
    CHECK(mixed[3].is_null());
    CHECK(mixed[4].is_error());
    using rows = std::vector<std::vector<int>>;
    const auto table = co_await read_as<rows>("*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n:3\r\n");
    CHECK(table == rows{{1, 2}, {3}});
}

// --- RESP3: the eleven types that it adds -------------------------------------------------------

OURO_TEST("null") {
    using text = std::optional<std::string>;
    CHECK(co_await read_as<text>("_\r\n") == std::nullopt);
    CHECK((co_await read("_\r\n")).is_null());
}

OURO_TEST("a boolean") {
    CHECK(co_await read_as<bool>("#t\r\n"));
    CHECK_FALSE(co_await read_as<bool>("#f\r\n"));
}

OURO_TEST("a double, also infinite, also none") {
    CHECK(co_await read_as<double>(",3.25\r\n") == 3.25);
    CHECK(co_await read_as<double>(",10\r\n") == 10);
    CHECK(co_await read_as<double>(",-1e-3\r\n") == -0.001);
    CHECK(co_await read_as<double>(",inf\r\n") == std::numeric_limits<double>::infinity());
    CHECK(co_await read_as<double>(",-inf\r\n") == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan((co_await read(",nan\r\n")).real()));
}

OURO_TEST("a big number, as its digits") {
    const std::string digits = "3492890328409238509324850943850943825024385";
    CHECK(co_await read_as<std::string>("(" + digits + "\r\n") == digits);
    CHECK((co_await read("(-" + digits + "\r\n")).text() == "-" + digits);
}

OURO_TEST("a bulk error, whose words may hold line ends") {
    const failure wrong = co_await fail("!22\r\nSYNTAX invalid\r\nsyntax\r\n");
    CHECK(wrong.code == redis::errc::server_error);
    CHECK(wrong.words == "SYNTAX invalid\r\nsyntax");
}

OURO_TEST("a verbatim string, without its format") {
    CHECK(co_await read_as<std::string>("=15\r\ntxt:Some string\r\n") == "Some string");
    CHECK(co_await read_as<std::string>("=4\r\nmkd:\r\n") == "");
}

OURO_TEST("a map") {
    const auto by_map = co_await read_as<map>("%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n");
    CHECK(by_map == map{{"first", 1}, {"second", 2}});
    CHECK((co_await read_as<map>("%0\r\n")).empty());
    // RESP2 says the same as an array.
    const auto by_array = co_await read_as<map>("*4\r\n+first\r\n:1\r\n+second\r\n:2\r\n");
    CHECK(by_array == map{{"first", 1}, {"second", 2}});
}

OURO_TEST("a set") {
    using names = std::set<std::string>;
    const auto set = co_await read_as<names>("~3\r\n+a\r\n+b\r\n+c\r\n");
    CHECK(set == names{"a", "b", "c"});
    const auto empty = co_await read_as<strings>("~0\r\n");
    CHECK(empty == strings{});
}

OURO_TEST("a push, which is nobody's reply, wherever it stands") {
    const std::string push = ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n";
    CHECK(co_await read_as<std::string>(push + "+mine\r\n") == "mine");
    CHECK(co_await read_as<std::string>("+mine\r\n" + push) == "mine");
    CHECK(co_await read_as<std::string>(push + push + "+mine\r\n" + push + push) == "mine");
}

OURO_TEST("an attribute, which is left out, wherever it stands") {
    const std::string about = "|1\r\n+ttl\r\n:3600\r\n";
    CHECK(co_await read_as<std::string>(about + "+value\r\n") == "value");
    CHECK(co_await read_as<std::string>(about + about + "+value\r\n") == "value");
    using numbers = std::vector<int>;
    const auto listed = co_await read_as<numbers>("*3\r\n:1\r\n" + about + ":2\r\n:3\r\n");
    CHECK(listed == numbers{1, 2, 3});
    const auto mapped = co_await read_as<map>("%1\r\n" + about + "+a\r\n" + about + ":1\r\n");
    CHECK(mapped == map{{"a", 1}});
    CHECK(co_await read_as<std::string>("|1\r\n+keys\r\n%1\r\n+a\r\n,0.5\r\n+value\r\n") ==
          "value");
}

OURO_TEST("aggregates inside each other") {
    const redis::reply all =
        co_await read("%1\r\n$1\r\nk\r\n*3\r\n~1\r\n#t\r\n%1\r\n:1\r\n_\r\n*0\r\n");
    REQUIRE(all.size() == 2);
    const redis::value list = all[1];
    REQUIRE(list.size() == 3);
    CHECK(list[0][0].boolean());
    CHECK(list[1][1].is_null());
    CHECK(list[2].size() == 0);
}

// --- what is no reply ---------------------------------------------------------------------------

OURO_TEST("what breaks the rules ends the connection, and the next one works") {
    for (const std::string wrong :
         {"?\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "$1\r\nab\r\n", ":1x\r\n", ":\r\n", "#x\r\n",
          ",x\r\n", "_x\r\n", "(x\r\n", "=3\r\ntxt\r\n", "+a\rb\r\n", "%-1\r\n", "*1\r\n>0\r\n",
          "$99999999999999999999\r\n", ":9223372036854775808\r\n", "*?\r\n", "$?\r\n"}) {
        fake_server server([wrong](const words_said& said, fake_caller& who) {
            if (said[0] == "PING") return std::string("+PONG\r\n");
            return who.number == 0 ? wrong : std::string("+fine\r\n");
        });
        client db = co_await client::connect(server.url());
        const failure seen = co_await failure_of(db.command("ANY", redis::words(), {}));
        CHECK_MESSAGE(seen.code == redis::errc::protocol_error, wrong);
        CHECK_MESSAGE(seen.how_far == net::fate::unanswered, wrong);
        CHECK(co_await db.command<std::string>("ANY", redis::words(), {}) == "fine");
        co_await db.close();
    }
}

OURO_TEST("announced sizes above the limits are refused without waiting for their bytes") {
    redis::client_options options;
    options.link.limits.bulk_bytes_max = 100;
    options.link.limits.elements_max = 10;
    options.link.limits.depth_max = 3;
    for (const std::string wrong : {"$101\r\n", "*11\r\n", "%6\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n"}) {
        fake_server server([wrong](const words_said& said, fake_caller&) {
            return said[0] == "PING" ? std::string("+PONG\r\n") : wrong;
        });
        client db = co_await client::connect(server.url(), options);
        const failure seen = co_await failure_of(db.command("ANY", redis::words(), {}));
        CHECK_MESSAGE(seen.code == ouro::errc::limit_exceeded, wrong);
        co_await db.close();
    }
}

// --- a real server ------------------------------------------------------------------------------

OURO_TEST_REAL("every type as the server sends it, over both versions") {
    for (const int protocol : {2, 3}) {
        redis::client_options options;
        options.link.protocol = protocol;
        client db = co_await fresh_client(options);
        auto mine = co_await db.lease();
        CHECK(co_await mine->command<std::string>("DEBUG PROTOCOL", "string") == "Hello World");
        CHECK(co_await mine->command<int>("DEBUG PROTOCOL", "integer") == 12345);
        CHECK(co_await mine->command<double>("DEBUG PROTOCOL", "double") == 3.141);
        const redis::reply null = co_await mine->command("DEBUG PROTOCOL", "null");
        CHECK(null.is_null());
        using numbers = std::vector<int>;
        const auto array = co_await mine->command<numbers>("DEBUG PROTOCOL", "array");
        CHECK(array == numbers{0, 1, 2});
        const auto set = co_await mine->command<numbers>("DEBUG PROTOCOL", "set");
        CHECK(set == numbers{0, 1, 2});
        using flags = std::map<int, bool>;
        const auto map_read = co_await mine->command<flags>("DEBUG PROTOCOL", "map");
        CHECK(map_read == flags{{0, false}, {1, true}, {2, false}});
        CHECK(co_await mine->command<bool>("DEBUG PROTOCOL", "true"));
        CHECK_FALSE(co_await mine->command<bool>("DEBUG PROTOCOL", "false"));
        CHECK(co_await mine->command<std::string>("DEBUG PROTOCOL", "verbatim") ==
              "This is a verbatim\nstring");
        CHECK(co_await mine->command<std::string>("DEBUG PROTOCOL", "bignum") ==
              "1234567999999999999999999999999999999");
        const redis::reply attributed = co_await mine->command("DEBUG PROTOCOL", "attrib");
        CHECK(attributed.text() == "Some real reply following the attribute");
        co_await mine->ping();
        mine.release();
        co_await db.close();
    }
}

}  // namespace
