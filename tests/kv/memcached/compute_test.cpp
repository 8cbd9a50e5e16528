// Stampede protection: one computes, the others wait or take what is stale.
#include <ouro/kv/memcached/client.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

memcached_server& shared_server() {
    static memcached_server one;
    return one;
}

/// Counts how often it is asked to compute, and takes its time.
struct work {
    int count = 0;
    event may_end{true};
    bool fails = false;

    task<std::string> compute() {
        const int mine = ++count;
        co_await may_end.wait();
        if (fails) throw std::runtime_error("no value");
        co_return "computed " + std::to_string(mine);
    }
};

task<std::string> ask(client& cache, std::string_view key, work& by, compute_options how = {}) {
    auto compute = [&by] { return by.compute(); };
    co_return co_await cache.get_or_compute(key, compute, how);
}

task<client> fresh() {
    client made = co_await client::connect(shared_server().address());
    co_await made.flush_all();
    co_return made;
}

OURO_TEST_REAL("of many callers in two clients one computes") {
    client here = co_await fresh();
    client there = co_await client::connect(shared_server().address());
    work by;
    by.may_end.reset();
    std::vector<join_handle<std::string>> callers;
    for (int i = 0; i < 20; ++i) callers.push_back(spawn(ask(i % 2 ? here : there, "key", by)));
    while (by.count == 0) co_await sleep_for(1ms);
    co_await sleep_for(20ms);
    by.may_end.set();
    for (auto& each : callers) {
        const std::string value = co_await each;
        CHECK(value == "computed 1");
    }
    CHECK(by.count == 1);
    const std::string again = co_await ask(here, "key", by);
    CHECK(again == "computed 1");
}

OURO_TEST_REAL("who waits too long for another computes for itself") {
    client cache = co_await fresh();
    work slow;
    slow.may_end.reset();
    auto first = spawn(ask(cache, "key", slow));
    while (slow.count == 0) co_await sleep_for(1ms);
    work quick;
    const std::string mine = co_await ask(cache, "key", quick, {.wait_max = 30ms});
    CHECK(mine == "computed 1");
    CHECK(quick.count == 1);
    slow.may_end.set();
    const std::string late = co_await first;
    CHECK(late == "computed 1");
}

OURO_TEST_REAL("a computation that fails gives its claim back") {
    client cache = co_await fresh();
    work bad;
    bad.fails = true;
    bool failed = false;
    try {
        co_await ask(cache, "key", bad);
    } catch (const std::runtime_error&) {
        failed = true;
    }
    CHECK(failed);
    work good;
    const std::string next = co_await ask(cache, "key", good, {.wait_max = 0s});
    CHECK(next == "computed 1");
    CHECK_FALSE(co_await cache.add("key", "x"));  // it was stored
}

OURO_TEST_REAL("a computation that is cancelled gives its claim back") {
    client cache = co_await fresh();
    work slow;
    slow.may_end.reset();
    auto first = spawn(ask(cache, "key", slow));
    while (slow.count == 0) co_await sleep_for(1ms);
    first.cancel();
    auto ended = co_await as_result(first);
    CHECK(ended.error() == ouro::errc::cancelled);
    CHECK_FALSE(co_await cache.get("key"));
}

OURO_TEST_REAL("a stale value is renewed by one caller while the others take it") {
    client cache = co_await fresh();
    co_await cache.set("key", "old");
    CHECK(co_await cache.mark_stale("key", 60s));
    CHECK_FALSE(co_await cache.mark_stale("none"));
    work by;
    by.may_end.reset();
    auto renewing = spawn(ask(cache, "key", by));
    while (by.count == 0) co_await sleep_for(1ms);
    const std::string meanwhile = co_await ask(cache, "key", by);
    CHECK(meanwhile == "old");
    by.may_end.set();
    const std::string renewed = co_await renewing;
    CHECK(renewed == "computed 1");
    CHECK(co_await cache.get("key") == "computed 1");
    CHECK(by.count == 1);
}

OURO_TEST_REAL("a stale value is better than none when its renewal fails") {
    client cache = co_await fresh();
    co_await cache.set("key", "old");
    co_await cache.mark_stale("key");
    work bad;
    bad.fails = true;
    const std::string value = co_await ask(cache, "key", bad);
    CHECK(value == "old");
    CHECK(bad.count == 1);
}

OURO_TEST_REAL("a value is renewed early when it has little time left") {
    client cache = co_await fresh();
    co_await cache.set("key", "old", {.ttl = 20s});
    work by;
    const std::string plenty = co_await ask(cache, "key", by, {.early = 5s});
    CHECK(plenty == "old");
    const std::string early = co_await ask(cache, "key", by, {.ttl = 60s, .early = 50s});
    CHECK(early == "computed 1");
    const std::string after = co_await ask(cache, "key", by, {.early = 50s});
    CHECK(after == "computed 1");
    CHECK(by.count == 1);
}

OURO_TEST_REAL("the other dialects have no claims") {
    client cache = co_await client::connect(shared_server().address(), {.dialect = dialect::text});
    work by;
    auto value = co_await as_result(ask(cache, "key", by));
    CHECK(value.error() == errc::unsupported);
    CHECK(by.count == 0);
}

}  // namespace
}  // namespace ouro::memcached
