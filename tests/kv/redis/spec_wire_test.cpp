// What the protocol knows of requests and of the wire: framing, splitting, pipelining, limits.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

std::string echo(const words_said& said, fake_caller&) {
    if (said[0] == "PING") return "+PONG\r\n";
    return bulk(said.back());
}

// --- requests -----------------------------------------------------------------------------------

OURO_TEST("every command is an array of bulk strings, whatever is in them") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    const std::vector<std::string> odd = {
        "",           " ",  "\r\n",          "GET a\r\n", std::string("\0", 1),
        "\"quoted\"", "*3", "$3\r\nabc\r\n", "\x80\xff"};
    for (const std::string& text : odd) CHECK(co_await db.get(text) == text);
    REQUIRE(server.heard().size() == odd.size());
    for (std::size_t at = 0; at < odd.size(); ++at)
        CHECK(server.heard()[at] == words_said{"GET", odd[at]});
    co_await db.close();
}

OURO_TEST("numbers are said so that they come back the same") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    CHECK(co_await db.echo<std::int64_t>(std::numeric_limits<std::int64_t>::min()) ==
          std::numeric_limits<std::int64_t>::min());
    CHECK(co_await db.echo<double>(0.1) == 0.1);
    CHECK(co_await db.echo<double>(1e300) == 1e300);
    CHECK(co_await db.echo<double>(-5e-324) == -5e-324);
    co_await db.close();
}

OURO_TEST("the greeting of RESP3 is one request: who, name, and database behind it") {
    fake_server server(
        [](const words_said& said, fake_caller&) {
            return std::string(said[0] == "HELLO" ? "%1\r\n+id\r\n:9\r\n" : "+OK\r\n");
        },
        false);
    redis::client_options options;
    options.client_name = "me";
    const std::string at = "127.0.0.1:" + std::to_string(server.port());
    client db = co_await client::connect("redis://alice:secret@" + at + "/7", options);
    CHECK(db.sessions().front()->id() == 9);
    REQUIRE(server.heard().size() == 4);
    CHECK(server.heard()[0] ==
          words_said{"HELLO", "3", "AUTH", "alice", "secret", "SETNAME", "me"});
    CHECK(server.heard()[1] == words_said{"CLIENT", "SETINFO", "LIB-NAME", "ouro"});
    CHECK(server.heard()[2].at(2) == "LIB-VER");
    CHECK(server.heard()[3] == words_said{"SELECT", "7"});
    co_await db.close();
}

OURO_TEST("the greeting of RESP2 says the same with AUTH, CLIENT SETNAME and SELECT") {
    fake_server server([](const words_said&, fake_caller&) { return std::string("+OK\r\n"); },
                       false);
    redis::client_options options;
    options.client_name = "me";
    options.link.protocol = 2;
    const std::string at = "127.0.0.1:" + std::to_string(server.port());
    client db = co_await client::connect("redis://alice:secret@" + at + "/7", options);
    REQUIRE(server.heard().size() == 3);
    CHECK(server.heard()[0] == words_said{"AUTH", "alice", "secret"});
    CHECK(server.heard()[1] == words_said{"CLIENT", "SETNAME", "me"});
    CHECK(server.heard()[2] == words_said{"SELECT", "7"});
    co_await db.close();
    client plain = co_await client::connect("redis://:secret@" + at);
    client old = co_await client::connect("redis://:secret@" + at, options);
    CHECK(server.heard().back() == words_said{"CLIENT", "SETNAME", "me"});
    CHECK(server.heard()[server.heard().size() - 2] == words_said{"AUTH", "secret"});
    co_await plain.close();
    co_await old.close();
}

OURO_TEST_REAL("as many arguments as Redis takes are one command, and one more is refused") {
    client db = co_await fresh_client();
    const std::vector<std::string_view> most(redis::command_words_max - 1, "k");
    CHECK(co_await db.exists(most) == 0);
    const std::vector<std::string_view> more(redis::command_words_max, "k");
    const failure refused = co_await failure_of(db.exists(more));
    CHECK(refused.code == redis::errc::too_large);
    co_await db.ping();
    co_await db.close();
}

OURO_TEST_REAL("a command without arguments, of one word and of two") {
    client db = co_await fresh_client();
    co_await db.ping();
    CHECK(co_await db.command<std::string>("PING") == "PONG");
    CHECK(co_await db.command<std::string>("ping", "hello") == "hello");
    CHECK(co_await db.command<int>("COMMAND COUNT") > 200);
    CHECK(co_await db.dbsize() == 0);
    co_await db.close();
}

// --- replies on the wire ------------------------------------------------------------------------

OURO_TEST("replies cut into pieces of any size are the same replies") {
    for (std::size_t piece = 1; piece <= 24; ++piece) {
        fake_server server([piece](const words_said& said, fake_caller& who) {
            who.piece = piece;
            return echo(said, who);
        });
        client db = co_await client::connect(server.url());
        auto batch = db.pipeline();
        auto a = batch.get("first");
        auto b = batch.get("\r\n$5\r\nhello\r\n");
        auto c = batch.get("");
        co_await batch.exec();
        CHECK(a.get() == "first");
        CHECK(b.get() == "\r\n$5\r\nhello\r\n");
        CHECK(c.get() == "");
        co_await db.close();
    }
}

