// What may be wrong with a server, a command or a value: each is a typed error with the server's
// words, leaves the connection in a known state, and costs nobody else anything.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/script.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

/// The connection is the one it was, and in step.
task<> still_works(client db, std::int64_t id) {
    CHECK(db.sessions().front()->id() == id);
    const std::string probe = "probe";
    CHECK(co_await db.echo(probe) == probe);
}

OURO_TEST_REAL("an error of one command is nobody else's, and the connection stays") {
    client db = co_await fresh_client();
    const std::int64_t id = db.sessions().front()->id();
    co_await db.rpush("list", "x");
    auto wrong = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) {
            const failure failed = co_await failure_of(db.incr("list"));
            CHECK(failed.code == redis::errc::wrong_type);
            CHECK(failed.words ==
                  "WRONGTYPE Operation against a key holding the wrong kind of value");
            CHECK(failed.how_far == net::fate::answered);
        }
    };
    auto right = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) co_await db.incr("count");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) {
            tasks.spawn(wrong());
            tasks.spawn(right());
        }
        co_return;
    });
    CHECK(co_await db.get<int>("count") == 200);
    co_await still_works(db, id);
    co_await db.close();
}

OURO_TEST_REAL("what the server says to a command is a code, and its words") {
    client db = co_await fresh_client();
    const std::int64_t id = db.sessions().front()->id();
    co_await db.set("text", "x");
    const failure number = co_await failure_of(db.incr("text"));
    CHECK(number.code == redis::errc::server_error);
    CHECK(number.words == "ERR value is not an integer or out of range");
    const failure script =
        co_await failure_of(db.evalsha("0000000000000000000000000000000000000000"));
    CHECK(script.code == redis::errc::no_script);
    CHECK(script.says("NOSCRIPT"));
    const failure few = co_await failure_of(db.command("GET"));
    CHECK(few.words == "ERR wrong number of arguments for 'get' command");
    const failure lua = co_await failure_of(db.eval("return redis.error_reply('MINE is mine')"));
    CHECK(lua.code == redis::errc::server_error);
    CHECK(lua.says("MINE is mine"));
    const failure group = co_await failure_of(db.command("XGROUP CREATE", {"none", "g", "$"}));
    CHECK(group);
    const failure type = co_await failure_of(db.get<int>("text"));
    CHECK(type.code == redis::errc::unexpected_reply);
    CHECK(type.how_far == net::fate::answered);
    co_await still_works(db, id);
    co_await db.close();
}

OURO_TEST_REAL("a script that the server has forgotten is sent again") {
    client db = co_await fresh_client();
    redis::script twice("return ARGV[1] * 2");
    CHECK(co_await twice.run<int>(db, {}, 4) == 8);
    co_await db.script_flush();
    CHECK(co_await twice.run<int>(db, {}, 5) == 10);
    co_await db.close();
}

OURO_TEST_REAL("keys and values may hold any bytes") {
    client db = co_await fresh_client();
    const std::int64_t id = db.sessions().front()->id();
    std::string every;
    for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
    const std::vector<std::string> odd = {"",
                                          " ",
                                          "\r\n",
                                          "a b",
                                          "a\r\nSET b 1\r\n",
                                          "*1\r\n$4\r\nQUIT\r\n",
                                          "$-1",
                                          "\xff\xfe",
                                          std::string("\0", 1),
                                          std::string("a\0b", 3),
                                          "-ERR",
                                          ":1",
                                          every,
                                          "{",
                                          "}",
                                          "*",
                                          "?"};
    for (const std::string& key : odd) {
        co_await db.set(key, key + every);
        CHECK(co_await db.get(key) == key + every);
        CHECK(co_await db.exists(key) == 1);
    }
    CHECK(co_await db.dbsize() == static_cast<std::int64_t>(odd.size()));
    co_await still_works(db, id);
    co_await db.close();
}

OURO_TEST_REAL("a list of keys of a megabyte is one command") {
    client db = co_await fresh_client();
    std::vector<std::string> keys;
    for (int i = 0; i < 50'000; ++i) keys.push_back("a key of some bytes " + std::to_string(i));
    co_await db.set(keys.front(), "first");
    co_await db.set(keys.back(), "last");
    const auto values = co_await db.mget(keys);
    REQUIRE(values.size() == keys.size());
    CHECK(values.front() == "first");
    CHECK(values[1] == std::nullopt);
    CHECK(values.back() == "last");
    CHECK(co_await db.del(keys) == 2);
    co_await db.close();
}

OURO_TEST_REAL("a key of a megabyte, and a value of many, come back whole") {
    client db = co_await fresh_client();
    const std::string key(1024 * 1024, 'k');
    std::string value(20 * 1024 * 1024, 'v');
    value.back() = '!';
    auto ask = [&]() -> task<> {
        for (int i = 0; i < 20; ++i) co_await db.incr("count");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(ask());
        co_await db.set(key, value);
        const std::optional<std::string> got = co_await db.get(key);
        CHECK((got == value));  // not printed
        tasks.spawn(ask());
    });
    CHECK(co_await db.get<int>("count") == 40);
    co_await db.close();
}

