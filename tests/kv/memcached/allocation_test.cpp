// What a request costs: once everything is warm, no allocation.
#include <ouro/kv/memcached/client.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/kv/memcached/allocations.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>

namespace ouro::memcached {
namespace {

memcached_server& shared_server() {
    static memcached_server one;
    return one;
}

/// Everything a task does again and again, into memory that it has.
task<> work(client& cache, int rounds) {
    const std::string key = "a key of forty bytes, or very nearly so";
    std::string fitting = key;
    for (char& c : fitting) c = c == ' ' ? '-' : c;
    const std::string value(1000, 'v');
    std::string text;
    std::array<std::byte, 1024> room;
    co_await cache.set("number", "1");
    for (int i = 0; i < rounds; ++i) {
        co_await cache.set(fitting, value);
        co_await cache.get(fitting, text);
        co_await cache.get(fitting, std::span(room));
        co_await cache.increment("number");
        co_await cache.add(fitting, "x");
        co_await cache.touch(fitting, std::chrono::hours(1));
    }
}

task<> many_work(client& cache, int rounds) {
    auto body = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 16; ++i) tasks.spawn(work, cache, rounds);
        co_return;
    };
    co_await with_scope(body);
}

OURO_TEST_DIALECTS("requests allocate nothing once they are warm") {
    client_options options;
    options.dialect = speaking;
    client cache = co_await client::connect(shared_server().address(), options);
    co_await many_work(cache, 50);
    const std::uint64_t begin = allocations();
    co_await many_work(cache, 50);
    const std::uint64_t fifty = allocations() - begin;
    co_await many_work(cache, 500);
    const std::uint64_t five_hundred = allocations() - begin - fifty;
    // What starting sixteen tasks takes is the same, however much they do.
    CHECK(five_hundred <= fifty + 8);
    CHECK(five_hundred < 16 * 8);
}

}  // namespace
}  // namespace ouro::memcached
