#include <ouro/kv/redis/connection/session.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/redis/money.hpp>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

/// ECHO answers its argument; so every caller can see whether the reply is its own.
std::string echo(const words_said& said, fake_caller&) {
    if (said[0] == "PING") return "+PONG\r\n";
    return bulk(said.back());
}

std::string attributed(const words_said& said, fake_caller& who) {
    return ">3\r\n+message\r\n+a\r\n+b\r\n|1\r\n+ttl\r\n:3600\r\n" + echo(said, who) +
           ">2\r\n+invalidate\r\n*1\r\n+k\r\n";
}

task<> ask(client db, std::string text) {
    const std::string got = co_await db.command<std::string>("ECHO", text);
    CHECK(got == text);
}

task<> ask_or_fail(client db, std::string text, int& answered) {
    const auto got = co_await as_result(db.command<std::string>("ECHO", text));
    if (got) {
        CHECK(*got == text);
        ++answered;
    }
}

OURO_TEST_IO("many tasks share one connection, and each gets its own reply") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 200; ++i) tasks.spawn(ask(db, "text " + std::to_string(i)));
        co_return;
    });
    CHECK(server.connections() == 1);
    // The handshake is none; and only a simulated turn has no limit in time.
    if (sim::world::current_or_null()) CHECK(db.sessions().front()->figures().batches <= 3);
    co_await db.close();
}

OURO_TEST("pushes and attributes anywhere disturb nobody") {
    fake_server server(attributed);
    client db = co_await client::connect(server.url());
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) tasks.spawn(ask(db, std::to_string(i)));
        co_return;
    });
    co_await db.close();
}

OURO_TEST("a server that closes at any byte costs at most what was on its way") {
    // HELLO's reply has 38 bytes; each ECHO's 8.
    for (std::size_t limit = 1; limit < 120; ++limit) {
        fake_server server(
            [limit](const words_said& said, fake_caller& who) {
                if (who.number == 0 && who.bytes_left > limit) who.bytes_left = limit;
                return echo(said, who);
            },
            limit % 2 == 0);
        redis::client_options options;
        options.link.protocol = 2;
        const auto db = co_await as_result(client::connect(server.url(), options));
        if (!db) continue;
        int answered = 0;
        co_await with_scope([&](scope& tasks) -> task<> {
            for (int i = 10; i < 20; ++i)
                tasks.spawn(ask_or_fail(*db, std::to_string(i), answered));
            co_return;
        });
        client again = *db;
        const std::optional<std::string> got = co_await again.get("after all");
        CHECK(got == "after all");  // on the second connection if need be
        co_await again.close();
    }
}

OURO_TEST("the youngest is cancelled, then another is asked: each slot has its own reply") {
    fake_server server([](const words_said& said, fake_caller&) {
        if (said.back() == "first") return std::string();         // later
        return bulk("value of first") + bulk("value of second");  // both, in their order
    });
    client db = co_await client::connect(server.url());
    auto first = spawn(ask(db, "first"));
    co_await settle();
    first.cancel();
    co_await settle();
    const std::optional<std::string> second = co_await db.get("second");
    CHECK(second == "value of second");
    CHECK(!co_await as_result(first));
    CHECK(server.connections() == 1);
    co_await db.close();
}

OURO_TEST("whoever leaves, in the middle or at an end, leaves a slot behind") {
    for (int leaving = 0; leaving < 3; ++leaving) {
        std::string held;
        fake_server server([&held](const words_said& said, fake_caller&) {
            held += bulk("value of " + said.back());
            return said.back() == "last" ? std::exchange(held, {}) : std::string();
        });
        client db = co_await client::connect(server.url());
        auto get = [](client on, std::string key) -> task<std::optional<std::string>> {
            co_return co_await on.get(key);
        };
        std::vector<join_handle<std::optional<std::string>>> all;
        for (int i = 0; i < 3; ++i) {
            all.push_back(spawn(get(db, std::to_string(i))));
            co_await settle();
        }
        all[static_cast<std::size_t>(leaving)].cancel();
        co_await settle();
        CHECK(co_await db.get("last") == "value of last");
        for (int i = 0; i < 3; ++i) {
            const auto got = co_await as_result(all[static_cast<std::size_t>(i)]);
            if (i == leaving)
                CHECK(got.error() == ouro::errc::cancelled);
            else
                CHECK(*got == "value of " + std::to_string(i));
        }
        co_await db.close();
    }
}

