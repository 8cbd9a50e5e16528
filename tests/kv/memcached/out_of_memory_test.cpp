// Rings and their clients when there is no memory for the points of a ring.
#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/ring.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <vector>

namespace {

/// Blocks of one size that are refused, from the `skip`ped ones on; 0: none.
struct {
    std::size_t size = 0;
    int skip = 0;
    int refused = 0;
} shortage;

}  // namespace

void* operator new(std::size_t size) {
    if (size == shortage.size && shortage.skip-- <= 0) {
        ++shortage.refused;
        throw std::bad_alloc();
    }
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t point_bytes = 8;

std::vector<ring_server> three_servers() {
    return {{"10.0.0.1", 11211, 1}, {"10.0.0.2", 11211, 1}, {"10.0.0.3", 11211, 1}};
}

std::vector<std::size_t> owners(const ring& of) {
    std::vector<std::size_t> all;
    for (int i = 0; i < 100; ++i) all.push_back(of.server_of("key" + std::to_string(i)));
    return all;
}

TEST_CASE("a ring that cannot be made anew is as it was") {
    ring all(distribution::consistent, three_servers());
    const std::vector<std::size_t> before = owners(all);
    for (const std::size_t points : {1, 16, 256}) {
        shortage = {.size = points * point_bytes};
        CHECK_THROWS_AS(all.set_present(1, false), std::bad_alloc);
        CHECK(shortage.refused == 1);
        shortage = {};
        CHECK(all.is_present(1));
        CHECK(owners(all) == before);
    }
    all.set_present(1, false);
    const std::vector<std::size_t> without = owners(all);
    shortage = {.size = 256 * point_bytes};
    CHECK_THROWS_AS(all.set_present(1, true), std::bad_alloc);
    shortage = {};
    CHECK(owners(all) == without);
    all.set_present(1, true);
    CHECK(owners(all) == before);
}

OURO_TEST("keys leave a server that is down as soon as there is memory for it") {
    bool away = false;
    fake_server first(
        [&away](const heard_request& asked, fake_caller& caller) {
            caller.close = away;
            return away ? std::string() : honest(asked);
        },
        false);
    fake_server second([](const heard_request& asked, fake_caller&) { return honest(asked); });
    const client_options options{.distribution = distribution::consistent, .read_repeats = 0};
    client cache = co_await client::connect(first.address() + "," + second.address(), options);
    int i = 0;
    while (cache.server_of("key" + std::to_string(i)) != first.address()) ++i;
    const std::string mine = "key" + std::to_string(i);

    away = true;
    shortage = {.size = 128 * point_bytes};  // room for its hundred points
    const auto lost = co_await as_result(cache.get(mine));
    CHECK_FALSE(lost);
    co_await sleep_for(2s);
    CHECK(shortage.refused > 0);
    CHECK(cache.figures().servers[0].is_down);
    CHECK(cache.server_of(mine) == first.address());  // the ring is as it was
    shortage = {};
    CHECK(cache.server_of(mine) == second.address());
    const std::optional<std::string> moved = co_await cache.get(mine);
    CHECK(moved == mine + "'s");
}

}  // namespace
}  // namespace ouro::memcached
