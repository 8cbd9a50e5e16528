// Who we are, when that changes: sources of credentials, and AUTH on connections in use.
#include <ouro/kv/redis/credentials.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

/// A server that lets in whoever knows its password, and changes it.
struct strict_server {
    std::string password = "one";
    int refused = 0;
    fake_server server{[this](const words_said& said, fake_caller&) { return answer(said); },
                       false};

    std::string answer(const words_said& said) {
        const auto at = std::ranges::find(said, "AUTH");
        if (at != said.end() && said.back() != password) {
            ++refused;
            return "-WRONGPASS invalid username-password pair: " + said.back() + "\r\n";
        }
        if (said[0] == "HELLO") return "%0\r\n";
        if (said[0] == "GET") return bulk(said[1]);
        return said[0] == "PING" ? "+PONG\r\n" : "+OK\r\n";
    }
};

task<> get_often(client db, int times) {
    for (int i = 0; i < times; ++i) {
        const std::string key = std::to_string(i);
        const std::optional<std::string> got = co_await db.get(key);
        CHECK(got == key);
        co_await sleep_for(10ms);
    }
}

OURO_TEST("who we are is asked in every handshake") {
    strict_server strict;
    std::string known = "one";
    redis::credentials_from source([&] { return redis::credentials("app", known); });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    strict.password = known = "two";
    strict.server.hang_up();
    co_await get_often(db, 3);
    CHECK(strict.server.connections() == 2);
    CHECK(strict.refused == 0);
    CHECK(strict.server.heard().front() == words_said{"HELLO", "3", "AUTH", "app", "one"});
    co_await db.close();
}

OURO_TEST("AUTH goes between the requests of others, and harms none") {
    strict_server strict;
    redis::credentials_from source([&](const redis::address& where) -> task<redis::credentials> {
        CHECK(where.port == strict.server.port());
        co_await sleep_for(5ms);
        co_return redis::credentials("app", strict.password);
    });
    client db =
        co_await client::connect(strict.server.url(), {.connections = 2, .credentials = &source});
    auto mine = co_await db.lease();
    auto idle = co_await db.lease();
    idle.release();
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 4; ++i) tasks.spawn(get_often(db, 20));
        co_await sleep_for(50ms);
        strict.password = "two";
        co_await db.reauthenticate();
    });
    const words_said auth{"AUTH", "app", "two"};
    CHECK(std::ranges::count(strict.server.heard(), auth) == 2);
    CHECK(strict.server.connections() == 4);

    // What is leased goes on, and is not lent again, nor is what was idle.
    co_await mine->ping();
    mine.release();
    mine = co_await db.lease();
    CHECK(strict.server.connections() == 5);
    CHECK(db.dedicated_figures().open == 1);
    mine.release();
    co_await db.close();
}

OURO_TEST("an AUTH that is refused is told, and the connection goes on as it was") {
    strict_server strict;
    std::string known = "one";
    redis::credentials_from source([&] { return redis::credentials({}, known); });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    known = "sesame";
    std::string words;
    try {
        co_await db.reauthenticate();
    } catch (const redis::error& failure) {
        CHECK(failure.code() == redis::errc::wrong_password);
        CHECK(failure.how_far() == net::fate::answered);
        words = failure.what();
    }
    CHECK(words.find("WRONGPASS") != std::string::npos);
    CHECK(words.find("sesame") == std::string::npos);
    co_await get_often(db, 1);
    CHECK(strict.server.connections() == 1);
    co_await db.close();
}

OURO_TEST("a source that throws is heard, and asked again") {
    strict_server strict;
    int fails = 1;
    redis::credentials_from source([&]() -> redis::credentials {
        if (fails-- > 0) throw std::runtime_error("the vault is locked");
        return {"app", "one"};
    });
    std::string words;
    try {
        co_await client::connect(strict.server.url(), {.credentials = &source});
    } catch (const redis::error& failure) {
        words = failure.what();
    }
    CHECK(words.find("the vault is locked") != std::string::npos);
    CHECK(strict.server.connections() == 0);

    fails = 2;
    redis::session_options how;
    how.where.port = strict.server.port();
    how.credentials = &source;
    const auto session = redis::session::open(how);
    redis::call<std::string> call(*session, redis::verb::get, {"there"});
    CHECK(co_await call == "there");  // at the third attempt
    fails = 1;
    std::string seen;
    try {
        co_await session->reauthenticate();
    } catch (const std::runtime_error& thrown) {
        seen = thrown.what();
    }
    CHECK(seen == "the vault is locked");
    co_await session->closed();
}

OURO_TEST("a login that ends is said again before that, on every connection, by itself") {
    strict_server strict;
    int given = 0;
    redis::credentials_from source([&] {
        strict.password = "number " + std::to_string(++given);
        return redis::credentials("app", strict.password, 100s);
    });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    auto mine = co_await db.lease();
    CHECK(given == 2);
    co_await sleep_for(79s);
    CHECK(given == 2);
    co_await sleep_for(2s);
    CHECK(given == 3);
    CHECK(strict.server.heard().back() == words_said{"AUTH", "app", "number 3"});
    CHECK_FALSE(mine->usable());  // it may be in the middle of something: it is not lent again
    mine.release();
    co_await sleep_for(800s);
    CHECK(given == 13);
    CHECK(strict.refused == 0);
    CHECK(strict.server.connections() == 2);
    co_await get_often(db, 1);
    co_await db.close();
}

OURO_TEST("a login that cannot be renewed is tried again, and the connection goes on meanwhile") {
    strict_server strict;
    int given = 0;
    redis::credentials_from source([&]() -> redis::credentials {
        ++given;
        if (given > 1 && given < 4) throw std::runtime_error("the vault is locked");
        return {"app", strict.password, given == 1 ? duration(10s) : duration::max()};
    });
    static std::string said;
    said.clear();
    set_log([](log_level, std::string_view text) { said += text; });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    co_await sleep_for(60s);
    set_log(log_to_stderr);
    CHECK(given == 4);
    CHECK(said.find("new login: the vault is locked") != std::string::npos);
    CHECK(strict.server.connections() == 1);
    co_await get_often(db, 1);
    co_await sleep_for(24h);
    CHECK(given == 4);
    co_await db.close();
}

OURO_TEST("without a connection there is nobody to be told, and a new one has asked for itself") {
    strict_server strict;
    redis::credentials_from source([&]() -> task<redis::credentials> {
        co_await sleep_for(20ms);
        co_return redis::credentials("app", strict.password);
    });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    auto told = spawn([](client db) -> task<> { co_await db.reauthenticate(); }(db));
    co_await settle();
    strict.server.hang_up();
    co_await told;
    co_await db.reauthenticate();
    co_await get_often(db, 1);
    CHECK(strict.server.connections() == 2);
    co_await db.close();
}

task<> use(client& db, strict_server& strict) {
    strict.password = "two";
    co_await db.reauthenticate();
    co_await get_often(db, 1);
}

task<> everything() {
    strict_server strict;
    redis::credentials_from source([&]() -> task<redis::credentials> {
        co_await yield();
        co_return redis::credentials("app", strict.password);
    });
    client db = co_await client::connect(strict.server.url(), {.credentials = &source});
    const auto used = co_await as_result(use(db, strict));
    co_await shield(db.close());  // the source stays until then, whatever happens
    used.value();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(everything);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

}  // namespace
