#include <ouro/kv/redis/client.hpp>

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/options_of_sockets.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

OURO_TEST_REAL("a value comes back as it was set, over RESP3 and RESP2") {
    for (const int protocol : {3, 2}) {
        redis::client_options options;
        options.link.protocol = protocol;
        client db = co_await fresh_client(options);
        CHECK(db.sessions().front()->protocol() == protocol);
        CHECK(co_await db.get("greeting") == std::nullopt);
        co_await db.set("greeting", "hello");
        CHECK(co_await db.get("greeting") == "hello");
        co_await db.hset("user", {{"name", "x"}, {"age", 5}});
        const auto user = co_await db.hgetall("user");
        CHECK(user.at("age") == "5");
        co_await db.close();
    }
}

OURO_TEST_REAL("64 tasks that ask at once cost a packet a turn, not one each") {
    client db = co_await fresh_client();
    for (int i = 0; i < 64; ++i) co_await db.set("key " + std::to_string(i), i);
    const auto before = db.sessions().front()->figures();
    auto ask = [&](int which) -> task<> {
        const std::optional<int> got = co_await db.get<int>("key " + std::to_string(which));
        CHECK(got == which);
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 64; ++i) tasks.spawn(ask(i));
        co_return;
    });
    const auto after = db.sessions().front()->figures();
    CHECK(after.requests - before.requests == 64);
    CHECK(after.batches - before.batches < 32);  // a turn has a limit in time
    co_await db.close();
}

OURO_TEST_REAL("all_of sends its commands together") {
    client db = co_await fresh_client();
    co_await db.set("a", 1);
    co_await db.set("b", "two");
    auto both = co_await all_of(db.get<int>("a"), db.get("b"));
    CHECK(std::get<0>(both) == 1);
    CHECK(std::get<1>(both) == "two");
    co_await db.close();
}

OURO_TEST_REAL("any command can be given by name, its reply read as any type") {
    client db = co_await fresh_client();
    co_await db.rpush("list", {"a", "b"});
    CHECK(co_await db.command<std::string>("OBJECT ENCODING", "list") == "quicklist");
    CHECK(co_await db.command<int>("llen", "list") == 2);
    const redis::reply all = co_await db.command("LRANGE", {"list", 0, -1});
    CHECK(all.size() == 2);
    CHECK(all[1].text() == "b");
    const failure none = co_await failure_of(db.command("NO-SUCH-COMMAND", redis::words(), {}));
    CHECK(none.code == redis::errc::unknown_command);
    CHECK(none.says("ERR unknown command"));
    const failure nothing = co_await failure_of(db.command(""));
    CHECK(nothing);
    CHECK(co_await db.get("list still works") == std::nullopt);
    co_await db.close();
}

OURO_TEST_REAL("a password is needed, and must be right") {
    redis_server server({.password = "open:sesame@home"});
    client db = co_await client::connect("redis://:open%3Asesame%40home@" + server.address());
    co_await db.set("a", 1);
    co_await db.close();
    redis::client_options old;
    old.link.protocol = 2;
    client db2 = co_await client::connect("redis://:open%3Asesame%40home@" + server.address(), old);
    CHECK(co_await db2.get("a") == "1");
    co_await db2.close();

    for (const int protocol : {3, 2}) {
        redis::client_options options;
        options.link.protocol = protocol;
        const failure wrong =
            co_await failure_of(client::connect("redis://:wrong@" + server.address(), options));
        CHECK(wrong.code == redis::errc::wrong_password);
        CHECK(wrong.says("WRONGPASS"));
        const failure none =
            co_await failure_of(client::connect("redis://" + server.address(), options));
        CHECK(none.code == redis::errc::no_auth);
        CHECK(none.says("NOAUTH"));
    }
}

OURO_TEST_REAL("users of the ACL come in by the URL, and may do what they may") {
    redis_server server({.acl = {"user default off", "user alice on >secret ~a:* +@all",
                                 "user guest on nopass ~* +get +ping +hello"}});
    client db = co_await client::connect("redis://alice:secret@" + server.address());
    CHECK(co_await db.command<std::string>("ACL WHOAMI") == "alice");
    co_await db.set("a:1", "x");
    const failure other = co_await failure_of(db.set("b:1", "x"));
    CHECK(other.code == redis::errc::no_permission);
    CHECK(other.says("NOPERM"));
    CHECK(co_await db.get("a:1") == "x");
    co_await db.close();

    client guest = co_await client::connect("redis://guest@" + server.address());
    CHECK(co_await guest.get("a:1") == "x");
    const failure write = co_await failure_of(guest.set("a:1", "y"));
    CHECK(write.code == redis::errc::no_permission);
    co_await guest.close();

    const failure wrong =
        co_await failure_of(client::connect("redis://alice:guess@" + server.address()));
    CHECK(wrong.code == redis::errc::wrong_password);
    const failure unnamed = co_await failure_of(client::connect(url_of(server)));
    CHECK(unnamed.code == redis::errc::no_auth);
}

