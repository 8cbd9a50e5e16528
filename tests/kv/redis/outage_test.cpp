// What a client of a real server goes through: killed connections, restarts, silence.
#include <ouro/kv/redis/client.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

struct tally {
    int answered = 0;
    int lost = 0;  // unanswered: may have been done
};

OURO_TEST_REAL("connections killed under load cost writes their certainty, and reads nothing") {
    client db = co_await fresh_client();
    client killer = co_await client::connect(url_of(shared_redis()));
    co_await db.set("constant", "x");
    tally writes;
    bool over = false;
    auto write = [&]() -> task<> {
        while (!over) {
            const failure failed = co_await failure_of(db.incr("count"));
            if (failed) {
                CHECK(failed.how_far == net::fate::unanswered);
                ++writes.lost;
            } else {
                ++writes.answered;
            }
        }
    };
    auto read = [&]() -> task<> {
        while (!over) CHECK(co_await db.get("constant") == "x");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 8; ++i) tasks.spawn(write());
        for (int i = 0; i < 8; ++i) tasks.spawn(read());
        for (int kills = 0; kills < 5; ++kills) {
            const int before = writes.answered;
            while (writes.answered < before + 100) co_await sleep_for(1ms);
            redis::client_kill_options victim;
            victim.id = db.sessions().front()->id();
            co_await killer.client_kill(victim);
        }
        const int before = writes.answered;
        while (writes.answered < before + 100) co_await sleep_for(1ms);
        over = true;
    });
    const std::optional<int> count = co_await db.get<int>("count");
    CHECK(count.value() >= writes.answered);
    CHECK(count.value() <= writes.answered + writes.lost);
    co_await db.close();
    co_await killer.close();
}

OURO_TEST_REAL("a server that was started again is found again") {
    redis_server server;
    redis::client_options options;
    options.link.backoff.first = 5ms;
    options.link.backoff.ceiling = 50ms;
    options.client_name = "steadfast";
    client db = co_await client::connect(url_of(server) + "/2", options);
    co_await db.set("a", "lost with the server");
    auto mine = co_await db.lease();
    server.kill();
    const failure gone = co_await failure_of(mine->ping());
    CHECK(gone);
    CHECK_FALSE(mine->usable());
    mine.release();
    // What is asked meanwhile waits for the next connection.
    auto keep = [&]() -> task<> { co_await db.set("b", "kept"); };
    auto waiting = spawn(keep);
    co_await yield();
    server.restart();
    static_cast<void>(co_await as_result(waiting));
    CHECK(co_await db.get("a") == std::nullopt);
    co_await db.set("b", "in two");
    const std::string clients = co_await db.client_list();
    CHECK(clients.find("name=steadfast") != clients.npos);
    client two = co_await client::connect(url_of(server) + "/2");
    CHECK(co_await two.get("b") == "in two");
    auto again = co_await db.lease();
    CHECK(co_await again->get("b") == "in two");
    again.release();
    co_await db.close();
    co_await two.close();
}

OURO_TEST_REAL("without a server for as long as the request may take, it says why") {
    redis_server server;
    redis::client_options options;
    options.link.requests.request_timeout = 200ms;
    options.link.backoff.first = 5ms;
    options.link.backoff.ceiling = 20ms;
    client db = co_await client::connect(url_of(server), options);
    server.kill();
    static_cast<void>(co_await as_result(db.ping()));  // may find the end of the connection
    const failure refused = co_await failure_of(db.set("a", 1));
    CHECK(refused.code == std::errc::connection_refused);
    CHECK(refused.how_far == net::fate::unsent);
    server.restart();
    failure until_found;
    for (int tries = 0; tries < 1000; ++tries) {  // each lasts up to the timeout
        until_found = co_await failure_of(db.set("a", 1));
        if (!until_found) break;
    }
    CHECK_FALSE(until_found);
    co_await db.close();
}

OURO_TEST_REAL("a server that stands still is given up after the request timeout") {
    redis_server server;
    redis::client_options options;
    options.link.requests.request_timeout = 200ms;
    options.connect_timeout = 200ms;
    options.repeats = 0;
    client db = co_await client::connect(url_of(server), options);
    server.pause();
    const time_point begin = clock::now();
    const failure silent = co_await failure_of(db.set("a", 1));
    CHECK(silent.code == ouro::errc::timed_out);
    CHECK(silent.how_far == net::fate::unanswered);
    CHECK(clock::now() - begin >= 200ms);
    const failure connecting = co_await failure_of(client::connect(url_of(server), options));
    CHECK(connecting.code == ouro::errc::timed_out);
    server.resume();
    options.connect_timeout = 5s;
    client again = co_await client::connect(url_of(server), options);
    co_await again.set("b", 1);
    co_await again.close();
    co_await db.close();
}

OURO_TEST_REAL("a blocking command is given up when the server stands still beyond its time") {
    redis_server server;
    redis::client_options options;
    options.link.requests.request_timeout = 200ms;
    client db = co_await client::connect(url_of(server), options);
    const auto nothing = co_await db.blpop("list", 300ms);  // longer than a request may take
    CHECK_FALSE(nothing);
    server.pause();
    const failure silent = co_await failure_of(db.blpop("list", 100ms));
    CHECK(silent.code == ouro::errc::timed_out);
    server.resume();
    co_await db.close();
}

OURO_TEST_REAL("closing in the middle of load tells everybody, and leaves nothing open") {
    client db = co_await fresh_client();
    auto ask = [&]() -> task<> {
        for (;;) {
            const failure ended = co_await failure_of(db.incr("a"));
            if (!ended) continue;
            CHECK(ended.code == ouro::errc::closed);
            co_return;
        }
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) tasks.spawn(ask());
        for (int i = 0; i < 50; ++i) co_await yield();
        co_await db.close();
    });
    const failure late = co_await failure_of(db.get("a"));
    CHECK(late.code == ouro::errc::closed);
    CHECK(late.how_far == net::fate::unsent);
    const failure lease = co_await failure_of(db.lease());
    CHECK(lease.code == ouro::errc::closed);
}

}  // namespace