OURO_TEST("a push between the replies to the handshake is none of them") {
    fake_server server(
        [](const words_said& said, fake_caller&) {
            const std::string push = ">2\r\n+invalidate\r\n*1\r\n+k\r\n";
            if (said[0] == "HELLO") return "%1\r\n+server\r\n+fake\r\n" + push;
            if (said[0] == "SELECT") return push + "-ERR DB index is out of range\r\n";
            return bulk(said.back());
        },
        false);
    const auto refused = co_await as_result(client::connect(server.url() + "/3"));
    CHECK(refused.error() == redis::errc::server_error);
}

OURO_TEST("a subscription in the handshake is confirmed by its push, and by no other") {
    fake_server server(
        [](const words_said& said, fake_caller&) {
            const std::string noise =
                ">3\r\n+subscribe\r\n+other\r\n:1\r\n"
                ">3\r\n+message\r\n+mine\r\n+text\r\n";
            if (said[0] == "HELLO") return "%1\r\n+server\r\n+fake\r\n" + noise;
            if (said[0] == "SUBSCRIBE") return noise + ">3\r\n+subscribe\r\n+mine\r\n:1\r\n";
            return bulk(said.back());
        },
        false);
    redis::session_options how;
    how.where = redis::url::parse(server.url())->where;
    how.connect_timeout = 1s;
    how.setup.emplace_back(redis::verb::subscribe, std::initializer_list<redis::arg>{"mine"});
    const auto on = redis::session::open(how);
    const time_point before = clock::now();
    co_await on->ready();
    CHECK(clock::now() - before < 1s);
    redis::call<std::string> echoed(*on, redis::verb::echo, {"x"});
    CHECK(co_await echoed == "x");
    co_await on->closed();
}

OURO_TEST("a reply that nobody asked for ends the connection and is given to nobody") {
    fake_server server([](const words_said& said, fake_caller& who) {
        std::string reply = echo(said, who);
        if (who.number == 0) reply += bulk("whose?");
        return reply;
    });
    client db = co_await client::connect(server.url());
    co_await ask(db, "first");
    co_await sleep_for(1s);
    CHECK(server.connections() == 2);
    co_await ask(db, "second");
    co_await db.close();
}

OURO_TEST("bytes that are no RESP fail whoever waits with a typed error") {
    fake_server server([](const words_said&,
                          fake_caller&) { return std::string("HTTP/1.1 400 Bad Request\r\n\r\n"); },
                       false);
    const auto db = co_await as_result(client::connect(server.url()));
    CHECK(db.error() == redis::errc::protocol_error);
}

OURO_TEST("garbage in the middle ends that connection, and the next one works") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (who.number == 0 && said.back() == "now") return std::string("$x\r\n");
        return echo(said, who);
    });
    client db = co_await client::connect(server.url());
    const auto got = co_await as_result(db.command<std::string>("SETRANGE", "now"));
    CHECK(got.error() == redis::errc::protocol_error);
    co_await ask(db, "then");
    co_await db.close();
}

