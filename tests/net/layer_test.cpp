#include <ouro/net/layer.hpp>

#include "kernel_streams.hpp"
#include "talking.hpp"
#include "toy_layer.hpp"
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

toy_layer& put_toy(stream& on) {
    auto made = std::make_unique<toy_layer>();
    toy_layer& toy = *made;
    on.put_layer(std::move(made));
    return toy;
}

/// Both ends of a connection, with a layer on each.
struct layered_pair {
    stream a, b;
    toy_layer* on_a = nullptr;
    toy_layer* on_b = nullptr;
};

layered_pair make_layered() {
    layered_pair made;
    std::tie(made.a, made.b) = stream_pair();
    made.on_a = &put_toy(made.a);
    made.on_b = &put_toy(made.b);
    return made;
}

task<> both_ways(std::size_t size, way_to_receive receive) {
    layered_pair ends = make_layered();
    co_await talk_both_ways(ends.a, ends.b, size, receive);
}

task<> through_relay(std::size_t size) {
    layered_pair outside = make_layered();
    co_await talk_through_relay(outside.a, outside.b, size);
}

/// A layer on top of another.
task<> two_layers(std::size_t size) {
    layered_pair ends = make_layered();
    put_toy(ends.a);
    put_toy(ends.b);
    const std::string text = text_of(size);
    std::string came;
    auto talk = [&](scope& tasks) -> task<> {
        tasks.spawn(write_and_end, std::ref(ends.a), std::cref(text));
        came = co_await read_all_lines(ends.b);
    };
    co_await with_scope(talk);
    CHECK(came == text);
}

}  // namespace

OURO_TEST_IO("what a writer writes on a layer a reader reads on the other") {
    co_await both_ways(3000, read_all_lines);
}

OURO_TEST_IO("blocks are filled through a layer") { co_await both_ways(3000, read_all_blocks); }

OURO_TEST_IO("plain receives go through a layer") { co_await both_ways(3000, receive_all); }

OURO_TEST_IO("buffers are lent through a layer") { co_await both_ways(3000, receive_lent); }

OURO_TEST_IO("a relay takes off a layer, and its half closes pass it") {
    co_await through_relay(5000);
}

OURO_TEST_IO("a layer stands on another") { co_await two_layers(3000); }

OURO_TEST_IO("a half close ends a layer, then the one below it, then the connection") {
    auto [a, wire] = stream_pair();
    put_toy(a);
    put_toy(a);
    co_await a.send_all("x");
    CHECK(a.shutdown(half::send));
    CHECK(a.shutdown(half::send));
    const std::string came = co_await receive_all(wire);
    CHECK(came.size() == 6);  // a record of two bytes, one of the upper end, and the lower end
    CHECK(came.back() == '\0');
}

OURO_TEST_IO("an end that a layer cannot make is told, and the connection ends all the same") {
    layered_pair ends = make_layered();
    ends.on_a->end_fails = -ENOMEM;
    for (int times = 0; times < 2; ++times)
        CHECK(ends.a.shutdown(half::send).error() == std::errc::not_enough_memory);
    std::array<std::byte, 1> byte;
    const auto got = co_await as_result(ends.b.recv(byte));
    CHECK(got.error() == std::errc::connection_reset);
}

OURO_TEST_IO("the ends of two layers leave though the stream is closed right behind them") {
    auto [a, wire] = stream_pair();
    put_toy(a);
    put_toy(a);
    co_await a.send_all("x");
    CHECK(a.shutdown(half::send));
    a = stream();
    const std::string came = co_await receive_all(wire);
    CHECK(came.size() == 6);
    CHECK(came.back() == '\0');
}