OURO_TEST_REAL("it goes through a Unix socket, and into the database of the URL") {
    redis_server server({.unix_socket = true});
    client db = co_await client::connect("unix:" + server.unix_path());
    client third = co_await client::connect("unix://" + server.unix_path() + "?db=3");
    client also = co_await client::connect(url_of(server) + "/3");
    co_await third.set("a", "in three");
    CHECK(co_await db.get("a") == std::nullopt);
    CHECK(co_await also.get("a") == "in three");
    const failure none = co_await failure_of(client::connect(url_of(server) + "/16"));
    CHECK(none.says("ERR DB index is out of range"));
    const failure gone = co_await failure_of(client::connect("unix:/nowhere/redis.sock"));
    CHECK(gone.code == std::errc::no_such_file_or_directory);
    co_await db.close();
    co_await third.close();
    co_await also.close();
}

OURO_TEST_REAL("the name it gives itself is what the server lists") {
    for (const int protocol : {3, 2}) {
        redis::client_options options;
        options.link.protocol = protocol;
        options.client_name = "the-worker";
        client db = co_await client::connect(url_of(shared_redis()), options);
        CHECK(contains(co_await db.client_list(), "name=the-worker"));
        auto mine = co_await db.lease();
        CHECK(co_await mine->client_getname() == "the-worker");
        mine.release();
        co_await db.close();
    }
}

OURO_TEST_REAL("several shared connections each carry a part") {
    redis::client_options options;
    options.connections = 3;
    client db = co_await fresh_client(options);
    auto raise = [&]() -> task<> { co_await db.incr("a"); };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 60; ++i) tasks.spawn(raise());
        co_return;
    });
    CHECK(co_await db.get<int>("a") == 60);
    REQUIRE(db.sessions().size() == 3);
    for (const auto& each : db.sessions()) CHECK(each->figures().requests >= 20);
    co_await db.close();
}

// --- what cannot be shared ----------------------------------------------------------------------

OURO_TEST_REAL("what would change the shared connection is refused, and nothing is sent") {
    client db = co_await fresh_client();
    for (const std::string name :
         {"SELECT 1", "select", "MONITOR", "SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a",
          "UNSUBSCRIBE", "MULTI", "EXEC", "DISCARD", "WATCH a", "UNWATCH", "AUTH x", "HELLO 2",
          "RESET", "QUIT", "CLIENT REPLY OFF", "client setname x", "CLIENT TRACKING ON", "READONLY",
          "ASKING", "SYNC", "PSYNC ? -1", "SCRIPT DEBUG YES",
          // About what their own connection has done, or is.
          "WAIT 0 10", "WAITAOF 1 0 10000", "CLIENT ID", "CLIENT GETNAME", "CLIENT TRACKINGINFO",
          // Of newer servers, or of nobody that is known.
          "client no-touch on", "CLIENT SETINFO lib-name x", "NO-SUCH-COMMAND"}) {
        const failure refused = co_await failure_of(db.command(name));
        CHECK_MESSAGE(refused.code == redis::errc::not_shareable, name);
        CHECK_MESSAGE(refused.how_far == net::fate::unsent, name);
    }
    co_await db.set("a", "in zero");
    CHECK(db.sessions().front()->figures().repeated == 0);
    CHECK(co_await db.get("a") == "in zero");
    co_await db.close();
}

OURO_TEST_REAL("on a leased connection they are allowed, and it is not lent again") {
    client db = co_await fresh_client();
    co_await db.set("a", "in zero");
    {
        auto mine = co_await db.lease();
        co_await mine->command("SELECT", 1);
        CHECK(co_await mine->get("a") == std::nullopt);
        CHECK_FALSE(mine->usable());
    }
    auto next = co_await db.lease();
    CHECK(co_await next->get("a") == "in zero");
    CHECK(db.dedicated_figures().connects == 2);
    next.release();
    co_await db.close();
}

OURO_TEST_REAL("blocking commands wait on connections of their own while 64 tasks go on") {
    client db = co_await fresh_client();
    auto wait = [&](int number) -> task<> {
        const std::string key = "list " + std::to_string(number);
        const auto popped = co_await db.blpop(key, 30s);
        CHECK(popped->value == key);
    };
    auto ask = [&]() -> task<> {
        for (int i = 0; i < 10; ++i) co_await db.incr("count");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 4; ++i) tasks.spawn(wait(i));
        while (db.dedicated_figures().leased < 4) co_await yield();
        co_await with_scope([&](scope& busy) -> task<> {
            for (int i = 0; i < 64; ++i) busy.spawn(ask());
            co_return;
        });
        CHECK(co_await db.get<int>("count") == 640);
        CHECK(db.dedicated_figures().leased == 4);  // they wait still
        for (int i = 0; i < 4; ++i) {
            const std::string key = "list " + std::to_string(i);
            co_await db.rpush(key, key);
        }
    });
    CHECK(db.dedicated_figures().leased == 0);
    const auto nothing = co_await db.blpop("nothing", 10ms);
    CHECK_FALSE(nothing);
    const redis::reply by_name = co_await db.command("BLPOP", {"nothing", "0.01"});
    CHECK(by_name.is_null());
    co_await db.close();
}

