// Every allocation fails in its turn, those of the library among them.
#include "engines.hpp"

#include <doctest/doctest.h>
#include <openssl/crypto.h>

#include <cstdlib>
#include <new>
#include <string>
#include <system_error>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

long left = -1;  // allocations until one fails; -1: none does
bool struck = false;

bool fails_now() noexcept {
    if (left < 0) return false;
    if (left-- > 0) return false;
    struck = true;
    return true;
}

void* library_malloc(std::size_t size, const char*, int) {
    return fails_now() ? nullptr : std::malloc(size);
}
void* library_realloc(void* memory, std::size_t size, const char*, int) {
    return size > 0 && fails_now() ? nullptr : std::realloc(memory, size);
}
void library_free(void* memory, const char*, int) { std::free(memory); }

/// Before the library allocates anything.
const bool installed = CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free) == 1;

/// Moves what is pending; false when one of both has failed.
bool deliver(engine& from, engine& to, std::string& clear) {
    while (!from.pending().empty()) {
        while (to.handshake_done() && to.ready()) {
            std::array<std::byte, 1000> into;
            const int got = to.take(into);
            if (got <= 0) return false;
            clear.append(reinterpret_cast<const char*>(into.data()), static_cast<std::size_t>(got));
        }
        const auto space = to.space();
        if (space.empty() || to.error()) return false;
        const auto bytes = from.pending();
        const std::size_t n = std::min(bytes.size(), space.size());
        std::copy_n(bytes.begin(), n, space.begin());
        to.received(n);
        from.sent(n);
        if (!to.handshake_done() && to.handshake() == engine::progress::failed) return false;
    }
    while (to.handshake_done() && to.ready()) {
        std::array<std::byte, 1000> into;
        const int got = to.take(into);
        if (got <= 0) return false;
        clear.append(reinterpret_cast<const char*>(into.data()), static_cast<std::size_t>(got));
    }
    return true;
}

/// True when everything went well.
bool talk(const client_context& asks, const server_context& with) try {
    const auto client = asks.make_engine("localhost");
    const auto server = with.make_engine();
    std::string at_server, at_client;
    client->handshake();
    for (int rounds = 0; rounds < 5; ++rounds)
        if (!deliver(*client, *server, at_server) || !deliver(*server, *client, at_client))
            return false;
    if (!client->handshake_done() || !server->handshake_done()) return false;
    const std::string text(20'000, 'x');
    const iovec one{const_cast<char*>(text.data()), text.size()};
    if (client->put({&one, 1}) != static_cast<int>(text.size())) return false;
    if (!deliver(*client, *server, at_server)) return false;
    CHECK(at_server == text);
    return client->update_keys(true);
} catch (const std::bad_alloc&) {
    return false;
} catch (const tls::error&) {
    return false;  // the library refuses what it could not make
}

}  // namespace

TEST_CASE("an engine survives each allocation that fails, and the next one is well") {
    REQUIRE(installed);
    client_options options = trusting();
    options.sessions_max = 0;
    const client_context asks(options);
    const server_context with(serving());
    REQUIRE(talk(asks, with));
    int points = 0, failed = 0;
    for (long after = 0;; ++after) {
        struck = false;
        left = after;
        const bool well = talk(asks, with);
        left = -1;
        if (!struck) {
            CHECK(well);
            break;
        }
        ++points;
        if (!well) ++failed;
        CHECK(ERR_peek_error() == 0);
    }
    CHECK(talk(asks, with));
    MESSAGE(points << " points, of which " << failed << " ended the connection");
    CHECK(points > 500);
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    if (fails_now()) throw std::bad_alloc();
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