OURO_TEST_REAL("ten thousand PINGs in one write get ten thousand answers") {
    client db = co_await fresh_client();
    auto batch = db.pipeline();
    std::vector<redis::handle<void>> all;
    for (int i = 0; i < 10'000; ++i) all.push_back(batch.ping());
    co_await batch.exec();
    for (const auto& each : all) CHECK(each.as_result());
    co_await db.close();
}

OURO_TEST_REAL("ten thousand ECHOs of many tasks on one connection never change places") {
    client db = co_await fresh_client();
    auto ask = [&](int who) -> task<> {
        for (int i = 0; i < 100; ++i) {
            const std::string text = std::to_string(who) + " " + std::to_string(i);
            const std::string got = co_await db.echo(text);
            REQUIRE(got == text);
        }
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int who = 0; who < 100; ++who) tasks.spawn(ask(who));
        co_return;
    });
    CHECK(db.sessions().front()->figures().requests >= 10'000);
    co_await db.close();
}

OURO_TEST_REAL("keys with NUL, CR and LF are keys like others") {
    client db = co_await fresh_client();
    const std::string nul("a\0b", 3);
    co_await db.set("a", "another");
    co_await db.set(nul, "with nul");
    co_await db.set("a\r\nb", "with a line end");
    CHECK(co_await db.get(nul) == "with nul");
    CHECK(co_await db.get("a\r\nb") == "with a line end");
    CHECK(co_await db.get("a") == "another");
    const auto found = co_await db.keys("a?b");
    CHECK(found == std::vector<std::string>{nul});
    co_await db.close();
}

OURO_TEST_REAL("a value of many megabytes passes, and small ones are not lost behind it") {
    client db = co_await fresh_client();
    const std::string large(64UL * 1024 * 1024, 'x');
    auto batch = db.pipeline();
    batch.set("large", large);
    auto length = batch.strlen("large");
    auto back = batch.get<std::string_view>("large");
    auto ping = batch.echo("behind");
    co_await batch.exec();
    CHECK(length.get() == static_cast<std::int64_t>(large.size()));
    CHECK((back.get() == large));  // not printed
    CHECK(ping.get() == "behind");
    co_await db.del("large");
    co_await db.close();
}

OURO_TEST("a bulk string at our limit passes, and one byte more does not") {
    fake_server server(echo);
    redis::client_options options;
    options.link.limits.bulk_bytes_max = 5000;
    client db = co_await client::connect(server.url(), options);
    const std::string most(5000, 'x');
    CHECK(co_await db.get(most) == most);
    const failure more = co_await failure_of(db.get(most + "x"));
    CHECK(more.code == ouro::errc::limit_exceeded);
    CHECK(co_await db.get("then") == "then");
    co_await db.close();
}

OURO_TEST("a reply with attributes in front is read, for whoever asked") {
    fake_server server([](const words_said& said, fake_caller& who) {
        return "|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.1923\r\n$1\r\nb\r\n,0.0012\r\n" +
               echo(said, who);
    });
    client db = co_await client::connect(server.url());
    auto batch = db.pipeline();
    auto a = batch.get("a");
    auto b = batch.get("b");
    co_await batch.exec();
    CHECK(a.get() == "a");
    CHECK(b.get() == "b");
    CHECK(co_await db.get("c") == "c");
    co_await db.close();
}

OURO_TEST_REAL("a push on the connection that commands share is nobody's reply") {
    client db = co_await fresh_client();
    auto sub = db.subscriber();
    co_await sub.subscribe("news");
    auto publish = [&]() -> task<> {
        for (int i = 0; i < 100; ++i) co_await db.publish("news", std::to_string(i));
    };
    auto ask = [&](int who) -> task<> {
        for (int i = 0; i < 100; ++i) {
            const std::string text = std::to_string(who * 1000 + i);
            CHECK(co_await db.echo(text) == text);
        }
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(publish());
        for (int who = 0; who < 4; ++who) tasks.spawn(ask(who));
        for (int i = 0; i < 100; ++i) {
            const auto heard = co_await sub.next();
            CHECK(heard->payload() == std::to_string(i));
        }
    });
    co_await sub.close();
    co_await db.close();
}

OURO_TEST("a reply in front of its request is taken for nobody's") {
    // Behind the handshake, and in the same segment, comes what nobody has asked for yet.
    fake_server server(
        [](const words_said& said, fake_caller& who) {
            if (said[0] != "HELLO") return echo(said, who);
            return std::string("%0\r\n") + (who.number == 0 ? "$4\r\nwhat\r\n" : "");
        },
        false);
    client db = co_await client::connect(server.url());
    co_await settle();  // until it has arrived
    CHECK(co_await db.get("a") == "a");
    CHECK(server.connections() == 2);
    co_await db.close();
}

}  // namespace
