// What a stream of bytes must stand: splits, both directions at once, connects that fail or race.

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

std::string some_text(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

task<> send_in_pieces(descriptor& to, std::string_view text, std::size_t piece) {
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
        co_await send_all(to, bytes_of(text.substr(0, piece)));
}

task<> receive_in_pieces(descriptor& from, std::string& into, std::size_t piece) {
    std::vector<std::byte> space(piece);
    while (const std::size_t got = co_await recv_op(from, space))
        into += text_of(std::span(space).first(got));
}

task<std::error_code> connect_error(descriptor& socket, sockaddr_in where) {
    const auto done = co_await as_result(connect_to(socket, where));
    co_return done.error();
}

/// The address and the vectors live in a frame that is gone when the operation completes.
task<> connect_from_below(descriptor& socket, std::uint16_t port) {
    co_await connect_to(socket, loopback(port));
}

}  // namespace

OURO_TEST_IO("bytes arrive in order however they are cut") {
    const std::string text = some_text(500);
    for (const std::size_t piece : {1U, 2U, 3U, 7U, 499U, 500U, 4096U}) {
        ends pair = co_await tcp_pair();
        std::string received;
        co_await with_scope([&](scope& tasks) -> task<> {
            tasks.spawn(receive_in_pieces, pair.near, received, piece);
            co_await send_in_pieces(pair.far, text, piece);
            checked(io().shutdown(pair.far.number(), SHUT_WR));
        });
        CHECK(received == text);
    }
}

OURO_TEST_IO("both directions flow at once, and much more than fits into any buffer") {
    const std::string text = some_text(3'000'000);
    ends pair = co_await tcp_pair();
    std::string there;
    std::string back;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_in_pieces, pair.near, back, 60'000U);
        tasks.spawn(receive_in_pieces, pair.far, there, 10'000U);
        tasks.spawn([&]() -> task<> {
            co_await send_in_pieces(pair.far, text, 1'000'000);
            checked(io().shutdown(pair.far.number(), SHUT_WR));
        });
        co_await send_in_pieces(pair.near, text, 200'000);
        checked(io().shutdown(pair.near.number(), SHUT_WR));
    });
    CHECK(there == text);
    CHECK(back == text);
}

OURO_TEST_IO("a vectored send keeps the order of its parts") {
    ends pair = unix_pair();
    std::array<std::string, 3> words{"one ", "two ", "three"};
    std::array<iovec, 3> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = {words[i].data(), words[i].size()};
    const std::size_t sent = co_await send_vector_op(pair.near, parts);
    CHECK(sent > 0);
    co_await send_all(pair.near, bytes_of(std::string_view("one two three").substr(sent)));
    std::array<std::byte, 13> space;
    const auto got = co_await receive_all(pair.far, space);
    CHECK(text_of(got) == "one two three");
}

OURO_TEST_IO("sending nothing succeeds") {
    ends pair = unix_pair();
    const std::size_t sent = co_await send_op(pair.near, {});
    CHECK(sent == 0);
}

OURO_TEST_IO("connecting to a port where nobody listens is refused") {
    sockaddr_in where{};
    {
        const descriptor gone = listening_socket();
        where = local_name(gone.number());
    }
    co_await settle();  // closing may take until the turn's end
    descriptor socket = tcp_socket();
    const std::error_code why = co_await connect_error(socket, where);
    CHECK(why == std::errc::connection_refused);
}

OURO_TEST_IO("a connect can be cancelled before it starts") {
    const descriptor listener = listening_socket();
    descriptor socket = tcp_socket();
    auto connecting = spawn(connect_error(socket, local_name(listener.number())));
    connecting.cancel();
    const std::error_code why = co_await connecting;
    CHECK(why == errc::cancelled);
}

OURO_TEST_IO("a connect that is cancelled while it runs is either made or cancelled") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    for (int round = 0; round < 20; ++round) {
        descriptor socket = tcp_socket();
        auto connecting = spawn(connect_error(socket, where));
        for (int i = 0; i < round % 4; ++i) co_await yield();
        connecting.cancel();
        const std::error_code why = co_await connecting;
        const bool either = !why || why == errc::cancelled;
        CHECK(either);
    }
}

OURO_TEST_IO("an operation keeps its own copy of the address") {
    acceptor listener(listening_socket());
    descriptor socket = tcp_socket();
    const std::uint16_t port = ntohs(local_name(listener.number()).sin_port);
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(connect_from_below, socket, port);
        co_return;
    });
    const descriptor other = co_await listener.accept();
    CHECK(other.is_open());
}

OURO_TEST_IO("a listener that closes resets the connections nobody accepted") {
    descriptor socket = tcp_socket();
    {
        const descriptor listener = listening_socket();
        co_await connect_to(socket, local_name(listener.number()));
    }
    std::array<std::byte, 1> space;
    const auto got = co_await as_result(recv_op(socket, space));
    const bool gone = !got ? got.error() == std::errc::connection_reset : *got == 0;
    CHECK(gone);
}

OURO_TEST_IO("a connection that ended before it was accepted can still be accepted") {
    acceptor listener(listening_socket());
    {
        descriptor socket = tcp_socket();
        co_await connect_to(socket, local_name(listener.number()));
        co_await send_all(socket, bytes_of("bye"));
    }
    descriptor taken = co_await listener.accept();
    std::array<std::byte, 8> space;
    const auto got = co_await receive_all(taken, space);
    CHECK(text_of(got) == "bye");
}
