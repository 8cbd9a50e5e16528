#include <ouro/net/tls/handshake.hpp>

#include "engines.hpp"
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/semaphore.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/talking.hpp>

#include <array>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;
using tls::answers;

namespace {

/// A real handshake takes as long as it takes: the machine may be busy.
constexpr tls::handshake_options patient{.time_limit = 1h};

struct secured_pair {
    tls::secured a, b;  // client, server
};

task<> accept_into(stream wire, tls::secured& into) {
    into = co_await tls_accept(std::move(wire), answers(), patient);
}

task<secured_pair> make_secured() {
    auto [near, far] = stream_pair();
    secured_pair made;
    auto shake = [&](scope& tasks) -> task<> {
        tasks.spawn(accept_into, std::move(far), std::ref(made.b));
        made.a = co_await tls_connect(std::move(near), tls::asks_anew(), "localhost", patient);
    };
    co_await with_scope(shake);
    co_return made;
}

/// It comes with the first that is received, and here nothing else does.
task<> take_ticket(stream& from) {
    std::array<std::byte, 8> space;
    const auto none = co_await as_result(timeout(1ms, from.recv(space)));
    CHECK(none.error() == ouro::errc::timed_out);
}

task<> both_ways(std::size_t size, way_to_receive receive) {
    secured_pair ends = co_await make_secured();
    co_await talk_both_ways(ends.a.stream, ends.b.stream, size, receive);
}

task<> through_relay(std::size_t size) {
    secured_pair outside = co_await make_secured();
    co_await talk_through_relay(outside.a.stream, outside.b.stream, size);
}

/// The code, and in `words` what the exception says.
task<std::error_code> accept_error(stream wire, tls::handshake_options options = patient) {
    const auto made = co_await as_result(tls_accept(std::move(wire), answers(), options));
    co_return made.error();
}
task<std::error_code> connect_error(stream wire, std::string host,
                                    tls::handshake_options options = patient) {
    const auto made = co_await as_result(
        tls_connect(std::move(wire), tls::asks_anew(), std::move(host), options));
    co_return made.error();
}

/// A client whose hello is pending.
std::unique_ptr<tls::engine> begun_client() {
    auto made = tls::asks_anew().make_engine("localhost");
    made->handshake();
    return made;
}
std::string pending_of(const tls::engine& from) {
    return {reinterpret_cast<const char*>(from.pending().data()), from.pending().size()};
}

/// Until nobody takes any more.
task<> fill(stream& to, const std::string& with) {
    for (;;) co_await to.send_all(with);
}

}  // namespace