OURO_TEST("a line that is too long concerns whoever asked for it, and nobody else") {
    const std::string huge(100, 'x');
    fake_server server([&](const words_said& said, fake_caller& who) {
        who.piece = 7;
        const std::string& about = said.back();
        if (about == "error") return "-WRONGTYPE " + huge + "\r\n";
        if (about == "status") return "+" + huge + "\r\n";
        if (about == "inside") return "*2\r\n-OOM " + huge + "\r\n:1\r\n";
        if (about == "both") return "*2\r\n+" + huge + "\r\n+" + huge + "\r\n";
        return echo(said, who);
    });
    client db =
        co_await client::connect(server.url(), {.link = {.limits = {.line_bytes_max = 32}}});
    auto batch = db.pipeline();
    std::vector<redis::handle<std::string>> asked;
    for (const char* about : {"a", "error", "b", "status", "c", "both", "d"})
        asked.push_back(batch.command<std::string>("ECHO", {about}));
    auto inside = batch.command<redis::reply>("ECHO", {"inside"});
    auto last = batch.command<std::string>("ECHO", {"e"});
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(ask(db, "before"));
        tasks.spawn([](redis::pipeline& all) -> task<> { co_await all.exec(); }(batch));
        tasks.spawn(ask(db, "after"));
        co_return;
    });
    std::string texts;
    for (auto& each : asked) {
        const auto got = each.as_result();
        texts += got ? *got : got.error().message();
        texts += '|';
    }
    CHECK(texts ==
          "a|the key holds another kind of value|b|a line of the reply is too long|c|"
          "a line of the reply is too long|d|");
    CHECK(inside.get()[0].text() == "OOM " + huge.substr(0, 28));
    CHECK(inside.get()[1].integer() == 1);
    CHECK(last.get() == "e");
    const auto alone = co_await as_result(db.command<std::string>("ECHO", {"status"}));
    CHECK(alone.error() == redis::errc::reply_too_large);
    CHECK(server.connections() == 1);
    co_await db.close();
}

OURO_TEST("a line without an end is cut off at the limit of a whole reply") {
    fake_server server([](const words_said& said, fake_caller& who) {
        return said.back() == "endless" ? "+" + std::string(1000, 'x') : echo(said, who);
    });
    client db = co_await client::connect(
        server.url(), {.link = {.limits = {.line_bytes_max = 32, .reply_bytes_max = 500}}});
    const auto got = co_await as_result(db.command<std::string>("SETRANGE", {"endless"}));
    CHECK(got.error() == ouro::errc::limit_exceeded);
    co_await ask(db, "on the next connection");
    CHECK(server.connections() == 2);
    co_await db.close();
}

OURO_TEST("what a decoder throws reaches its caller, and nobody else is harmed") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    auto beside = spawn(ask(db, "beside"));
    std::string seen;
    try {
        co_await db.command<money>("ECHO", "abc");
    } catch (const std::invalid_argument&) {
        seen = "invalid_argument";
    }
    CHECK(seen == "invalid_argument");
    try {
        static_cast<void>(co_await as_result(db.command<money>("ECHO", "abc")));
    } catch (const std::invalid_argument&) {
        seen = "invalid_argument, again";
    }
    CHECK(seen == "invalid_argument, again");
    const money price = co_await db.command<money>("ECHO", "7");
    CHECK(price.cents == 7);
    co_await beside;
    CHECK(server.connections() == 1);
    co_await db.close();
}

OURO_TEST("a read is asked for again when its connection was lost, and a write is not") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (who.number == 0 && said[0] != "PING") {
            who.close = true;
            return std::string();
        }
        return echo(said, who);
    });
    client db = co_await client::connect(server.url());
    const std::optional<std::string> got = co_await db.get("key");
    CHECK(got == "key");
    CHECK(db.sessions().front()->figures().repeated == 1);

    fake_server other([](const words_said& said, fake_caller& who) {
        who.close = who.number == 0;
        return who.close ? std::string() : echo(said, who);
    });
    client writer = co_await client::connect(other.url());
    try {
        co_await writer.append("key", "value");
        FAIL("an unanswered write is an error");
    } catch (const redis::error& lost) {
        CHECK(lost.how_far() == net::fate::unanswered);
        CHECK(std::string(lost.what()).starts_with("APPEND (sent and unanswered)"));
    }
    CHECK(other.heard().size() == 1);
    co_await db.close();
    co_await writer.close();
}

OURO_TEST("behind READONLY a connection is made again, and costs nobody else a reply") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (said[0] != "SET") return echo(said, who);
        return who.number == 0 ? std::string("-READONLY You can't write against a replica\r\n")
                               : std::string("+OK\r\n");
    });
    client db = co_await client::connect(server.url());
    auto set = [](client on, net::fate& how_far, std::error_code& why) -> task<> {
        try {
            co_await on.set("k", "v");
        } catch (const redis::error& failure) {
            how_far = failure.how_far();
            why = failure.code();
        }
    };
    net::fate how_far = net::fate::unsent;
    std::error_code why;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) tasks.spawn(ask(db, "before " + std::to_string(i)));
        tasks.spawn(set, db, std::ref(how_far), std::ref(why));
        for (int i = 0; i < 10; ++i) tasks.spawn(ask(db, "behind " + std::to_string(i)));
        co_await yield();
        for (int i = 0; i < 10; ++i) tasks.spawn(ask(db, "later " + std::to_string(i)));
    });
    CHECK(why == redis::errc::read_only);
    CHECK(how_far == net::fate::answered);
    CHECK(db.sessions().front()->figures().repeated == 0);
    co_await db.set("k", "v");
    CHECK(server.connections() == 2);
    co_await db.close();
}

