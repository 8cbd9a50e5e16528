#include "line_session.hpp"
#include "sockets.hpp"
#include "toy_layer.hpp"
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/pool/pool.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/net/udp.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

using story = task<> (*)();

/// True when the story ends in that assertion on every reactor, the simulated one included, and
/// the assertion names a task and a line of this file.
bool asserts_everywhere(const char* words, story tell) {
    const auto well = [&](const char* where, const std::string& said) {
        const bool all =
            says(said, words) && says(said, "in task ") && says(said, "misuse_test.cpp:");
        if (!all) std::fprintf(stderr, "%s said: %s\n", where, said.c_str());
        return all;
    };
    const auto on = [&](reactor_kind kind) {
        return dies([&] { run(tell(), {.reactor = {.kind = kind}}); });
    };
    const char* wish = std::getenv("OURO_REACTOR");
    const bool rings = !wish || std::string_view(wish) != "epoll";
    return well("sim", dies([&] { run_simulated(tell()); })) &&
           well("epoll", on(reactor_kind::epoll)) &&
           (!rings || well("uring", on(reactor_kind::uring)));
}

task<> send_much(stream& to) {
    const std::vector<std::byte> much(50'000'000);
    co_await to.send_all(much);
}

task<> send_little(stream& to) { co_await to.send("x"); }
task<> send_all_of_little(stream& to) { co_await to.send_all("x"); }
task<> send_nothing(stream& to) { co_await to.send_all(""); }

task<> write_little(stream& to) {
    writer out(to);
    CHECK(out.write("x"));
    co_await out.flush();
}

task<> receive_one(stream& from) {
    std::array<std::byte, 1> space;
    co_await from.recv(space);
}

task<> receive_lease(stream& from) { co_await from.recv(); }

task<> read_one(stream& from) {
    reader in(from);
    co_await in.read_line();
}

/// Two tasks on one stream, the second while the first is in the middle.
task<> both(task<> (*first)(stream&), task<> (*second)(stream&)) {
    auto [ours, theirs] = stream_pair();
    auto body = [&, first, second](scope& tasks) -> task<> {
        tasks.spawn(first, ours);
        for (int i = 0; i < 5; ++i) co_await sleep_for(1ms);
        tasks.spawn(second, ours);
    };
    co_await with_scope(body);
}

}  // namespace

TEST_CASE("a second task that sends is an assertion on every reactor, whatever it sends with") {
    constexpr const char* words = "a second task sends while one does";
    CHECK(asserts_everywhere(words, [] { return both(send_much, send_little); }));
    CHECK(asserts_everywhere(words, [] { return both(send_much, send_all_of_little); }));
    CHECK(asserts_everywhere(words, [] { return both(send_much, send_nothing); }));
}

TEST_CASE("a second task that receives is an assertion on every reactor") {
    constexpr const char* words = "a second task receives while one does";
    CHECK(asserts_everywhere(words, [] { return both(receive_one, receive_one); }));
    CHECK(asserts_everywhere(words, [] { return both(receive_one, receive_lease); }));
    CHECK(asserts_everywhere(words, [] { return both(receive_lease, read_one); }));
    CHECK(asserts_everywhere(words, [] { return both(read_one, receive_one); }));
}

TEST_CASE("a writer beside a task that sends is an assertion, too") {
    const std::string said = dies([] { run_simulated(both(send_much, write_little)); });
    CHECK(says(said, "a second task sends while one does"));
}

namespace {

task<> move_in_use() {
    auto [ours, theirs] = stream_pair();
    auto waiting = spawn(receive_one, std::ref(ours));
    co_await sleep_for(1ms);
    const stream elsewhere = std::move(ours);
    co_await waiting;
}

task<> destroy_in_use() {
    auto pair = std::make_unique<std::pair<stream, stream>>(stream_pair());
    auto waiting = spawn(receive_one, std::ref(pair->first));
    co_await sleep_for(1ms);
    pair.reset();
    co_await waiting;
}

task<> release_in_use() {
    auto [ours, theirs] = stream_pair();
    auto waiting = spawn(receive_one, std::ref(ours));
    co_await sleep_for(1ms);
    ours.release();
    co_await waiting;
}

// More than a socket takes waits before the layer's end, and the peer does not read.
task<> release_while_a_layer_sends() {
    auto [ours, theirs] = stream_pair();
    auto layer = std::make_unique<toy_layer>();
    for (int i = 0; i < 5'000'000; ++i) layer->ask();
    ours.put_layer(std::move(layer));
    static_cast<void>(ours.shutdown(half::send));
    co_await sleep_for(1ms);
    ours.release();
}

}  // namespace

TEST_CASE("moving, destroying and releasing a stream in use say what to do, on every reactor") {
    CHECK(asserts_everywhere("moved while a task sends or receives on it", move_in_use));
    CHECK(asserts_everywhere("co_await close(), or end that task first", destroy_in_use));
    CHECK(asserts_everywhere("released while a task sends or receives on it", release_in_use));
    CHECK(asserts_everywhere("released while its layer still sends", release_while_a_layer_sends));
}

