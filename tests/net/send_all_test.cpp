#include <ouro/net/send_all.hpp>

#include "sockets.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/trial.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

task<> send_pattern(stream& to, std::span<const std::byte> bytes) {
    co_await to.send_all(bytes);
    CHECK(to.shutdown(half::send));
}

/// Receives in blocks of `block_bytes` and compares with what was sent.
task<> expect_pattern(stream& from, std::span<const std::byte> bytes, std::size_t block_bytes) {
    std::vector<std::byte> block(block_bytes);
    std::size_t at = 0;
    for (;;) {
        const std::size_t got = co_await from.recv(block);
        if (got == 0) break;
        REQUIRE(at + got <= bytes.size());
        REQUIRE(std::equal(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got),
                           bytes.begin() + static_cast<std::ptrdiff_t>(at)));
        at += got;
    }
    CHECK(at == bytes.size());
}

task<std::error_code> send_error(stream& to, std::span<const std::byte> bytes) {
    const auto sent = co_await as_result(to.send_all(bytes));
    co_return sent.error();
}

task<> transfer(stream& from, stream& to, std::size_t size, std::size_t block_bytes) {
    const auto bytes = pattern(size);
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(send_pattern(from, bytes));
        tasks.spawn(expect_pattern(to, bytes, block_bytes));
        co_return;
    };
    co_await with_scope(both);
}

task<> transfer_between(std::size_t size, std::size_t block_bytes) {
    auto [a, b] = stream_pair();
    a.set_send_buffer_bytes(4096);  // so that it takes many calls
    co_await transfer(a, b, size, block_bytes);
}

}  // namespace

OURO_TEST_IO("everything arrives, in order, whatever the size") {
    for (const std::size_t size : {1, 2, 4095, 4096, 4097, 300'000})
        co_await transfer_between(size, 1 << 16);
}

OURO_TEST_IO("everything arrives when the peer takes a byte at a time") {
    co_await transfer_between(2000, 1);
}

OURO_TEST_IO("everything arrives over TCP") {
    auto both = co_await tcp_connection();
    co_await transfer(both.near, both.far, 2'000'000, 50'000);
}

OURO_TEST_IO("sending nothing is done at once") {
    auto [a, b] = stream_pair();
    co_await a.send_all("");
    // As it was not submitted, it does not even need a peer.
    b = stream();
    co_await a.send_all("");
}

OURO_TEST_IO("a peer that goes away in the middle ends it with an error") {
    auto [a, b] = stream_pair();
    a.set_send_buffer_bytes(4096);
    const auto bytes = pattern(1 << 20);
    auto sending = spawn(send_error, std::ref(a), std::span(bytes));
    co_await settle();
    const std::string some = co_await receive_exactly(b, 100);
    CHECK(some.size() == 100);
    b = stream();
    const std::error_code why = co_await sending;
    const bool gone = why == std::errc::broken_pipe || why == std::errc::connection_reset;
    CHECK(gone);
}

OURO_TEST_IO("cancelling ends it, also between two calls") {
    auto [a, b] = stream_pair();
    a.set_send_buffer_bytes(4096);
    const auto bytes = pattern(1 << 20);
    const auto sent = co_await as_result(timeout(1ms, a.send_all(bytes)));
    CHECK(sent.error() == errc::timed_out);
    // The other direction is untouched.
    co_await b.send_all("fine");
    CHECK(co_await receive_exactly(a, 4) == "fine");
}

OURO_TEST_IO("in a cancelled task it sends nothing") {
    auto [a, b] = stream_pair();
    auto sending = spawn(send_error, std::ref(a), std::as_bytes(std::span("never sent", 10)));
    sending.cancel();
    CHECK(co_await sending == errc::cancelled);
    a = stream();
    CHECK(co_await receive_all(b) == "");
}

namespace {

/// A world that takes every byte at once, one by one.
class eager_reactor final : public reactor {
public:
    std::string_view name() const noexcept override { return "eager"; }
    bool submit(op& operation) noexcept override {
        begin(operation);
        finish(operation, 1, 0);
        return false;
    }
    void cancel(op&) noexcept override {}
    void turn(std::int64_t) noexcept override {}
    void wake() noexcept override {}
    buffer_pool& buffers() override { throw_error(errc::unsupported); }
    int close(int) noexcept override { return 0; }
};

/// A stream of that world.
stream eager_stream() { return stream(descriptor(1'000'000)); }

void run_eagerly(sim::test_body body) {
    const sim::trial_report report = sim::run_trial(std::make_unique<eager_reactor>(), body(), {});
    CHECK_MESSAGE(report.clean(), report.hang, report.leftovers);
    CHECK_MESSAGE(!report.failure, sim::text_of(report.failure));
}

task<> count_turns(bool& stop, int& turns) {
    while (!stop) {
        ++turns;
        co_await yield();
    }
}

}  // namespace

TEST_CASE("short sends that complete at once leave turns to others") {
    run_eagerly([]() -> task<> {
        stream to = eager_stream();
        bool stop = false;
        int turns = 0;
        auto others = spawn(count_turns(stop, turns));
        co_await to.send_all(pattern(100));
        CHECK(turns >= 10);
        stop = true;
        co_await others;
    });
}

TEST_CASE("a send that waits for its next turn can be cancelled and closed") {
    run_eagerly([]() -> task<> {
        stream to = eager_stream();
        const auto bytes = pattern(1'000);
        auto sending = spawn(send_error(to, bytes));
        for (int i = 0; i < 3; ++i) co_await yield();
        CHECK_FALSE(sending.finished());
        sending.cancel();
        CHECK(co_await sending == errc::cancelled);

        auto again = spawn(send_error(to, bytes));
        for (int i = 0; i < 3; ++i) co_await yield();
        CHECK_FALSE(again.finished());
        co_await to.close();
        CHECK(co_await again == errc::cancelled);
    });
}

TEST_CASE("sending can be cancelled anywhere") {
    auto scenario = []() -> task<> { co_await transfer_between(50'000, 5'000); };
    const sweep_report swept = cancel_everywhere_on_all(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 5);
}
