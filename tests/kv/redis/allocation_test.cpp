#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/short_text.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/tests/kv/servers.hpp>
#include <ouro/tests/sanitizer.hpp>

#include <doctest/doctest.h>

#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {
std::atomic<std::uint64_t> allocations = 0;
std::atomic<std::int64_t> bytes_held = 0;
}  // namespace

// Every allocation of this program comes by here; the server is another one.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    void* const memory = std::malloc(size);
    if (!memory) throw std::bad_alloc();
    bytes_held.fetch_add(static_cast<std::int64_t>(malloc_usable_size(memory)),
                         std::memory_order_relaxed);
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    bytes_held.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)),
                         std::memory_order_relaxed);
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    ::operator delete(memory);
}

using namespace ouro;
using redis::client;

namespace {

constexpr int rounds = 200;

constexpr std::string_view sixteen = "sixteen bytes ok";
static_assert(sixteen.size() == 16);  // too many for what a std::string holds in itself

using text = redis::short_text<16>;

redis_server& server() {
    static redis_server only;
    return only;
}

// Lets `work` run twice to warm up, and counts what the third time allocates. Under
// AddressSanitizer nothing is pooled, and the count means nothing: then it is 0.
template <class Work>
task<std::uint64_t> allocations_of(Work& work) {
    co_await work();
    co_await work();
    const std::uint64_t before = allocations.load();
    co_await work();
    co_return address_sanitizer ? 0 : allocations.load() - before;
}

task<client> filled() {
    client db = co_await client::connect("redis://" + server().address());
    co_await db.set("key", sixteen);
    co_await db.set("number", 17);
    co_return db;
}

task<> single_commands() {
    client db = co_await filled();
    auto gets = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            const std::optional<text> got = co_await db.get<text>("key");
            if (!got || *got != sixteen) throw std::runtime_error("another value");
        }
    };
    CHECK(co_await allocations_of(gets) == 0);
    auto strings = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            const std::optional<std::string> got = co_await db.get("key");
            if (got != sixteen) throw std::runtime_error("another value");
        }
    };
    CHECK(co_await allocations_of(strings) == (address_sanitizer ? 0 : rounds));
    auto numbers = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
            static_cast<void>(co_await db.incr("count"));
            static_cast<void>(co_await db.get<int>("number"));
            co_await db.set("key", sixteen);
        }
    };
    CHECK(co_await allocations_of(numbers) == 0);
    auto missing = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) static_cast<void>(co_await db.get("no such key"));
    };
    CHECK(co_await allocations_of(missing) == 0);
    const std::string key(3000, 'k');  // does not fit inside of a command
    auto long_keys = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) static_cast<void>(co_await db.exists(key));
    };
    CHECK(co_await allocations_of(long_keys) == 0);
    co_await db.close();
}

task<> many_tasks() {
    client db = co_await filled();
    auto ask = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i) static_cast<void>(co_await db.get<text>("key"));
    };
    std::vector<join_handle<void>> asking;
    auto all = [&]() -> task<> {
        asking.clear();
        for (int i = 0; i < 16; ++i) asking.push_back(spawn(ask));
        for (auto& each : asking) co_await each;
    };
    CHECK(co_await allocations_of(all) == 0);
    auto pairs = [&]() -> task<> {
        for (int i = 0; i < rounds; ++i)
            static_cast<void>(co_await all_of(db.get<text>("key"), db.get<int>("number")));
    };
    CHECK(co_await allocations_of(pairs) == 0);
    co_await db.close();
}

task<> pipelines() {
    client db = co_await filled();
    auto batch = db.pipeline();
    std::vector<redis::handle<std::optional<std::string_view>>> handles;
    auto gets = [&]() -> task<> {
        batch.clear();
        handles.clear();
        for (int i = 0; i < 1000; ++i) handles.push_back(batch.get<std::string_view>("key"));
        co_await batch.exec();
        for (const auto& each : handles)
            if (each.get() != sixteen) throw std::runtime_error("another value");
    };
    CHECK(co_await allocations_of(gets) == 0);
    auto again = [&]() -> task<> { co_await batch.exec(); };
    CHECK(co_await allocations_of(again) == 0);
    co_await db.close();
}

task<> one_huge_reply() {
    constexpr std::string_view numbers =
        "local t = {} for i = 1, tonumber(ARGV[1]) do t[i] = i end return t";
    constexpr std::size_t elements = 200'000;
    client db = co_await filled();
    const std::int64_t before = bytes_held.load();
    {
        const redis::reply got = co_await db.command("EVAL", {numbers, "0", elements});
        CHECK(got.size() == elements);
        CHECK(bytes_held.load() - before > std::int64_t{elements * sizeof(redis::node)});
    }
    for (int turns = 0; turns < 10; ++turns) co_await yield();  // the next receive has begun
    CHECK(bytes_held.load() - before < 1024 * 1024);
    co_await db.close();
}

TEST_CASE("a command costs no allocation, but for a string that is longer than 15 bytes") {
    block_on(single_commands());
}

TEST_CASE("neither do those of many tasks on one connection") { block_on(many_tasks()); }

TEST_CASE("a pipeline of 1000 gets that are read as views costs none") { block_on(pipelines()); }

TEST_CASE("what a huge reply took is given back though there is no next one") {
    block_on(one_huge_reply());
}

TEST_CASE("the counting works") {
    const std::uint64_t before = allocations.load();
    ::operator delete(::operator new(1));  // a new-expression could be optimised away
    CHECK(allocations.load() > before);
}

}  // namespace
