// The memcached client with each of its allocations failing in turn, on the real reactors, against
// real servers.

#include <ouro/tests/fail_every_allocation.hpp>

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using memcached::client;
using text = std::optional<std::string>;

namespace {

std::array<memcached_server, 2>& servers() {
    static std::array<memcached_server, 2> both;
    return both;
}

const std::string long_value(300, 'v');

memcached::client_options speaking(memcached::dialect how) {
    memcached::client_options options;
    options.dialect = how;
    options.failures_max = 0;
    return options;
}

task<client> warm(memcached::dialect how = memcached::dialect::meta) {
    client cache = co_await client::connect(servers()[0].address(), speaking(how));
    co_await cache.set("long", long_value);
    co_await cache.set("number", "1");
    co_return cache;
}

/// Runs a part of a scenario, and then looks whether everybody is answered again.
task<> try_and_go_on(client& cache, task<> part) {
    std::error_code why;
    try {
        co_await std::move(part);
    } catch (const std::bad_alloc&) {
        why = std::make_error_code(std::errc::not_enough_memory);
    } catch (const std::system_error& error) {
        why = error.code();
    }
    end_shortage();
    co_await cache.set("long", long_value);
    const text got = co_await cache.get("long");
    expect(got == long_value, "another value");
    co_await cache.close();
    if (why) throw_error(why);
}

task<> open_and_ask() {
    const std::string where = servers()[0].address();
    begin_shortage();
    client cache = co_await client::connect(where, speaking(memcached::dialect::meta));
    co_await cache.set("long", long_value);
    co_await cache.close();
}

task<> use(client& cache) {
    co_await cache.set("long", long_value);
    const text got = co_await cache.get("long");
    expect(got == long_value, "another value");
    const auto with = co_await cache.gets("long");
    expect(with.has_value(), "no item");
    co_await cache.increment("number");
    co_await cache.touch("long", 1h);
    co_await cache.add("long", "x");
    const std::vector<std::string_view> keys{"long", "none", "number"};
    const auto many = co_await cache.get_multi(keys);
    expect(many[0] == long_value && !many[1], "other values");
}

task<> speak(memcached::dialect how) {
    client cache = co_await warm(how);
    begin_shortage();
    co_await try_and_go_on(cache, use(cache));
}
task<> speak_meta() { return speak(memcached::dialect::meta); }
task<> speak_text() { return speak(memcached::dialect::text); }
task<> speak_binary() { return speak(memcached::dialect::binary); }

task<> compute_once(client& cache) {
    co_await cache.remove("computed");
    auto compute = []() -> task<std::string> { co_return long_value; };
    const std::string made = co_await cache.get_or_compute("computed", compute, {.claim = 1s});
    expect(made == long_value, "another value");
}
task<> compute() {
    client cache = co_await warm();
    begin_shortage();
    co_await try_and_go_on(cache, compute_once(cache));
}

task<> ask_both(client& cache) {
    for (const char* key : {"a", "b", "c", "d"}) co_await cache.set(key, long_value);
    const std::vector<std::string_view> keys{"a", "b", "c", "d"};
    const auto many = co_await cache.get_multi(keys);
    expect(many[3] == long_value, "other values");
    const auto versions = co_await cache.version();
    expect(versions.size() == 2, "other servers");
}
task<> several_servers() {
    const std::string both = servers()[0].address() + ", " + servers()[1].address();
    client cache = co_await client::connect(both, speaking(memcached::dialect::meta));
    begin_shortage();
    co_await try_and_go_on(cache, ask_both(cache));
}

const work works[] = {
    {"connect", open_and_ask, 20},  {"meta", speak_meta, 5},
    {"text", speak_text, 5},        {"binary", speak_binary, 5},
    {"get_or_compute", compute, 3}, {"several servers", several_servers, 5},
};

}  // namespace

TEST_CASE("a client survives any failed allocation") {
    servers();  // end with the thread that starts them
    check_every_allocation(works);
}
