// What is particular to readiness: when a receive is attempted, and that no edge is lost by not
// attempting it.

#include "../real_reactors.hpp"
#include "../sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <chrono>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

std::uint64_t calls() { return io().stats().system_calls; }

/// Receives once, for less than the patience of a test.
task<std::string> receive(descriptor& from, std::size_t most = 64) {
    std::string into(most, '\0');
    const auto bytes = std::as_writable_bytes(std::span(into));
    into.resize(co_await timeout(10s, recv_op(from, bytes)));
    co_return into;
}

task<std::string> receive_lent(descriptor& from) {
    const lease got = co_await timeout(10s, leased_recv_op(from));
    co_return std::string(text_of(got.data()));
}

task<> send_text(descriptor& to, std::string_view text) { co_await send_all(to, bytes_of(text)); }

/// Lets everything that is on its way become an event, and be taken.
task<> let_events_come() {
    for (int i = 0; i < 20; ++i) co_await yield();
}

/// One receive that waits, then a text for it.
task<> receive_waiting(ends& pair, std::string_view text) {
    auto waiting = spawn(receive(pair.near));
    co_await let_events_come();
    co_await send_text(pair.far, text);
    const std::string got = co_await waiting;
    CHECK(got == text);
}

task<> a_receive_costs_one_call() {
    ends pair = co_await tcp_pair();
    co_await receive_waiting(pair, "warm up");
    const auto before = calls();
    auto waiting = spawn(receive(pair.near));
    co_await yield();  // in the same turn, so only an attempt would be a call
    CHECK(calls() == before);
    co_await send_text(pair.far, "one");
    CHECK(co_await waiting == "one");
}

task<> data_and_the_end_together() {
    for (int i = 0; i < 50; ++i) {
        ends pair = co_await tcp_pair();
        co_await receive_waiting(pair, "hello");
        co_await send_text(pair.far, "last words");
        if (i % 2 == 0) co_await let_events_come();
        pair.far.close();
        if (i % 3 == 0) co_await let_events_come();
        CHECK(co_await receive(pair.near) == "last words");
        CHECK(co_await receive(pair.near) == "");
        CHECK(co_await receive(pair.near) == "");
    }
}

task<> data_and_a_reset_together() {
    ends pair = co_await tcp_pair();
    co_await receive_waiting(pair, "hello");
    co_await send_text(pair.far, "x");
    CHECK(co_await receive(pair.near) == "x");
    reset(pair.far);
    const auto got = co_await as_result(receive(pair.near));
    CHECK(got.error() == std::errc::connection_reset);
}

task<> our_own_shutdown_is_seen() {
    ends pair = co_await tcp_pair();
    co_await receive_waiting(pair, "hello");
    checked(io().shutdown(pair.near.number(), SHUT_RD));
    CHECK(co_await receive(pair.near) == "");
}

/// A receive stops short at urgent data although more is there. On epoll alone: at urgent data the
/// kernel answers EAGAIN also while a signal is pending, and the end of a ring leaves such work
/// behind for the thread.
task<> urgent_data_in_the_middle() {
    ends pair = co_await tcp_pair();
    const int on = 1;
    checked(io().set_option(pair.near.number(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    co_await receive_waiting(pair, "hello");
    co_await send_text(pair.far, "before");
    co_await send_op(pair.far, bytes_of("!"), MSG_OOB);
    co_await send_text(pair.far, "after");
    co_await let_events_come();
    std::string all;
    while (all.size() < 12) all += co_await receive(pair.near);
    CHECK(all == "before!after");
}

/// Small receives leave something behind, full ones may or may not.
task<> every_size_against_every_size() {
    ends pair = co_await tcp_pair();
    for (std::size_t sent = 1; sent <= 9; ++sent) {
        for (std::size_t space = 1; space <= 9; ++space) {
            co_await send_text(pair.far, std::string(sent, 'x'));
            std::size_t received = 0;
            while (received < sent) received += (co_await receive(pair.near, space)).size();
            CHECK(received == sent);
        }
    }
}

task<> the_next_message_may_be_there_already() {
    ends pair = co_await tcp_pair();
    co_await receive_waiting(pair, "hello");
    for (int i = 0; i < 200; ++i) {
        co_await send_text(pair.far, "a");
        CHECK(co_await receive(pair.near) == "a");
        co_await send_text(pair.far, "b");
        if (i % 2 == 0) co_await yield();
        CHECK(co_await receive_lent(pair.near) == "b");
    }
}

task<> a_unix_socket_is_attempted_each_time() {
    ends pair = unix_pair();
    co_await receive_waiting(pair, "hello");
    co_await send_text(pair.far, "a");
    CHECK(co_await receive(pair.near) == "a");
    co_await send_text(pair.far, "b");
    const auto before = io().stats().waits;
    CHECK(co_await receive(pair.near) == "b");
    CHECK(io().stats().waits == before);  // taken without asking for events
}

task<> a_new_connection_on_an_old_number_starts_afresh() {
    for (int i = 0; i < 20; ++i) {
        ends pair = co_await tcp_pair();
        co_await receive_waiting(pair, "hello");
        const auto early = co_await as_result(timeout(0s, receive(pair.near)));
        CHECK(early.error() == errc::timed_out);
        co_await send_text(pair.far, "there");
        CHECK(co_await receive(pair.near) == "there");
    }
}

}  // namespace

TEST_CASE("a receive after one that emptied the socket is parked without an attempt") {
    on_epoll({}, a_receive_costs_one_call);
}

TEST_CASE("the end of a stream is seen although it came with data") {
    on_epoll({}, data_and_the_end_together);
    on_epoll({}, data_and_a_reset_together);
    on_epoll({}, our_own_shutdown_is_seen);
}

TEST_CASE("urgent data does not hide what is behind it") {
    on_epoll({}, urgent_data_in_the_middle);
}

TEST_CASE("no byte waits unseen, whatever the sizes of sends and receives") {
    on_epoll({}, every_size_against_every_size);
    on_epoll({}, the_next_message_may_be_there_already);
    on_epoll({}, a_new_connection_on_an_old_number_starts_afresh);
}

TEST_CASE("a Unix socket, whose receives may stop short, is always attempted") {
    on_epoll({}, a_unix_socket_is_attempted_each_time);
}