OURO_TEST_IO("what was lent through a layer may outlive the stream, wherever that was moved") {
    layered_pair ends = make_layered();
    co_await ends.b.send_all("lent");
    lease first = co_await ends.a.recv();
    CHECK(first.size() > 0);
    {
        stream moved = std::move(ends.a);
        CHECK(moved.handle().leases().held() == 1);
        lease given_back = std::move(first);
        given_back.reset();
        CHECK(moved.handle().leases().held() == 0);
        co_await ends.b.send_all("lent");
        first = co_await moved.recv();
        CHECK(moved.handle().leases().held() == 1);
    }
    first.reset();
}

OURO_TEST("a layer stands single bytes") {
    sim::world::current().split_by(sim::splitting::single_bytes);
    co_await both_ways(300, read_all_lines);
    co_await both_ways(300, receive_lent);
    co_await through_relay(300);
}

OURO_TEST_IO("records that arrive in part are waited for, and what is there is readable") {
    auto [wire, far] = stream_pair();
    put_toy(far);
    bool is_readable = false;
    auto wait = [](stream& on, bool& now) -> task<> {
        co_await on.readable();
        now = true;
    };
    auto waiting = spawn(wait, std::ref(far), std::ref(is_readable));
    const std::array<std::byte, 3> record{std::byte{2}, std::byte{'a' ^ 1}, std::byte{'b' ^ 8}};
    co_await wire.send_all(std::span(record).first(1));
    co_await settle();
    CHECK(!is_readable);
    co_await wire.send_all(std::span(record).subspan(1, 1));
    co_await waiting;
    CHECK(co_await receive_exactly(far, 1) == "a");
    co_await wire.send_all(std::span(record).last(1));
    CHECK(co_await receive_exactly(far, 1) == "b");
}

OURO_TEST_IO("a layer's answer leaves by itself") {
    layered_pair ends = make_layered();
    auto waiting = spawn(receive_error, std::ref(ends.b));
    ends.on_a->ask();
    co_await ends.a.send("");  // sends what is pending
    auto hearing = spawn(receive_exactly, std::ref(ends.a), std::size_t{1});
    for (int i = 0; i < 100 && ends.on_a->answers() == 0; ++i) co_await settle();
    CHECK(ends.on_a->answers() == 1);
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    co_await ends.b.send_all("x");
    CHECK(co_await hearing == "x");
}

OURO_TEST_IO("an answer to what is taken leaves by itself, too") {
    layered_pair ends = make_layered();
    ends.on_b->answer_late();
    ends.on_a->ask();
    co_await ends.a.send_all("x");
    auto hearing = spawn(receive_exactly, std::ref(ends.a), std::size_t{1});
    CHECK(co_await receive_exactly(ends.b, 1) == "x");
    for (int i = 0; i < 100 && ends.on_a->answers() == 0; ++i) co_await settle();
    CHECK(ends.on_a->answers() == 1);
    co_await ends.b.send_all("y");
    CHECK(co_await hearing == "y");
}

OURO_TEST_IO("an end of the wire without the layer's own is an error, again and again") {
    auto [wire, far] = stream_pair();
    put_toy(far);
    wire = stream();
    CHECK(co_await receive_error(far) == std::errc::connection_reset);
    CHECK(co_await receive_error(far) == std::errc::connection_reset);
}

OURO_TEST_IO("what the layer cannot read is its error") {
    auto [wire, far] = stream_pair();
    put_toy(far);
    co_await wire.send_all("x");
    CHECK(co_await receive_error(far) == std::errc::protocol_error);
    const auto lent = co_await as_result(far.recv());
    CHECK(lent.error() == std::errc::protocol_error);
}

OURO_TEST_IO("a peer that is gone ends sends and receives through a layer") {
    layered_pair ends = make_layered();
    ends.b = stream();
    const auto sent = co_await as_result(ends.a.send_all(text_of(1000)));
    CHECK(sent.error() == std::errc::broken_pipe);
    CHECK(co_await receive_error(ends.a) == std::errc::connection_reset);
}

