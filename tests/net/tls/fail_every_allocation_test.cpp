// TLS on streams with each of our allocations failing in turn, on the real reactors. Those of the
// library fail in allocation_test.cpp.

#include <ouro/tests/fail_every_allocation.hpp>

#include "engines.hpp"
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

using namespace ouro;
using net::stream;
using net::tls::answers;
using namespace std::chrono_literals;

namespace {

constexpr net::tls::handshake_options patient{.time_limit = 1h};
const std::string text(30'000, 'x');

const net::tls::client_context& asks() {
    static const net::tls::client_context made(net::tls::trusting());
    return made;
}

task<> receive_text(stream& from) {
    std::array<std::byte, 4096> space;
    std::size_t came = 0;
    for (;;) {
        const std::size_t got = co_await from.recv(space);
        if (got == 0) break;
        came += got;
    }
    expect(came == text.size(), "bytes are lost");
}

/// Without memory for the end, whoever ends is told, and the peer takes what it has for cut off.
void end_sending(net::tls::secured& by) {
    const result<void> ended = by.stream.shutdown(net::half::send);
    expect(!by.session.error() || !ended, "an end that was not made is a success");
    ended.value();
}

task<> serve_one(stream wire) {
    net::tls::secured client = co_await net::tls_accept(std::move(wire), answers(), patient);
    co_await receive_text(client.stream);
    co_await client.stream.send_all(text);
    end_sending(client);
}

task<> ask_one(stream wire) {
    net::tls::secured server =
        co_await net::tls_connect(std::move(wire), asks(), "localhost", patient);
    net::writer out(server.stream);
    expect(out.write(text), "it is refused");
    co_await out.close();
    end_sending(server);
    co_await receive_text(server.stream);
}

/// Whatever ends it, as an error.
task<> note_end(task<> of, std::error_code& why) {
    try {
        co_await std::move(of);
    } catch (const std::bad_alloc&) {
        why = make_error_code(std::errc::not_enough_memory);
    } catch (const std::system_error& problem) {
        why = problem.code();
    }
}

/// One side has no memory; the other one hears of it in one way or another.
task<> talk_under_tls() {
    auto [near, far] = net::stream_pair();
    std::array<std::byte, 1> byte{};
    co_await near.send_all(byte);
    co_await far.recv(byte);
    co_await far.send_all(byte);
    co_await near.recv(byte);
    std::error_code client, server;
    begin_shortage();
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(note_end(serve_one(std::move(far)), server));
        co_await note_end(ask_one(std::move(near)), client);
    };
    co_await with_scope(both);
    end_shortage();
    if (is_want_of_memory(client) || is_want_of_memory(server)) throw std::bad_alloc();
    if (client) throw_error(client);
    if (server) throw_error(server);
}

const work everything[] = {{"handshake, talk and end", talk_under_tls, 10}};

}  // namespace

TEST_CASE("streams under TLS survive any failed allocation") {
    answers();
    asks();
    check_every_allocation(everything);
}