namespace {

template <class Made>
void forget(Made&&) {}

task<> forget_exchange() {
    line_protocol::line_session on;
    forget(line_protocol::ask(on, 1));
    co_return;
}

task<std::unique_ptr<int>> connect_to_nothing() { co_return std::make_unique<int>(0); }

task<> forget_acquire() {
    pool<int> numbers(connect_to_nothing);
    forget(numbers.acquire());
    co_return;
}

}  // namespace

TEST_CASE("an exchange and the acquire of a pool that nobody awaits are assertions") {
    constexpr const char* rest = ": an operation was made and never awaited, so it did nothing";
    CHECK(says(dies([] { run_simulated(forget_exchange()); }), "exchange"));
    CHECK(says(dies([] { run_simulated(forget_exchange()); }), rest));
    CHECK(says(dies([] { run_simulated(forget_acquire()); }), "pool acquire"));
    CHECK(says(dies([] { run_simulated(forget_acquire()); }), rest));
}

OURO_TEST("an exchange, or the acquire of a pool, that is refused counts as awaited") {
    line_protocol::line_session on;
    pool<int> numbers(connect_to_nothing);
    auto ask = [](net::session& at, pool<int>& from) -> task<> {
        CHECK((co_await as_result(sleep_for(1h))).error() == errc::cancelled);
        const auto said = co_await as_result(line_protocol::ask(at, 1));
        CHECK(said.error() == errc::cancelled);
        const auto lent = co_await as_result(from.acquire());
        CHECK(lent.error() == errc::cancelled);
    };
    auto asked = spawn(ask, std::ref(on), std::ref(numbers));
    co_await settle();
    asked.cancel();
    co_await asked;
}

OURO_TEST_IO("what is asked of a closed stream is an error, again and again") {
    auto [ours, theirs] = stream_pair();
    co_await ours.close();
    std::array<std::byte, 1> byte{};
    for (int i = 0; i < 3; ++i) {
        const auto received = co_await as_result(ours.recv(byte));
        CHECK(received.error() == std::errc::bad_file_descriptor);
        const auto lent = co_await as_result(ours.recv());
        CHECK(lent.error() == std::errc::bad_file_descriptor);
        const auto sent = co_await as_result(ours.send("x"));
        CHECK(sent.error() == std::errc::bad_file_descriptor);
        const auto all = co_await as_result(ours.send_all("x"));
        CHECK(all.error() == std::errc::bad_file_descriptor);
        const auto nothing = co_await as_result(ours.send_all(""));
        CHECK(nothing.error() == std::errc::bad_file_descriptor);
        reader in(ours);
        const auto line = co_await as_result(in.read_line());
        CHECK(line.error() == std::errc::bad_file_descriptor);
        writer out(ours);
        CHECK(out.write("x"));
        const auto flushed = co_await as_result(out.flush());
        CHECK(flushed.error() == errc::closed);
        CHECK(ours.shutdown(half::both).error() == std::errc::bad_file_descriptor);
        co_await ours.close();
    }
    CHECK_THROWS_AS(ours.peer(), std::system_error);
}

OURO_TEST_IO("what is asked of a stream that was moved from is an error") {
    auto [ours, theirs] = stream_pair();
    const stream elsewhere = std::move(ours);
    const auto sent = co_await as_result(ours.send_all("x"));
    CHECK(sent.error() == std::errc::bad_file_descriptor);
    std::array<std::byte, 1> byte{};
    const auto received = co_await as_result(ours.recv(byte));
    CHECK(received.error() == std::errc::bad_file_descriptor);
}

OURO_TEST_IO("what begins while another task closes is an error") {
    auto [ours, theirs] = stream_pair();
    std::error_code seen;
    auto receive_again = [](stream& from, std::error_code& why) -> task<> {
        std::array<std::byte, 1> byte{};
        const auto first = co_await as_result(from.recv(byte));
        CHECK(first.error() == errc::cancelled);
        why = (co_await as_result(from.recv(byte))).error();
    };
    auto waiting = spawn(receive_again, std::ref(ours), std::ref(seen));
    co_await settle();
    co_await ours.close();
    co_await waiting;
    CHECK(seen == std::errc::bad_file_descriptor);
}

OURO_TEST_IO("a listener and a UDP socket that are closed or moved from answer with an error") {
    listener nobody;
    const auto taken = co_await as_result(nobody.accept());
    CHECK(taken.error() == std::errc::bad_file_descriptor);
    listener first(endpoint{"127.0.0.1", 0});
    const listener second = std::move(first);
    const auto again = co_await as_result(first.accept());
    CHECK(again.error() == std::errc::bad_file_descriptor);
    CHECK_FALSE(first.paused());
    udp socket;
    const auto sent = co_await as_result(socket.send_to("x", endpoint{"127.0.0.1", 9}));
    CHECK(sent.error() == std::errc::bad_file_descriptor);
    std::array<std::byte, 1> byte{};
    const auto got = co_await as_result(socket.recv_from(byte));
    CHECK(got.error() == std::errc::bad_file_descriptor);
}