OURO_TEST_IO("what a writer writes under TLS a reader reads") {
    co_await both_ways(60'000, read_all_lines);
}
OURO_TEST_IO("blocks are filled under TLS") { co_await both_ways(60'000, read_all_blocks); }
OURO_TEST_IO("plain receives work under TLS") { co_await both_ways(60'000, receive_all); }
OURO_TEST_IO("buffers are lent under TLS") { co_await both_ways(60'000, receive_lent); }
OURO_TEST_IO("a relay takes TLS off, and half closes pass it") { co_await through_relay(100'000); }

OURO_TEST("TLS stands single bytes") {
    sim::world::current().split_by(sim::splitting::single_bytes);
    co_await both_ways(300, read_all_lines);
    co_await both_ways(300, receive_lent);
    co_await through_relay(300);
}

OURO_TEST_IO("what one turn writes is one record and one send") {
    secured_pair ends = co_await make_secured();
    const auto records = ends.b.session.records_sent();
    const auto sends = ends.b.session.sends();
    writer out(ends.b.stream);
    CHECK(out.write("HTTP/1.1 200 OK\r\n"));
    CHECK(out.write("content-length: 5\r\n\r\n"));
    CHECK(out.write(chunk::copy_of("hello")));
    co_await out.flush();
    CHECK(ends.b.session.records_sent() - records == 1);
    CHECK(ends.b.session.sends() - sends == 1);
    CHECK((co_await receive_exactly(ends.a.stream, 43)).ends_with("\r\n\r\nhello"));
}

OURO_TEST_IO("both sides know what was agreed on") {
    secured_pair ends = co_await make_secured();
    CHECK(ends.a.session.info().version == tls::version::tls1_3);
    CHECK(ends.b.session.info().server_name == "localhost");
    CHECK(ends.a.session.exporter_binding() == ends.b.session.exporter_binding());
    CHECK(ends.a.session.exporter_binding().size() == 32);
    CHECK(ends.a.session.server_end_point() == ends.b.session.server_end_point());
    CHECK(ends.a.session.peer_certificate()->subject == "CN=localhost");
}

OURO_TEST_IO("an end without close_notify is an error, again and again") {
    secured_pair ends = co_await make_secured();
    co_await ends.a.stream.send_all("last");
    ends.a.stream = stream();
    CHECK(co_await receive_exactly(ends.b.stream, 4) == "last");
    CHECK(co_await receive_error(ends.b.stream) == std::errc::connection_reset);
    CHECK(co_await receive_error(ends.b.stream) == std::errc::connection_reset);
    CHECK(ends.b.session.error() == tls::errc::truncated);
}

OURO_TEST_IO("each direction ends by itself, and a stream may be closed right behind its end") {
    secured_pair ends = co_await make_secured();
    co_await send_and_end(ends.a.stream, "question");
    CHECK(co_await receive_all(ends.b.stream) == "question");
    co_await send_and_end(ends.b.stream, "answer");
    co_await ends.b.stream.close();
    CHECK(co_await receive_all(ends.a.stream) == "answer");
}

OURO_TEST_IO("an end behind a full socket reaches a peer that reads late") {
    secured_pair ends = co_await make_secured();
    const std::string much(1'000'000, 'm');
    co_await end_behind_a_full_socket(ends.b.stream, much);
    co_await ends.b.stream.close();
    for (int turns = 0; turns < 50; ++turns) co_await yield();
    CHECK((co_await receive_all(ends.a.stream)).size() < much.size());
    CHECK(!ends.a.session.error());
}

OURO_TEST_IO("keys change under traffic") {
    secured_pair ends = co_await make_secured();
    for (int i = 0; i < 5; ++i) {
        CHECK(ends.a.session.update_keys(true));
        co_await ends.a.stream.send_all("there");
        CHECK(co_await receive_exactly(ends.b.stream, 5) == "there");
        co_await ends.b.stream.send_all("back");
        CHECK(co_await receive_exactly(ends.a.stream, 4) == "back");
    }
}

OURO_TEST_IO("plaintext is refused by both sides") {
    auto [wire, far] = stream_pair();
    co_await wire.send_all("GET / HTTP/1.1\r\n\r\n");
    CHECK(co_await accept_error(std::move(far)) == tls::errc::not_tls);
    auto [near, peer] = stream_pair();
    co_await peer.send_all("+PONG\r\n");
    CHECK(co_await connect_error(std::move(near), "localhost") == tls::errc::not_tls);
}

OURO_TEST_IO("who hangs up in mid-handshake has truncated it") {
    auto [wire, far] = stream_pair();
    co_await wire.send_all(std::string_view("\x16\x03\x01\x02", 4));
    wire = stream();
    CHECK(co_await accept_error(std::move(far)) == tls::errc::truncated);
}

OURO_TEST_IO("a wrong host is told with everything, and the server hears of it") {
    auto [near, far] = stream_pair();
    auto accepting = spawn(accept_error, std::move(far), patient);
    try {
        co_await tls_connect(std::move(near), tls::asks_anew(), "elsewhere.test", patient);
        FAIL("it was connected");
    } catch (const tls::error& problem) {
        CHECK(problem.code() == tls::errc::certificate);
        CHECK(problem.why().fault == tls::certificate_fault::wrong_host);
        CHECK(std::string(problem.what()).find("elsewhere.test") != std::string::npos);
    }
    CHECK(co_await accepting == tls::errc::alert_received);
}

OURO_TEST("a peer that stalls runs out of time, and others do not wait for it") {
    auto [wire, far] = stream_pair();
    auto stalled = spawn(accept_error, std::move(far), tls::handshake_options{});
    co_await settle();
    secured_pair ends = co_await make_secured();
    co_await ends.a.stream.send_all("x");
    CHECK(co_await receive_exactly(ends.b.stream, 1) == "x");
    CHECK(co_await stalled == tls::errc::handshake_timeout);
    CHECK(co_await receive_error(wire) == std::error_code());  // it was closed
}

OURO_TEST("a client may stall anywhere in its hello, or behind it") {
    const std::string hello = pending_of(*begun_client());
    for (const std::size_t sent : {std::size_t{1}, std::size_t{4}, std::size_t{5}, std::size_t{11},
                                   hello.size() / 2, hello.size() - 1, hello.size()}) {
        auto [wire, far] = stream_pair();
        auto stalled = spawn(accept_error, std::move(far), tls::handshake_options{});
        co_await wire.send_all(hello.substr(0, sent));
        CHECK(co_await stalled == tls::errc::handshake_timeout);
        const std::string answer = co_await receive_all(wire);  // it was closed
        CHECK(answer.empty() == (sent < hello.size()));
    }
}

OURO_TEST("a server may stall anywhere in its flight") {
    for (const std::size_t part : {0U, 1U, 5U, 60U, 200U, 500U}) {
        auto [near, peer] = stream_pair();
        auto stalled = spawn(connect_error, std::move(near), std::string("localhost"),
                             tls::handshake_options{});
        const auto server = answers().make_engine();
        while (server->pending().empty()) {
            const std::size_t got = co_await peer.recv(server->space());
            server->received(got);
            server->handshake();
        }
        co_await peer.send_all(pending_of(*server).substr(0, part));
        CHECK(co_await stalled == tls::errc::handshake_timeout);
        CHECK((co_await receive_all(peer)).empty());
    }
}

OURO_TEST("a peer that takes nothing runs out of time, too") {
    auto [wire, far] = stream_pair();
    const std::string filler(4096, 'x');
    auto filling = spawn(fill, std::ref(far), std::cref(filler));
    co_await settle();
    filling.cancel();
    static_cast<void>(co_await as_result(filling));
    co_await wire.send_all(pending_of(*begun_client()));
    CHECK(co_await accept_error(std::move(far), {}) == tls::errc::handshake_timeout);
}

OURO_TEST("no more handshakes than the limit are under way, and the wait counts as time") {
    semaphore one(1);
    const tls::handshake_options options{.time_limit = 1s, .limit = &one};
    auto [wire, far] = stream_pair();
    auto [other_wire, other] = stream_pair();
    auto first = spawn(accept_error, std::move(far), options);
    co_await settle();
    CHECK(one.available() == 0);
    auto second = spawn(accept_error, std::move(other), options);
    co_await settle();
    first.cancel();
    CHECK(co_await first == ouro::errc::cancelled);
    co_await settle();
    CHECK(one.available() == 0);  // the second has it
    CHECK(co_await second == tls::errc::handshake_timeout);
    CHECK(one.available() == 1);
}

OURO_TEST("handshakes are counted, by what became of them") {
    const tls::client_context client(tls::trusting());
    const tls::server_context server(tls::serving());
    auto accept = [](stream wire, const tls::server_context& with) -> task<> {
        auto made = co_await as_result(tls_accept(std::move(wire), with));
        if (!made) co_return;
        co_await receive_error(made->stream);
    };
    for (const char* host : {"localhost", "localhost", "wrong.test"}) {
        auto [near, far] = stream_pair();
        auto accepting = spawn(accept, std::move(far), std::cref(server));
        auto made = co_await as_result(tls_connect(std::move(near), client, host));
        if (made) {
            co_await take_ticket(made->stream);
            made->stream = stream();
        }
        co_await accepting;
    }
    const tls::stats seen = client.stats();
    CHECK(seen.full == 1);
    CHECK(seen.resumed == 1);
    CHECK(seen.failed == 1);
    CHECK(seen.failed_for(tls::errc::certificate) == 1);
    CHECK(server.stats().failed_for(tls::errc::alert_received) == 1);
}

OURO_TEST_IO("an open connection that is broken into is closed with an alert") {
    auto [near, far] = stream_pair();
    const int wire = near.fd();
    tls::secured server;
    auto accepting = spawn(accept_into, std::move(far), std::ref(server));
    auto client = co_await tls_connect(std::move(near), tls::asks_anew(), "localhost", patient);
    co_await accepting;
    CHECK(client.stream.fd() == wire);
    stream raw = stream::adopt(client.stream.release());  // takes the layer off
    co_await raw.send_all(std::string_view("\x17\x03\x03\x00\x13...................", 24));
    CHECK(co_await receive_error(server.stream) == std::errc::protocol_error);
    CHECK(server.session.error() == tls::errc::alert_sent);
    std::array<std::byte, 1000> space;
    CHECK(co_await raw.recv(space) > 0);  // the ticket, and the alert
}

OURO_TEST_IO("a context is reloaded under load, and nobody notices") {
    tls::server_context with(tls::serving());
    auto serve = [](stream wire, const tls::server_context& by) -> task<> {
        tls::secured client = co_await tls_accept(std::move(wire), by, patient);
        co_await client.stream.send_all(co_await receive_exactly(client.stream, 4));
        CHECK(client.stream.shutdown(half::send));
    };
    auto ask = [](stream wire) -> task<> {
        tls::secured server =
            co_await tls_connect(std::move(wire), tls::asks_anew(), "localhost", patient);
        co_await server.stream.send_all("ping");
        CHECK(co_await receive_all(server.stream) == "ping");
    };
    auto load = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) {
            auto [near, far] = stream_pair();
            tasks.spawn(serve, std::move(far), std::cref(with));
            tasks.spawn(ask, std::move(near));
            co_await yield();
            with.reload();
        }
    };
    co_await with_scope(load);
    CHECK(with.stats().full == 10);
    CHECK(with.stats().records >= 10);
}

TEST_CASE("handshakes and streams under TLS can be cancelled anywhere") {
    for (const way_to_receive each : {&read_all_lines, &receive_lent}) {
        const sweep_report swept = cancel_everywhere_on_all([each] { return both_ways(60, each); });
        CHECK_MESSAGE(swept.clean(), swept.complaints);
        CHECK(swept.points > 10);
    }
    const sweep_report swept = cancel_everywhere_on_all([] { return through_relay(60); });
    CHECK_MESSAGE(swept.clean(), swept.complaints);
}
