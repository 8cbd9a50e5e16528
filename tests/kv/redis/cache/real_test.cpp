#include <ouro/tests/kv/real.hpp>

#include <ouro/kv/redis/cache.hpp>
#include <ouro/kv/redis/client.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <atomic>
#include <cstdlib>
#include <map>
#include <new>
#include <string>

namespace {
std::atomic<std::uint64_t> allocations = 0;
}

// Every allocation of this program comes by here.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace ouro;
using namespace std::chrono_literals;
using redis::cache;
using redis::client;

namespace {

task<client> connect(const redis_server& server, redis::client_options options = {}) {
    co_return co_await client::connect("redis://" + server.address(), options);
}

/// Everything that the server has said until now has been read.
task<> catch_up(client& db) {
    for (const auto& each : db.sessions()) {
        redis::call<void> ping(*each, redis::verb::ping);
        bool done = false;
        while (!done) {  // a connection that was lost is made again
            const auto answered = co_await as_result(ping);
            done = answered.has_value();
        }
    }
}

OURO_TEST_REAL("what was read is kept until somebody changes it") {
    redis_server server;
    client db = co_await connect(server);
    cache near = co_await cache::on(db);
    server.call({"SET", "k", "1"});
    server.call({"HSET", "h", "a", "1", "b", "2"});
    for (int i = 0; i < 3; ++i) {
        CHECK(co_await near.get("k") == "1");
        CHECK(co_await near.get<int>("k") == 1);
        const auto fields = co_await near.hgetall<std::map<std::string, int>>("h");
        CHECK(fields.at("b") == 2);
        const bool there = (co_await near.get("nothing")).has_value();
        CHECK(!there);
        const auto length = co_await near.run<int>(redis::verb::hlen, {"h"});
        CHECK(length == 2);
        const auto all = co_await near.mget({"k", "nothing", "k"});
        CHECK(all.size() == 3);
        CHECK(all[0] == "1");
        CHECK(!all[1]);
        CHECK(all[2] == "1");
    }
    CHECK(near.figures().misses == 4);
    CHECK(near.figures().entries == 4);

    // From outside, from this client itself, by expiry, and by coming into being.
    server.call({"SET", "k", "2"});
    co_await catch_up(db);
    CHECK(!near.peek("k"));
    CHECK(co_await near.get("k") == "2");
    co_await db.set("k", "3");
    co_await catch_up(db);
    CHECK(co_await near.get("k") == "3");
    co_await db.hset("h", {{"b", "3"}});
    co_await catch_up(db);
    CHECK((co_await near.run<int>(redis::verb::hlen, {"h"})) == 2);
    CHECK(near.figures().invalidations == 4);
    server.call({"SET", "nothing", "something"});
    co_await catch_up(db);
    CHECK(co_await near.get("nothing") == "something");
    server.call({"FLUSHALL"});
    co_await catch_up(db);
    CHECK(near.figures().entries == 0);
    const bool gone = (co_await near.get("k")).has_value();
    CHECK(!gone);
    co_await near.close();
    CHECK(server.call({"CLIENT", "LIST"}).find("flags=t") == std::string::npos);
    co_await db.close();
}

OURO_TEST_REAL("a key is not kept longer than it lives") {
    redis_server server;
    client db = co_await connect(server);
    cache near = co_await cache::on(db);
    server.call({"SET", "k", "1", "PX", "300000"});
    auto held = co_await near.share("k");
    CHECK(held.text() == "1");
    const duration left = held.entry().expires_at - clock::now();
    CHECK(left <= 300s);
    CHECK(left > 0s);
    server.call({"SET", "long", "1"});
    held = co_await near.share("long");
    CHECK(held.entry().expires_at == time_point::max());
    co_await db.close();
}

OURO_TEST_REAL("after a lost connection it knows nothing, and tracks again") {
    redis_server server;
    client db = co_await connect(server);
    cache near = co_await cache::on(db);
    server.call({"SET", "k", "1"});
    CHECK(co_await near.get("k") == "1");
    server.kill();
    server.restart();
    co_await catch_up(db);
    CHECK(!near.peek("k"));
    server.call({"SET", "k", "2"});
    CHECK(co_await near.get("k") == "2");
    CHECK(near.peek("k"));
    server.call({"SET", "k", "3"});
    co_await catch_up(db);
    CHECK(co_await near.get("k") == "3");
    co_await db.close();
}

OURO_TEST_REAL("each connection tracks what was read on it") {
    redis_server server;
    client db = co_await connect(server, {.connections = 3});
    cache near = co_await cache::on(db);
    redis::words keys = {"a", "b", "c", "d", "e", "f"};
    co_await near.mget(keys);
    CHECK(near.figures().entries == 6);
    // One connection goes, and with it what was read there.
    co_await db.command("PING");
    server.call({"CLIENT", "KILL", "ID", std::to_string(db.sessions()[1]->id())});
    while (near.figures().entries == 6) co_await catch_up(db);
    CHECK(near.figures().entries == 4);
    co_await near.mget(keys);
    for (const char* key : {"a", "b", "c", "d", "e", "f"}) server.call({"SET", key, "1"});
    co_await catch_up(db);
    CHECK(near.figures().entries == 0);
    const auto all = co_await near.mget(keys);
    for (const auto& each : all) CHECK(each == "1");
    co_await db.close();
}

OURO_TEST_REAL("broadcasting tells of keys with a prefix, and others are not kept") {
    redis_server server;
    client db = co_await connect(server);
    cache near = co_await cache::on(db, {.broadcast = true, .prefixes = {"user:", "page:"}});
    server.call({"MSET", "user:1", "a", "page:1", "b", "k", "c"});
    co_await catch_up(db);
    for (int i = 0; i < 2; ++i) {
        CHECK(co_await near.get("user:1") == "a");
        CHECK(co_await near.get("page:1") == "b");
        CHECK(co_await near.get("k") == "c");
    }
    CHECK(near.figures().hits == 2);
    CHECK(near.figures().entries == 2);
    server.call({"SET", "user:1", "d"});
    co_await catch_up(db);
    CHECK(co_await near.get("user:1") == "d");
    CHECK(near.peek("page:1").text() == "b");
    co_await db.close();
}

OURO_TEST_REAL("the server's limit for tracked keys only costs hits") {
    redis_server server({.config = {"tracking-table-max-keys 10"}});
    client db = co_await connect(server);
    cache near = co_await cache::on(db);
    for (int i = 0; i < 200; ++i) co_await near.get("key:" + std::to_string(i));
    // The server forgets, says so, and is believed.
    for (int round = 0; round < 100 && near.figures().entries > 20; ++round) {
        co_await catch_up(db);
        co_await db.command("DEBUG", {"SLEEP", "0.01"});
    }
    CHECK(near.figures().entries <= 20);
    CHECK(near.figures().invalidations >= 180);
    co_await db.close();
}

OURO_TEST_REAL("a server or a user that cannot track is told") {
    redis_server server({.acl = {"user default on nopass ~* +@all -client|tracking"}});
    client db = co_await connect(server);
    const auto refused = co_await as_result(cache::on(db));
    CHECK(refused.error() == redis::errc::no_permission);
    co_await db.close();
    redis_server plain;
    db = co_await connect(plain, {.link = {.protocol = 2}});
    const auto old = co_await as_result(cache::on(db));
    CHECK(old.error() == redis::errc::no_protocol);
    co_await db.close();
}

OURO_TEST_REAL("a hit allocates nothing") {
    redis_server server;
    client db = co_await connect(server);
    cache near = co_await cache::on(db);
    server.call({"SET", "k", "12345"});
    server.call({"RPUSH", "list", "1"});
    co_await near.get<int>("k");
    co_await near.run<int>(redis::verb::llen, {"list"});
    const std::uint64_t before = allocations.load();
    std::int64_t sum = 0;
    for (int i = 0; i < 1000; ++i) {
        sum += (co_await near.get<int>("k")).value_or(0);
        const redis::cached_reply held = co_await near.share("k");
        sum += static_cast<std::int64_t>(held.text().size());
        sum += co_await near.run<int>(redis::verb::llen, {"list"});
    }
    CHECK(allocations.load() - before == 0);
    CHECK(sum == 1000 * (12345 + 5 + 1));
    co_await db.close();
}

}  // namespace
