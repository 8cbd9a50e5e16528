#include <ouro/tests/kv/real.hpp>

#include <ouro/kv/redis/sentinel.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;
using redis::sentinel_client;

namespace {

task<sentinel_client> connect(const redis_sentinels& group, redis::sentinel_options options = {}) {
    const std::string first = group.sentinel(0).address();
    const std::string second = group.sentinel(1).address();
    co_return co_await sentinel_client::connect({first, second}, redis_sentinels::name, options);
}

/// Waits, as long as it takes a failover at most, until a write arrives.
task<int> write_until_done(sentinel_client& db, std::string value) {
    int refused = 0;
    for (const time_point until = clock::exact_now() + 60s; clock::exact_now() < until;) {
        const auto done = co_await as_result(db.set("key", value));
        if (done) co_return refused;
        CHECK(done.error() != redis::errc::read_only);
        ++refused;
        co_await sleep_for(20ms);
    }
    throw std::runtime_error("no write in a minute");
}

/// Blocks in a thread of its own what would block the loop.
template <class F>
task<> meanwhile(F act) {
    bool ended = false;
    std::thread worker([&] {
        act();
        __atomic_store_n(&ended, true, __ATOMIC_RELEASE);
    });
    while (!__atomic_load_n(&ended, __ATOMIC_ACQUIRE)) co_await sleep_for(5ms);
    worker.join();
}

/// Whether the client and the sentinels come to agree on the master. On a busy machine these may
/// replace it once more.
task<bool> agrees(sentinel_client& db, const redis_sentinels& group) {
    for (const time_point until = clock::exact_now() + 30s; clock::exact_now() < until;) {
        try {
            if (db.where() && db.where()->port == group.master().port()) co_return true;
        } catch (const std::runtime_error&) {
            // not even the sentinels among themselves
        }
        co_await sleep_for(20ms);
    }
    co_return false;
}

task<> fails_over(redis_sentinels& group, redis_server& first) {
    sentinel_client db = co_await connect(group);
    CHECK(db.where()->port == first.port());
    co_await db.set("key", "before");
    first.kill();
    const int refused = co_await write_until_done(db, "after");
    CHECK(refused > 0);
    CHECK(db.where()->port != first.port());
    std::optional<std::string> got = co_await db.get("key");
    CHECK(got == "after");
    const bool agreed = co_await agrees(db, group);
    CHECK(agreed);
    // The old one comes back, as a replica before long.
    first.restart();
    CHECK(co_await write_until_done(db, "at last") == 0);
    co_await db.close();
}

OURO_TEST_REAL("a client follows the master when that is killed") {
    redis_sentinels group({.down_after = 500ms});
    co_await fails_over(group, group.server(0));
}

OURO_TEST_REAL("a client follows a failover that somebody has ordered") {
    redis_sentinels group({.password = "secret", .sentinel_password = "sentinels-own"});
    sentinel_client db = co_await connect(
        group, {.password = "secret", .sentinel_password = "sentinels-own", .replicas = true});
    CHECK(db.sentinels().size() >= 3);
    redis_server& first = group.server(0);
    int written = 0;
    bool over = false;
    auto writing = spawn([&]() -> task<> {
        while (!over) {
            const auto done = co_await as_result(db.incr("count"));
            if (done) ++written;
            co_await sleep_for(1ms);
        }
    });
    while (written == 0) co_await sleep_for(1ms);
    CHECK(group.sentinel(0).call({"SENTINEL", "FAILOVER", "mymaster"}) == "OK");
    co_await meanwhile([&] { group.wait_until_failed_over(first); });
    while (!db.where() || db.where()->port == first.port()) co_await sleep_for(5ms);
    const int before = written;
    while (written <= before) co_await sleep_for(1ms);
    over = true;
    co_await writing;
    const bool agreed = co_await agrees(db, group);
    CHECK(agreed);
    const auto count = co_await db.get<int>("count");
    CHECK(count.value_or(0) > 0);
    co_await write_until_done(db, "v");
    co_await db.close();
}

OURO_TEST_REAL("a master that says nothing any more is left when the sentinels say so") {
    redis_sentinels group({.down_after = 500ms});
    redis_server& first = group.server(0);
    sentinel_client db =
        co_await connect(group, {.client = {.link = {.requests = {.request_timeout = 1s}}}});
    first.pause();
    const int refused = co_await write_until_done(db, "after");
    CHECK(refused > 0);
    CHECK(db.where()->port != first.port());
    first.resume();
    CHECK(co_await write_until_done(db, "still") == 0);
    CHECK(db.where()->port != first.port());
    co_await db.close();
}

OURO_TEST_REAL("reads go to replicas, and follow these, too") {
    redis_sentinels group;
    sentinel_client db = co_await connect(group, {.replicas = true});
    while (db.replicas().size() < 2) co_await sleep_for(5ms);
    {
        auto mine = co_await db.lease();
        co_await mine->set("key", "v");
        CHECK(co_await mine->wait(2, 10s) == 2);
    }
    for (int i = 0; i < 4; ++i) {
        auto near = db.replica();
        CHECK(near.where().port != group.server(0).port());
        const auto got = co_await near.get("key");
        CHECK(got == "v");
        const auto refused = co_await as_result(near.set("key", "w"));
        CHECK(refused.error() == redis::errc::read_only);
    }
    co_await db.close();
}

}  // namespace