OURO_TEST_REAL("a blocking command that is cancelled takes nothing from the list") {
    client db = co_await fresh_client();
    auto waiting = spawn(db.blpop("list", 30s));
    while (!contains(co_await db.client_list(), "cmd=blpop")) co_await yield();
    waiting.cancel();
    static_cast<void>(co_await as_result(waiting));
    while (contains(co_await db.client_list(), "cmd=blpop")) co_await yield();
    co_await db.rpush("list", "still there");
    CHECK(co_await db.lpop("list") == "still there");
    co_await db.close();
}

OURO_TEST_REAL("CLIENT UNBLOCK ends a blocking command with its error") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    const std::int64_t id = co_await mine->client_id();
    auto waiting = spawn(mine->blpop("list", 30s));
    while (!contains(co_await db.client_list(), "cmd=blpop")) co_await yield();
    CHECK(co_await db.client_unblock(id, true));
    const auto ended = co_await as_result(waiting);
    CHECK(ended.error() == redis::errc::unblocked);
    CHECK(mine->usable());
    mine.release();
    co_await db.close();
}

task<> lose_nothing(client db, std::vector<std::string>& taken, bool& over) {
    std::mt19937 random(1);
    while (!over) {
        const std::chrono::microseconds limit(random() % 3000);
        const auto moved = co_await as_result(
            timeout(limit, db.blmove("jobs", "mine", redis::side::left, redis::side::right, 30s)));
        if (!moved) CHECK(moved.error() == ouro::errc::timed_out);
        // Whatever has become of the call, what it took is here.
        while (auto job = co_await db.lpop("mine")) taken.push_back(*job);
    }
}

OURO_TEST_REAL("with BLMOVE to a list of one's own nothing is lost, whenever it is cancelled") {
    client db = co_await fresh_client();
    constexpr int count = 200;
    std::vector<std::string> taken;
    bool over = false;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(lose_nothing(db, taken, over));
        for (int i = 0; i < count; ++i) {
            co_await db.rpush("jobs", std::to_string(i));
            co_await sleep_for(std::chrono::microseconds(i * 37 % 2000));
        }
        while (co_await db.llen("jobs") > 0) co_await sleep_for(1ms);
        over = true;
    });
    // The server may still have been moving when its caller had gone.
    while (contains(co_await db.client_list(), "cmd=blmove")) co_await yield();
    while (auto job = co_await db.lpop("mine")) taken.push_back(*job);
    std::ranges::sort(taken);
    CHECK(taken.size() == count);
    CHECK(std::ranges::adjacent_find(taken) == taken.end());
    co_await db.close();
}

OURO_TEST_REAL("when all leases are out, a blocking command says so") {
    client db = co_await fresh_client({.dedicated_max = 1});
    auto mine = co_await db.lease();
    std::string what;
    try {
        co_await db.blpop("list", 1s);
    } catch (const redis::error& failure) {
        CHECK(failure.code() == ouro::errc::timed_out);
        CHECK(failure.how_far() == net::fate::unsent);
        what = failure.what();
    }
    CHECK(what ==
          "BLPOP: all 1 connections are leased (max 1), 1 waiting (max 1000), "
          "waited 5 s: timed out");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("every connection notices a peer that has vanished, as soon as is asked for") {
    const std::uint16_t port = shared_redis().port();
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    CHECK(options_of_sockets(port, SOL_SOCKET, SO_KEEPALIVE) == std::vector<int>{1, 1});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_KEEPIDLE) == std::vector<int>{15, 15});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_USER_TIMEOUT) ==
          std::vector<int>{30000, 30000});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_NODELAY) == std::vector<int>{1, 1});
    mine.release();
    co_await db.close();

    redis::client_options options;
    options.link.stream.keep_alive.reset();
    options.link.stream.user_timeout = 7s;
    db = co_await fresh_client(options);
    CHECK(options_of_sockets(port, SOL_SOCKET, SO_KEEPALIVE) == std::vector<int>{0});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_USER_TIMEOUT) == std::vector<int>{7000});
    co_await db.close();
}

OURO_TEST_REAL("more leases than there may be wait their turn") {
    redis::client_options options;
    options.dedicated_max = 1;
    client db = co_await fresh_client(options);
    auto mine = co_await db.lease();
    auto waiting = spawn(db.blpop("list", 30s));
    while (db.dedicated_figures().waiting == 0) co_await yield();
    co_await db.rpush("list", "x");
    mine.release();
    const auto popped = co_await waiting;
    CHECK(popped->value == "x");
    co_await db.close();
}

}  // namespace
