// AUTH, SELECT and HELLO, on a connection of one's own and on the shared one.
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

redis_server& guarded() {
    static redis_server server({.password = "secret"});
    return server;
}

task<client> inside(redis::client_options options = {}) {
    co_return co_await client::connect("redis://:secret@" + guarded().address(), options);
}

OURO_TEST_REAL("the password alone lets in, and so does the user default with it") {
    client db = co_await inside();
    CHECK(co_await db.command<std::string>("ACL WHOAMI") == "default");
    client named = co_await client::connect("redis://default:secret@" + guarded().address());
    co_await named.ping();
    co_await db.close();
    co_await named.close();
}

OURO_TEST_REAL("a password where none is set is refused, and not ignored") {
    const failure refused =
        co_await failure_of(client::connect("redis://:secret@" + shared_redis().address()));
    // A server without a password takes any for its default user from HELLO; AUTH refuses it.
    if (refused) CHECK(refused.code == redis::errc::wrong_password);
    redis::client_options old;
    old.link.protocol = 2;
    const failure also =
        co_await failure_of(client::connect("redis://:secret@" + shared_redis().address(), old));
    CHECK(also.code == redis::errc::wrong_password);
    CHECK(also.says("ERR AUTH <password> called without any password configured"));
}

OURO_TEST_REAL("AUTH on a leased connection: wrong, then another user, and it is not lent again") {
    client db = co_await inside();
    co_await db.command("ACL SETUSER", {"bob", "on", ">builder", "~*", "+@all"});
    auto mine = co_await db.lease();
    const failure wrong = co_await failure_of(mine->command("AUTH", {"bob", "guess"}));
    CHECK(wrong.code == redis::errc::wrong_password);
    CHECK(co_await mine->command<std::string>("ACL WHOAMI") == "default");
    co_await mine->command("AUTH", {"bob", "builder"});
    CHECK(co_await mine->command<std::string>("ACL WHOAMI") == "bob");
    mine.release();
    auto next = co_await db.lease();
    CHECK(co_await next->command<std::string>("ACL WHOAMI") == "default");
    next.release();
    co_await db.close();
}

OURO_TEST_REAL("a user that is taken away while it is connected gets a typed error") {
    client admin = co_await inside();
    co_await admin.command("ACL SETUSER", {"carol", "on", ">dance", "~*", "+@all"});
    redis::client_options options;
    options.link.backoff.first = 5ms;
    client db = co_await client::connect("redis://carol:dance@" + guarded().address(), options);
    co_await db.set("a", 1);
    co_await admin.command("ACL DELUSER", "carol");
    // The server ends her connection, and does not let her in again.
    failure refused;
    while (refused.code != redis::errc::wrong_password) {
        refused = co_await failure_of(db.get("a"));
        co_await sleep_for(1ms);
    }
    co_await db.close();
    co_await admin.close();
}

OURO_TEST_REAL("a password changed meanwhile does not disturb who is in") {
    redis_server server({.password = "old"});
    client db = co_await client::connect("redis://:old@" + server.address());
    co_await db.config_set({{"requirepass", "new"}});
    co_await db.set("a", 1);
    const failure late = co_await failure_of(client::connect("redis://:old@" + server.address()));
    CHECK(late.code == redis::errc::wrong_password);
    client fresh = co_await client::connect("redis://:new@" + server.address());
    CHECK(co_await fresh.get("a") == "1");
    co_await fresh.close();
    co_await db.close();
}

OURO_TEST_REAL("a password is replaced while requests flow, and none of them fails") {
    redis_server server({.password = "one"});
    std::string known = "one";
    redis::credentials_from source([&] { return redis::credentials({}, known); });
    client db = co_await client::connect("redis://" + server.address(),
                                         {.connections = 2, .credentials = &source});
    client admin = co_await client::connect("redis://:one@" + server.address());
    int done = 0;
    bool over = false;
    const auto write = [&]() -> task<> {
        while (!over) {
            co_await db.incr("count");
            ++done;
        }
    };
    const auto read = [&]() -> task<> {
        while (!over) co_await db.get("count");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 4; ++i) tasks.spawn(write());
        for (int i = 0; i < 4; ++i) tasks.spawn(read());
        for (const char* const next : {"two", "three", "four"}) {
            co_await admin.command("CONFIG SET", {"requirepass", next});
            known = next;
            co_await db.reauthenticate();
            const int before = done;
            while (done < before + 50) co_await sleep_for(1ms);
        }
        over = true;
    });
    CHECK(co_await db.get<int>("count") == done);

    // Connections that are lost afterwards come back with the last of them.
    const std::int64_t killed = db.sessions().front()->id();
    redis::client_kill_options victim;
    victim.id = killed;
    co_await admin.client_kill(victim);
    for (int i = 0; i < 10; ++i) CHECK(co_await db.get<int>("count") == done);
    while (db.sessions().front()->id() == killed || !db.sessions().front()->is_connected())
        co_await sleep_for(1ms);
    const failure refused =
        co_await failure_of(client::connect("redis://:one@" + server.address()));
    CHECK(refused.code == redis::errc::wrong_password);
    co_await db.close();
    co_await admin.close();
}

OURO_TEST_REAL("databases do not see each other, and SELECT goes where it is told") {
    client db = co_await inside();
    co_await db.flushall();
    auto mine = co_await db.lease();
    co_await db.set("a", "zero");
    co_await mine->command("SELECT", 5);
    CHECK(co_await mine->get("a") == std::nullopt);
    co_await mine->set("a", "five");
    const failure none = co_await failure_of(mine->command("SELECT", 16));
    CHECK(none.says("ERR DB index is out of range"));
    const failure word = co_await failure_of(mine->command("SELECT", "five"));
    CHECK(word.says("ERR value is not an integer"));
    CHECK(co_await mine->get("a") == "five");
    CHECK(co_await db.get("a") == "zero");
    mine.release();
    client five = co_await client::connect("redis://:secret@" + guarded().address() + "/5");
    CHECK(co_await five.get("a") == "five");
    // A leased connection of that client is in its database, too.
    auto leased = co_await five.lease();
    CHECK(co_await leased->get("a") == "five");
    leased.release();
    co_await five.close();
    co_await db.close();
}

OURO_TEST_REAL("HELLO on a leased connection changes its protocol, and is understood") {
    client db = co_await inside();
    co_await db.flushall();
    co_await db.hset("hash", {{"a", 1}});
    auto mine = co_await db.lease();
    const redis::reply three = co_await mine->command("HGETALL", "hash");
    CHECK(three.kind() == redis::type::map);
    const failure unknown = co_await failure_of(mine->command("HELLO", 9));
    CHECK(unknown.code == redis::errc::no_protocol);
    co_await mine->command("HELLO", 2);
    const redis::reply two = co_await mine->command("HGETALL", "hash");
    CHECK(two.kind() == redis::type::array);
    CHECK((co_await mine->hgetall("hash")).at("a") == "1");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("RESET and QUIT end what a leased connection was") {
    client db = co_await inside();
    auto mine = co_await db.lease();
    CHECK(co_await mine->command<std::string>("RESET") == "RESET");
    const failure out = co_await failure_of(mine->get("a"));
    CHECK(out.code == redis::errc::no_auth);
    mine.release();
    auto next = co_await db.lease();
    co_await next->command("QUIT");
    const failure ended = co_await failure_of(next->get("a"));
    CHECK(ended);
    next.release();
    co_await db.ping();
    co_await db.close();
}

}  // namespace
