#include <ouro/net/stream.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/sanitizer.hpp>

#include <array>
#include <cstdlib>
#include <new>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

unsigned long allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

task<> echo(stream& client) {
    std::array<std::byte, 4096> block;
    while (const std::size_t got = co_await client.recv(block))
        co_await client.send_all(std::span(block).first(got));
}

/// Each round trip under a timeout, so that timers are counted, too.
task<> round_trips(stream& server, int count) {
    std::array<std::byte, 64> message{};
    for (int i = 0; i < count; ++i) {
        co_await server.send_all(message);
        for (std::size_t got = 0; got < message.size();)
            got += co_await timeout(1h, server.recv(std::span(message).subspan(got)));
    }
}

}  // namespace

OURO_TEST_IO("an echo round trip allocates nothing once it is warm") {
    auto ends = stream_pair();
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(echo, ends.first);
        co_await round_trips(ends.second, 10);
        const unsigned long before = allocations;
        co_await round_trips(ends.second, 1000);
        const unsigned long made = allocations - before;
        // The simulated world keeps its bytes in queues of its own.
        if (!address_sanitizer && !sim::world::current_or_null()) CHECK(made == 0);
        CHECK(ends.second.shutdown(half::send));
    };
    co_await with_scope(body);
}

TEST_CASE("the counting works") {
    const unsigned long before = allocations;
    ::operator delete(::operator new(1));
    CHECK(allocations == before + 1);
}
