// What a session says first, and what it makes of servers and proxies that answer in their own way.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

const std::string taken = "%1\r\n+id\r\n:7\r\n";  // what HELLO is answered by those that know it

std::string plain_answer(const words_said& said) {
    if (said[0] == "PING") return "+PONG\r\n";
    if (said[0] == "GET" || said[0] == "ECHO") return bulk(said.back());
    return "+OK\r\n";
}

/// A server that answers HELLO with these bytes, or by closing the connection when there are none.
auto answering_hello_with(std::string hello) {
    return [hello = std::move(hello)](const words_said& said, fake_caller& who) {
        if (said[0] != "HELLO") return plain_answer(said);
        who.close = hello.empty();
        return hello;
    };
}

std::string url_at(const fake_server& server, const std::string& login = {}) {
    return "redis://" + login + "127.0.0.1:" + std::to_string(server.port());
}

bool has_heard(const fake_server& server, std::string_view word) {
    return std::ranges::any_of(server.heard(), [&](const words_said& said) {
        return std::ranges::find(said, word) != said.end();
    });
}

/// What connecting is told.
task<redis::error> refusal(std::string url, redis::client_options options = {}) {
    try {
        co_await client::connect(url, options);
    } catch (const redis::error& error) {
        co_return error;
    }
    FAIL("it did not throw");
    throw std::logic_error("it did not throw");
}

OURO_TEST("whatever is said against HELLO leads to RESP2") {
    for (const char* const words :
         {"-unsupported command 'HELLO'\r\n", "-ERR unsupported command `hello`\r\n",
          "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n",
          "-NOPROTO unsupported protocol version\r\n",
          "-ERR wrong number of arguments for 'hello' command\r\n", "-no\r\n"}) {
        CAPTURE(words);
        fake_server proxy(answering_hello_with(words), false);
        client db = co_await client::connect(url_at(proxy, "alice:sesame@"));
        CHECK(db.sessions().front()->protocol() == 2);
        const std::optional<std::string> got = co_await db.get("k");
        CHECK(got == "k");
        CHECK(proxy.connections() == 1);
        CHECK(std::ranges::count(proxy.heard(), words_said{"AUTH", "alice", "sesame"}) == 1);
        co_await db.close();
    }
}

OURO_TEST_IO("a proxy that closes at HELLO is connected to once more, with RESP2") {
    fake_server proxy(answering_hello_with(""), false);
    client db = co_await client::connect(url_at(proxy));
    CHECK(db.sessions().front()->protocol() == 2);
    const std::optional<std::string> got = co_await db.get("k");
    CHECK(got == "k");
    CHECK(proxy.connections() == 2);
    CHECK_FALSE(has_heard(proxy, "SETINFO"));  // it might close at that, too
    co_await db.close();
}

OURO_TEST("a server that closes everything says so, and is not asked for ever") {
    fake_server server(
        [](const words_said&, fake_caller& who) {
            who.close = true;
            return std::string();
        },
        false);
    const redis::error told = co_await refusal(url_at(server));
    CHECK(told.code() == ouro::errc::end_of_stream);
    CHECK(told.words().find("HELLO") != std::string_view::npos);
    CHECK(server.connections() == 2);
}

OURO_TEST("a server that has spoken RESP3 is spoken to in RESP3 when it closes a connection") {
    fake_server server(
        [](const words_said& said, fake_caller& who) {
            if (said[0] != "HELLO") return plain_answer(said);
            who.close = who.number == 1;
            return who.close ? std::string() : taken;
        },
        false);
    client db = co_await client::connect(url_at(server));
    server.hang_up();
    co_await sleep_for(1s);
    CHECK(server.connections() == 3);
    CHECK(db.sessions().front()->protocol() == 3);
    co_await db.close();
}

