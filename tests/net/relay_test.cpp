#include <ouro/net/relay.hpp>

#include "talking.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/sanitizer.hpp>

#include <malloc.h>

#include <cstdlib>
#include <new>
#include <span>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

std::size_t bytes_live = 0;  // of everything that was allocated

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const memory = std::malloc(size);
    if (!memory) throw std::bad_alloc();
    bytes_live += ::malloc_usable_size(memory);
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    bytes_live -= ::malloc_usable_size(memory);
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    operator delete(memory);
}

namespace {

/// A client and a server with a relay between them:  client ─ a | relay | b ─ server.
struct way {
    stream client, a, b, server;
};

way make_way() {
    way made;
    std::tie(made.client, made.a) = stream_pair();
    std::tie(made.b, made.server) = stream_pair();
    return made;
}

task<std::error_code> relay_error(way& over, relay_totals& totals) {
    const auto moved = co_await as_result(relay(over.a, over.b, {}, &totals));
    co_return moved.error();
}

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Much in one direction, little in the other, with small kernel buffers.
task<> relay_much(std::size_t size, relay_options options) {
    way over = make_way();
    for (stream* each : {&over.client, &over.b}) each->set_send_buffer_bytes(4096);
    const std::string much = text_of(pattern(size));
    relay_totals totals;
    std::string at_server, at_client;
    auto ends = [&](scope& tasks) -> task<> {
        auto receive = [](stream& from, std::string& into) -> task<> {
            into = co_await receive_all(from);
        };
        tasks.spawn(send_and_end(over.client, much));
        tasks.spawn(send_and_end(over.server, "short"));
        tasks.spawn(receive(over.server, at_server));
        tasks.spawn(receive(over.client, at_client));
        totals = co_await relay(over.a, over.b, options);
    };
    co_await with_scope(ends);
    CHECK(at_server == much);
    CHECK(at_client == "short");
    CHECK(totals.forward == size);
    CHECK(totals.backward == 5);
}

}  // namespace

OURO_TEST_IO("a relay passes on everything in both directions and counts it") {
    co_await relay_much(200'000, {});
}

OURO_TEST_IO("a relay with a buffer of one byte passes on everything") {
    co_await relay_much(500, {.buffer_bytes = 1});
}

OURO_TEST_IO("a half close is passed on while the other direction goes on") {
    way over = make_way();
    auto relaying = spawn(relay(over.a, over.b));
    co_await send_and_end(over.client, "question");
    CHECK(co_await receive_all(over.server) == "question");
    co_await over.server.send_all("a long ");
    co_await over.server.send_all("answer");
    CHECK(over.server.shutdown(half::send));
    CHECK(co_await receive_all(over.client) == "a long answer");
    const relay_totals totals = co_await relaying;
    CHECK(totals.forward == 8);
    CHECK(totals.backward == 13);
}

OURO_TEST_IO("a reset on one side ends both directions") {
    listener at(endpoint{"127.0.0.1", 0});
    way over;
    auto left = co_await connection_through(at);
    auto right = co_await connection_through(at);
    over.client = std::move(left.near);
    over.a = std::move(left.far);
    over.b = std::move(right.near);
    over.server = std::move(right.far);

    relay_totals totals;
    auto relaying = spawn(relay_error, std::ref(over), std::ref(totals));
    co_await over.client.send_all("half a ques");
    CHECK(co_await receive_exactly(over.server, 11) == "half a ques");
    reset(over.client);
    CHECK(co_await relaying == std::errc::connection_reset);
    CHECK(totals.forward == 11);
    over.a = stream();
    over.b = stream();
    CHECK(co_await receive_all(over.server) == "");
}

OURO_TEST_IO("a receiver that is gone ends both directions") {
    way over = make_way();
    relay_totals totals;
    auto relaying = spawn(relay_error, std::ref(over), std::ref(totals));
    co_await settle();
    over.server = stream();
    // The backward direction has ended well; the forward one fails once there is something to send.
    co_await over.client.send_all("anybody?");
    const std::error_code why = co_await relaying;
    const bool gone = why == std::errc::broken_pipe || why == std::errc::connection_reset;
    CHECK(gone);
}

OURO_TEST_IO("a slow receiver holds the sender back") {
    way over = make_way();
    for (stream* each : {&over.client, &over.b}) each->set_send_buffer_bytes(4096);
    relay_totals totals;
    auto relaying = spawn(relay_error, std::ref(over), std::ref(totals));
    const auto bytes = pattern(8 << 20);
    const auto sent = co_await as_result(timeout(10ms, over.client.send_all(bytes)));
    CHECK(sent.error() == errc::timed_out);
    CHECK(totals.forward < bytes.size());
    relaying.cancel();
    CHECK(co_await relaying == errc::cancelled);
}

OURO_TEST_IO("copy moves one direction and leaves the receiver open") {
    way over = make_way();
    auto copying = spawn([](way& which) { return net::copy(which.a, which.b); }, std::ref(over));
    co_await send_and_end(over.client, "one way");
    CHECK(co_await copying == 7);
    CHECK(co_await receive_exactly(over.server, 7) == "one way");
    co_await over.b.send_all(" more");
    CHECK(co_await receive_exactly(over.server, 5) == " more");
}

OURO_TEST_IO("an idle relay holds no buffer") {
    const std::string much(100'000, 'm');
    way over = make_way();
    co_await relay_much(100'000, {});  // frames and what else is kept are there
    const std::uint64_t before = frame_pool::stats().live;
    const std::size_t bytes_before = bytes_live;
    auto relaying = spawn(relay(over.a, over.b));
    co_await settle();
    const std::uint64_t idle = frame_pool::stats().live;
    // No reactor of ours keeps as much as a buffer for what waits.
    const bool counted = !address_sanitizer && !sim::world::current_or_null();
    if (counted) CHECK(bytes_live < bytes_before + 4096);
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, much.size()}) {
        {
            auto receiving = spawn(receive_exactly, std::ref(over.server), size);
            co_await over.client.send_all(std::string_view(much).substr(0, size));
            CHECK(co_await receiving == std::string_view(much).substr(0, size));
        }
        co_await settle();
        CHECK(frame_pool::stats().live == idle);
        if (counted) CHECK(bytes_live < bytes_before + 8192);
    }
    over.client = stream();
    over.server = stream();
    static_cast<void>(co_await as_result(std::move(relaying)));
    CHECK(idle > before);
}

TEST_CASE("a relay can be cancelled anywhere") {
    auto scenario = []() -> task<> { co_await relay_much(300, {.buffer_bytes = 100}); };
    const sweep_report swept = cancel_everywhere_on_all(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 10);
}