OURO_TEST("a replica that is meant is not left again and again") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (said[0] != "SET") return echo(said, who);
        return std::string("-READONLY You can't write against a replica\r\n");
    });
    client db = co_await client::connect(server.url());
    for (int i = 0; i < 600; ++i) {
        const auto refused = co_await as_result(db.set("k", "v"));
        CHECK(refused.error() == redis::errc::read_only);
        co_await ask(db, "mine");
        co_await sleep_for(100ms);
    }
    CHECK(server.connections() < 15);
    // A leased connection that has met it is lent no more.
    auto mine = co_await db.lease();
    CHECK(!co_await as_result(mine->set("k", "v")));
    co_await mine->echo("still mine");
    CHECK(!mine->usable());
    mine.release();
    co_await db.close();
}

OURO_TEST("a replica that was asked for is not left at all") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (said[0] == "READONLY") return std::string("+OK\r\n");
        if (said[0] != "SET") return echo(said, who);
        return std::string("-READONLY You can't write against a replica\r\n");
    });
    redis::session_options how;
    how.where = redis::url::read(server.url()).where;
    how.replica = true;
    const auto on = redis::session::open(std::move(how));
    co_await on->ready();
    redis::arg_list words;
    words.add("k", "v");
    for (int i = 0; i < 3; ++i) {
        redis::call<void> write(*on, redis::verb::set, words);
        const auto refused = co_await as_result(write);
        CHECK(refused.error() == redis::errc::read_only);
        redis::call<void> ping(*on, redis::verb::ping);
        co_await ping;
        co_await sleep_for(1s);
    }
    CHECK(server.connections() == 1);
    co_await on->closed();
}

OURO_TEST("what is asked while there is no connection leaves on the next one") {
    fake_server server([](const words_said& said, fake_caller& who) {
        who.close = who.number == 0;
        return echo(said, who);
    });
    client db = co_await client::connect(server.url());
    co_await ask(db, "first");
    co_await settle();
    CHECK(!db.sessions().front()->is_connected());
    co_await ask(db, "second");
    CHECK(server.connections() == 2);
    co_await db.close();
}

OURO_TEST("a server that answers nothing is given up after the request timeout") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (who.number == 0 && said[0] != "PING") return std::string();
        return echo(said, who);
    });
    redis::client_options options;
    options.link.requests.request_timeout = 2s;
    client db = co_await client::connect(server.url(), options);
    const time_point begin = clock::now();
    const auto got = co_await as_result(db.append("a", "b"));
    CHECK(got.error() == ouro::errc::timed_out);
    CHECK(clock::now() - begin >= 2s);
    co_await ask(db, "again");
    co_await db.close();
}

OURO_TEST("an idle connection is asked for a sign of life, and replaced when it gives none") {
    fake_server server([](const words_said& said, fake_caller& who) {
        return who.number == 0 ? std::string() : echo(said, who);
    });
    redis::client_options options;
    options.link.idle_ping = 10s;
    options.link.requests.request_timeout = 1s;
    client db = co_await client::connect(server.url(), options);
    co_await sleep_for(30s);
    CHECK(server.connections() == 2);
    REQUIRE(!server.heard().empty());
    CHECK(server.heard().front() == words_said{"PING"});
    co_await ask(db, "alive");
    co_await db.close();
}