OURO_TEST("what is said about who we are is an error, and is not tried in another way") {
    for (const char* const words :
         {"-WRONGPASS invalid username-password pair\r\n", "-NOAUTH Authentication required.\r\n",
          "-NOPERM User alice has no permissions to run 'hello'\r\n"}) {
        CAPTURE(words);
        fake_server server(answering_hello_with(words), false);
        const redis::error told = co_await refusal(url_at(server, "alice:sesame@"));
        CHECK(told.words().starts_with(std::string_view(words).substr(1, 6)));
        CHECK(std::ranges::none_of(server.heard(),
                                   [](const words_said& said) { return said[0] == "AUTH"; }));
        CHECK(server.connections() == 1);
        const bool forbidden = told.code() == redis::errc::no_permission;
        CHECK((told.words().find("protocol = 2") != std::string_view::npos) == forbidden);
    }
}

OURO_TEST("the default user's password goes alone to a server that knows no users") {
    fake_server old(
        [](const words_said& said, fake_caller&) {
            if (said[0] == "HELLO") return std::string("-ERR unknown command 'HELLO'\r\n");
            if (said[0] == "AUTH" && said.size() != 2)
                return std::string("-ERR wrong number of arguments for 'auth' command\r\n");
            return plain_answer(said);
        },
        false);
    client db = co_await client::connect(url_at(old, "default:sesame@"));
    co_await db.ping();
    co_await db.close();
    const redis::error told = co_await refusal(url_at(old, "alice:sesame@"));
    CHECK(told.words().find("leave the user out") != std::string_view::npos);
    CHECK(told.words().find("HELLO was answered with \"ERR unknown command") !=
          std::string_view::npos);
    CHECK(told.words().find("sesame") == std::string_view::npos);
}

OURO_TEST("what was said to HELLO counts when the connection is closed behind it") {
    fake_server server(
        [](const words_said&, fake_caller& who) {
            who.close = true;
            return std::string("-DENIED Redis is running in protected mode\r\n");
        },
        false);
    const redis::error told = co_await refusal(url_at(server));
    CHECK(told.code() == redis::errc::server_error);
    CHECK(told.words() == "DENIED Redis is running in protected mode");
}

OURO_TEST("what is set up behind HELLO is set up on a fresh connection when that is refused") {
    fake_server old(answering_hello_with("-ERR unknown command 'HELLO'\r\n"), false);
    redis::session_options how;
    how.where.port = old.port();
    how.password = "sesame";
    how.setup.emplace_back(redis::verb::subscribe, std::initializer_list<redis::arg>{"news"});
    const auto session = redis::session::open(how);
    co_await session->ready();
    CHECK(session->protocol() == 2);
    CHECK(old.connections() == 2);
    CHECK(old.heard().back() == words_said{"SUBSCRIBE", "news"});
    co_await session->closed();
}

OURO_TEST("the server is told our name and version, and may refuse to hear it") {
    for (const char* const answer : {"+OK\r\n", "-ERR unknown subcommand 'SETINFO'\r\n",
                                     "-NOPERM this user has no permissions\r\n"}) {
        fake_server server(
            [&](const words_said& said, fake_caller&) {
                if (said[0] == "HELLO") return taken;
                return said[0] == "CLIENT" ? std::string(answer) : plain_answer(said);
            },
            false);
        client db = co_await client::connect(url_at(server) + "/1");
        REQUIRE(server.heard().size() == 4);
        CHECK(server.heard()[1] == words_said{"CLIENT", "SETINFO", "LIB-NAME", "ouro"});
        CHECK(server.heard()[2].at(2) == "LIB-VER");
        CHECK(server.heard()[3] == words_said{"SELECT", "1"});
        CHECK(db.sessions().front()->protocol() == 3);
        co_await db.close();
    }
    fake_server server(answering_hello_with(taken), false);
    client db = co_await client::connect(url_at(server), {.link = {.library_info = false}});
    CHECK_FALSE(has_heard(server, "SETINFO"));
    co_await db.close();
    db = co_await client::connect(url_at(server), {.link = {.protocol = 2}});
    CHECK_FALSE(has_heard(server, "SETINFO"));
    co_await db.close();
}

}  // namespace