OURO_TEST_IO("what a layer has taken of a cancelled send leaves with the next") {
    layered_pair ends = make_layered();
    ends.a.set_send_buffer_bytes(4096);
    const std::string much(100'000, 'm');
    auto sending = spawn(
        [](stream& to, const std::string& bytes) -> task<std::error_code> {
            const auto sent = co_await as_result(to.send_all(bytes));
            co_return sent.error();
        },
        std::ref(ends.a), std::cref(much));
    co_await settle();
    sending.cancel();
    CHECK(co_await sending == errc::cancelled);
    auto receiving = spawn(receive_all, std::ref(ends.b));
    co_await send_and_end(ends.a, "!");
    const std::string came = co_await receiving;
    CHECK(came.back() == '!');
    CHECK(came.find_first_not_of('m') == came.size() - 1);
}

OURO_TEST_IO("nothing is sent behind the end, and a stream may be closed right behind it") {
    layered_pair ends = make_layered();
    co_await ends.a.send_all("last");
    CHECK(ends.a.shutdown(half::send));
    CHECK(ends.a.shutdown(half::send));
    const auto sent = co_await as_result(ends.a.send_all("later"));
    CHECK(sent.error() == std::errc::broken_pipe);
    ends.a = stream();
    CHECK(co_await receive_all(ends.b) == "last");
}

OURO_TEST_IO("a stream whose peer does not read can be closed with an end pending") {
    layered_pair ends = make_layered();
    const std::string much(1'000'000, 'm');
    co_await end_behind_a_full_socket(ends.a, much);
    co_await settle();
    co_await ends.a.close();
    CHECK(!ends.a.is_open());
}

OURO_TEST_IO("an end behind a full socket reaches a peer that reads late") {
    layered_pair ends = make_layered();
    const std::string much(1'000'000, 'm');
    co_await end_behind_a_full_socket(ends.a, much);
    co_await ends.a.close();
    for (int turns = 0; turns < 50; ++turns) co_await yield();
    const std::string came = co_await receive_all(ends.b);
    CHECK(!came.empty());
    CHECK(came.size() < much.size());
}

OURO_TEST_IO("a writer that dies with a send in flight leaves layer and number to it") {
    layered_pair ends = make_layered();
    ends.a.set_send_buffer_bytes(4096);
    {
        writer out(ends.a);
        CHECK(out.write(std::string(1'000'000, 'm')));
        co_await settle();
    }
    ends.a = stream();
    co_await settle();
    CHECK(co_await receive_error(ends.b) == std::error_code());
}

OURO_TEST_IO("what a layer cannot do is refused") {
    layered_pair ends = make_layered();
    const auto sent = co_await as_result(ends.a.send_descriptor(0));
    CHECK(sent.error() == std::errc::operation_not_supported);
    stream closed;
    CHECK_THROWS_AS(closed.put_layer(std::make_unique<toy_layer>()), std::system_error);
    CHECK(closed.shutdown(half::send).error() == std::errc::bad_file_descriptor);
}

OURO_TEST_KERNEL("a layer stands on pipes") {
    pipe_streams ends = stream_pipe();
    put_toy(ends.in);
    put_toy(ends.out);
    const std::string text = text_of(200'000);
    auto receiving = spawn(receive_all, std::ref(ends.in));
    co_await send_and_end(ends.out, text);
    CHECK(co_await receiving == text);
}

TEST_CASE("streams with layers can be cancelled anywhere") {
    for (const way_to_receive each : {&read_all_lines, &receive_lent}) {
        const sweep_report swept = cancel_everywhere_on_all([each] { return both_ways(60, each); });
        CHECK_MESSAGE(swept.clean(), swept.complaints);
        CHECK(swept.points > 10);
    }
    for (const auto each : {&through_relay, &two_layers}) {
        const sweep_report swept = cancel_everywhere_on_all([each] { return each(60); });
        CHECK_MESSAGE(swept.clean(), swept.complaints);
    }
}