OURO_TEST_REAL("a value above the server's limit is refused, and the next command goes through") {
    redis_server server({.config = {"proto-max-bulk-len 1mb"}});
    redis::client_options options;
    options.link.backoff.first = 5ms;
    client db = co_await client::connect(url_of(server), options);
    const std::string value(2 * 1024 * 1024, 'v');
    // The server says why and closes, perhaps before it has read what it refuses.
    const failure refused = co_await failure_of(db.set("a", value));
    CHECK(refused);
    CHECK(refused.code != ouro::errc::timed_out);
    CHECK(co_await db.get("a") == std::nullopt);
    co_await db.close();
}

OURO_TEST_REAL("a value above Redis' limit is refused here, before it is copied") {
    client db = co_await fresh_client();
    const std::int64_t id = db.sessions().front()->id();
    // Only looked at for its size.
    const std::string_view huge("x", redis::word_bytes_max + 1);
    const failure refused = co_await failure_of(db.set("a", huge));
    CHECK(refused.code == redis::errc::too_large);
    CHECK(refused.how_far == net::fate::unsent);
    co_await still_works(db, id);
    co_await db.close();
}

OURO_TEST_REAL("a reply above our limit ends that connection, not the client") {
    redis::client_options options;
    options.link.limits.bulk_bytes_max = 1000;
    options.repeats = 0;
    options.link.backoff.first = 1ms;
    client db = co_await fresh_client(options);
    co_await db.set("small", std::string(1000, 'x'));
    co_await db.set("large", std::string(1001, 'x'));
    CHECK((co_await db.get("small")).value().size() == 1000);
    const failure refused = co_await failure_of(db.get("large"));
    CHECK(refused.code == ouro::errc::limit_exceeded);
    CHECK((co_await db.get("small")).value().size() == 1000);
    co_await db.close();
}

// --- the state of the server --------------------------------------------------------------------

OURO_TEST_REAL("out of memory, writes fail and reads do not") {
    redis_server server;
    client db = co_await client::connect(url_of(server));
    co_await db.set("a", "x");
    co_await db.config_set({{"maxmemory", "100kb"}, {"maxmemory-policy", "noeviction"}});
    const failure refused = co_await failure_of(db.set("b", "y"));
    CHECK(refused.code == redis::errc::out_of_memory);
    CHECK(refused.words == "OOM command not allowed when used memory > 'maxmemory'.");
    CHECK(co_await db.get("a") == "x");
    co_await db.close();
}

OURO_TEST_REAL("a replica reads and does not write") {
    redis_server server;
    client db = co_await client::connect(url_of(server));
    co_await db.set("a", "x");
    // Of a master that is not there; it serves what it has.
    co_await db.replicaof("127.0.0.1", free_port());
    const failure refused = co_await failure_of(db.set("a", "y"));
    CHECK(refused.code == redis::errc::read_only);
    CHECK(refused.says("READONLY"));
    CHECK(co_await db.get("a") == "x");
    co_await db.config_set({{"replica-serve-stale-data", "no"}});
    const failure stale = co_await failure_of(db.get("a"));
    CHECK(stale.code == redis::errc::master_down);
    co_await db.replicaof_no_one();
    co_await db.set("a", "y");
    co_await db.close();
}

OURO_TEST_REAL("while the server loads its data set, it says so, and then works") {
    redis_server server({.config = {"key-load-delay 100000", "rdbcompression no",
                                    "loading-process-events-interval-bytes 1024"}});
    redis::client_options options;
    options.link.backoff.first = 5ms;
    options.link.backoff.ceiling = 20ms;
    client db = co_await client::connect(url_of(server), options);
    for (int i = 0; i < 10; ++i)
        co_await db.set("key " + std::to_string(i), std::string(1000, 'x'));
    // Loads what it has just written: it answers others meanwhile, though only with LOADING.
    auto reloading = spawn(db.command<void>("DEBUG RELOAD"));
    failure said;
    for (bool over = false; !over && !said;) {
        said = co_await failure_of(db.get("key 1"));
        over = reloading.finished();
    }
    CHECK(said.code == redis::errc::loading);
    CHECK(said.says("LOADING"));
    co_await reloading;
    CHECK((co_await db.get("key 1")).value().size() == 1000);
    co_await db.close();
}

