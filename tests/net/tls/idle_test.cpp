// What an idle connection holds: OpenSSL's part, and ours.
#include "engines.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/tests/net/sockets.hpp>

#include <doctest/doctest.h>
#include <openssl/crypto.h>

#include <malloc.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <new>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

long of_library = 0, of_ours = 0;  // bytes in use

void count(long& in, void* memory, int sign) noexcept {
    if (memory) in += sign * static_cast<long>(::malloc_usable_size(memory));
}

void* library_malloc(std::size_t size, const char*, int) {
    void* const made = std::malloc(size);
    count(of_library, made, 1);
    return made;
}
void* library_realloc(void* memory, std::size_t size, const char*, int) {
    count(of_library, memory, -1);
    void* const made = std::realloc(memory, size);
    count(of_library, made, 1);
    return made;
}
void library_free(void* memory, const char*, int) {
    count(of_library, memory, -1);
    std::free(memory);
}

/// Before the library allocates anything.
const bool installed = CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free) == 1;

struct held_bytes {
    long library = 0, ours = 0;
};

/// One that has talked and waits for more.
engine_pair idle_pair() {
    engine_pair made(asks_anew(), answers());
    made.talk();
    made.server.feed(made.client.put("question"));
    made.client.feed(made.server.put("answer"));
    made.client.received();
    made.server.received();
    CHECK(!made.server->space().empty());  // where a receive waits
    CHECK(!made.client->space().empty());
    return made;
}

/// What one of that side holds.
held_bytes each_idle(bool server, std::size_t connections) {
    std::vector<half_of_pair> all;
    all.reserve(connections + 1);
    held_bytes before;
    for (std::size_t i = 0; i <= connections; ++i) {
        engine_pair made = idle_pair();
        all.push_back(std::move(server ? made.server : made.client));
        if (i == 0) before = {of_library, of_ours};
    }
    const long number = static_cast<long>(connections);
    return {(of_library - before.library) / number, (of_ours - before.ours) / number};
}

task<> wait_for_more(stream& from) {
    std::array<std::byte, 64> space;
    while (co_await from.recv(space) > 0) {
    }
}

constexpr handshake_options patient{.time_limit = std::chrono::hours(1)};

task<> accept_one(stream wire, secured& into) {
    into = co_await tls_accept(std::move(wire), answers(), patient);
}

/// Both ends, each with a task that waits there.
task<> open_connections(scope& tasks, std::vector<secured>& into, int pairs) {
    for (int i = 0; i < pairs; ++i) {
        auto [near, far] = stream_pair();
        secured& server = into.emplace_back();
        secured& client = into.emplace_back();
        auto accepting = spawn(accept_one, std::move(far), std::ref(server));
        client = co_await tls_connect(std::move(near), asks_anew(), "localhost", patient);
        co_await accepting;
        for (secured* each : {&server, &client}) {
            tasks.spawn(wait_for_more, std::ref(each->stream));
            co_await each->stream.send_all("hello");
        }
    }
    co_await settle();
}

}  // namespace

TEST_CASE("an idle connection holds no record buffers, and little beside the library's own") {
    REQUIRE(installed);
    each_idle(true, 3);
    for (const bool server : {true, false}) {
        const held_bytes each = each_idle(server, 100);
        MESSAGE((server ? "server: " : "client: ")
                << each.library << " bytes of the library's, " << each.ours << " of ours");
        CHECK(each.library < 20 * 1024);
        CHECK(each.ours < 3 * 1024);
    }
}

OURO_TEST_KERNEL("an idle stream under TLS holds little beside its engine") {
    std::vector<secured> all;
    all.reserve(400);
    auto idle = [&](scope& tasks) -> task<> {
        co_await open_connections(tasks, all, 50);
        const long before = of_ours;
        co_await open_connections(tasks, all, 100);
        const long each = (of_ours - before) / 200;
        MESSAGE(each << " bytes of ours, with the task that waits");
        CHECK(each < 5 * 1024);
        for (secured& one : all) CHECK(one.stream.shutdown(half::send));
    };
    co_await with_scope(idle);
}

// Two thousand handshakes take some seconds; bytes are counted, so that more tell nothing new.
TEST_CASE("thousands of idle connections are no more than their sum, and still talk") {
    std::vector<half_of_pair> all, clients;
    constexpr std::size_t number = 2000, sample = 100;
    all.reserve(number);
    const long before = of_library + of_ours;
    for (std::size_t i = 0; i < number; ++i) {
        engine_pair made = idle_pair();
        all.push_back(std::move(made.server));
        if (i % sample == 0) clients.push_back(std::move(made.client));
    }
    const long each = (of_library + of_ours - before) / static_cast<long>(number);
    MESSAGE(each << " bytes for each of the servers");
    CHECK(each < 20 * 1024);
    for (std::size_t i = 0; i < clients.size(); ++i) {
        all[i * sample].feed(clients[i].put("awake"));
        CHECK(all[i * sample].received() == "awake");
    }
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const made = std::malloc(size);
    if (!made) throw std::bad_alloc();
    count(of_ours, made, 1);
    return made;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    count(of_ours, memory, -1);
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    count(of_ours, memory, -1);
    std::free(memory);
}