OURO_TEST("RESP2 is spoken with a server that does not know HELLO, and only then") {
    fake_server old(
        [](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO") return std::string("-ERR unknown command `HELLO`\r\n");
            if (said[0] == "AUTH" || said[0] == "SELECT") return std::string("+OK\r\n");
            return echo(said, who);
        },
        false);
    client db =
        co_await client::connect("redis://:secret@127.0.0.1:" + std::to_string(old.port()) + "/2");
    CHECK(db.sessions().front()->protocol() == 2);
    co_await ask(db, "hello");
    co_await db.close();

    fake_server strict(
        [](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO")
                return std::string("-WRONGPASS invalid username-password pair\r\n");
            return echo(said, who);
        },
        false);
    const auto refused = co_await as_result(
        client::connect("redis://:wrong@127.0.0.1:" + std::to_string(strict.port())));
    CHECK(refused.error() == redis::errc::wrong_password);
    for (const words_said& said : strict.heard()) CHECK(said[0] != "AUTH");
}

OURO_TEST("while the server loads its data, callers wait for it within their time") {
    fake_server server(
        [](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO" && who.number < 3)
                return std::string("-LOADING Redis is loading the dataset in memory\r\n");
            if (said[0] == "HELLO") return std::string("%0\r\n");
            return echo(said, who);
        },
        false);
    const auto refused = co_await as_result(client::connect(server.url()));
    CHECK(refused.error() == redis::errc::loading);
    auto session = redis::session::open({.where = redis::url::parse(server.url()).value().where});
    redis::call<std::string> call(*session, redis::verb::echo, {"there"});
    CHECK(co_await call == "there");
    co_await session->closed();
}

OURO_TEST("a refusal that time does not mend fails who waits at once") {
    fake_server server(
        [](const words_said&, fake_caller&) {
            return std::string("-NOAUTH Authentication required.\r\n");
        },
        false);
    auto session = redis::session::open({.where = redis::url::parse(server.url()).value().where});
    const time_point begin = clock::now();
    redis::call<std::string> call(*session, redis::verb::echo, {"there"});
    const auto got = co_await as_result(call);
    CHECK(got.error() == redis::errc::no_auth);
    CHECK(clock::now() - begin < 1s);
    co_await session->closed();
}

OURO_TEST("closing tells everybody who waits") {
    fake_server server([](const words_said&, fake_caller&) { return std::string(); });
    client db = co_await client::connect(server.url());
    auto waiting = spawn(ask(db, "a"));
    co_await settle();
    co_await db.close();
    const auto told = co_await as_result(waiting);
    CHECK(told.error() == ouro::errc::closed);
    const auto late = co_await as_result(db.get("b"));
    CHECK(late.error() == ouro::errc::closed);
}

OURO_TEST("a value above Redis' limit is refused before it is sent") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    const std::vector<std::string_view> keys(redis::command_words_max, "k");
    const auto refused = co_await as_result(db.del(keys));
    CHECK(refused.error() == redis::errc::too_large);
    co_await ask(db, "still there");
    co_await db.close();
}

task<> everything() {
    fake_server server(attributed);
    client db = co_await client::connect(server.url());
    auto both = co_await all_of(db.get("a"), db.get("b"));
    CHECK(std::get<0>(both) == "a");
    CHECK(std::get<1>(both) == "b");
    auto batch = db.pipeline();
    auto first = batch.get("c");
    auto second = batch.get<std::string_view>("d");
    co_await batch.exec();
    CHECK(first.get() == "c");
    CHECK(second.get() == "d");
    co_await ask(db, "e");
    co_await ask(db, std::string(30'000, 'f'));
    co_await db.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(everything);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 20);
}

OURO_TEST("a server that says the password back has it shown to nobody") {
    fake_server server(
        [](const words_said& said, fake_caller&) {
            std::string all = "-ERR no such user:";
            for (const std::string& word : said) all += " " + word;
            return all + "\r\n";
        },
        false);
    for (const int protocol : {2, 3}) {
        redis::client_options options;
        options.link.protocol = protocol;
        const std::string url = "redis://alice:sesame@127.0.0.1:" + std::to_string(server.port());
        std::string shown;
        try {
            static_cast<void>(co_await client::connect(url, options));
        } catch (const redis::error& failure) {
            shown = std::string(failure.what()) + std::string(failure.words());
        }
        CHECK(shown.find("no such user") != std::string::npos);
        CHECK(shown.find("sesame") == std::string::npos);
    }
}

}  // namespace