OURO_TEST_REAL("at its limit of connections the server says so, and room is found later") {
    redis_server server({.config = {"maxclients 2"}});
    client first = co_await client::connect(url_of(server));
    client second = co_await client::connect(url_of(server));
    const failure refused = co_await failure_of(client::connect(url_of(server)));
    CHECK(refused.code == redis::errc::too_many_clients);
    CHECK(refused.words == "ERR max number of clients reached");
    const failure lease = co_await failure_of(first.lease());
    CHECK(lease.code == redis::errc::too_many_clients);
    co_await first.set("a", 1);  // who is in is not disturbed
    co_await second.close();
    // The server notices soon.
    while (co_await failure_of(first.lease())) co_await sleep_for(5ms);
    co_await first.close();
}

OURO_TEST_REAL("a server that is busy with a script says so, and goes on when it is killed") {
    redis_server server({.config = {"busy-reply-threshold 20"}});
    client db = co_await client::connect(url_of(server));
    client other = co_await client::connect(url_of(server));
    auto running = spawn(db.command<void>("EVAL", {"while true do end", 0}));
    failure said;
    while (!said) said = co_await failure_of(other.get("a"));
    CHECK(said.code == redis::errc::busy);
    CHECK(said.says("BUSY"));
    co_await other.script_kill();
    const auto killed = co_await as_result(running);
    CHECK(killed.error() == redis::errc::server_error);
    CHECK(co_await db.get("a") == std::nullopt);
    co_await db.close();
    co_await other.close();
}

// --- no Redis server ----------------------------------------------------------------------------

OURO_TEST_REAL("nobody on that port is a refused connection, at once") {
    const std::string url = "redis://127.0.0.1:" + std::to_string(free_port());
    const failure refused = co_await failure_of(client::connect(url));
    CHECK(refused.code == std::errc::connection_refused);
    CHECK(refused.how_far == net::fate::unsent);
}

OURO_TEST_REAL("a name that nobody knows is an error of the resolver") {
    const failure unknown = co_await failure_of(client::connect("redis://no.such.host.invalid"));
    CHECK(unknown);
    CHECK(unknown.code != redis::errc::bad_url);
}

OURO_TEST_REAL("wrong URLs are refused before anything is connected") {
    for (const std::string wrong :
         {"http://127.0.0.1:6379", "redis://127.0.0.1:0", "redis://127.0.0.1:99999",
          "redis://127.0.0.1/zero", "redis://:%@127.0.0.1", "redis://[::1", "unix:"}) {
        const failure refused = co_await failure_of(client::connect(wrong));
        CHECK_MESSAGE(refused.code == redis::errc::bad_url, wrong);
        CHECK_MESSAGE(refused.how_far == net::fate::unsent, wrong);
    }
    std::string what;
    try {
        co_await client::connect("redis://user:secret@127.0.0.1:x");
    } catch (const redis::error& error) {
        what = error.what();
    }
    CHECK(!what.empty());
    CHECK(what.find("secret") == std::string::npos);
}

task<> answer_each(net::listener& listener, std::string answer) {
    for (;;) {
        net::stream caller = co_await listener.accept();
        net::reader in(caller);
        static_cast<void>(co_await as_result(in.read_some()));
        static_cast<void>(co_await as_result(caller.send_all(answer)));
        co_await caller.close();
    }
}

task<failure> connect_to_one_that_says(std::string answer) {
    net::listener listener(net::endpoint("127.0.0.1:0"));
    auto serving = spawn(answer_each(listener, std::move(answer)));
    const std::string url = "redis://127.0.0.1:" + std::to_string(listener.local().port());
    failure seen = co_await failure_of(client::connect(url));
    serving.cancel();
    static_cast<void>(co_await as_result(serving));
    co_return seen;
}

OURO_TEST_IO("another protocol on that port is a protocol error") {
    const std::vector<std::string> others = {
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail.example ESMTP\r\n",
        "\x15\x03\x03\x02\x28",
        "E\n",
    };
    for (const std::string& answer : others) {
        const failure seen = co_await connect_to_one_that_says(answer);
        CHECK_MESSAGE(seen.code == redis::errc::protocol_error, answer);
    }
    // Memcached's "ERROR" begins as no reply of Redis does, either.
    const failure memcached = co_await connect_to_one_that_says("ERROR\r\n");
    CHECK(memcached.code == redis::errc::protocol_error);
}

OURO_TEST_IO("one that closes without a word is the end of a stream") {
    const failure seen = co_await connect_to_one_that_says("");
    // It may close before it has read everything, which resets the connection.
    const bool reset = seen.code == std::errc::connection_reset;
    CHECK((reset || seen.code == ouro::errc::end_of_stream));
}

OURO_TEST_REAL("a memcached on that port is a protocol error") {
    static memcached_server server;
    const failure seen = co_await failure_of(client::connect("redis://" + server.address()));
    CHECK(seen.code == redis::errc::protocol_error);
}

}  // namespace
