// What is particular to the ring: full queues, overflow, its wake, its cost.

#include "../real_reactors.hpp"
#include "../sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

/// A ring so small that its queues are always full.
constexpr reactor_options tiny{.entries = 2, .completion_entries = 2};

/// The kernel's thread takes submissions when it comes round to it, so a full queue stays full.
void on_polled_ring(task<> (*body)()) {
    reactor_options options = tiny;
    options.kind = reactor_kind::uring;
    options.busy_poll_kernel = true;
    run_on(options, body);
}

task<> exchange(ends& pair, int rounds) {
    std::array<std::byte, 1> byte{};
    for (int i = 0; i < rounds; ++i) {
        co_await send_all(pair.near, byte);
        const auto got = co_await receive_all(pair.far, byte);
        CHECK(got.size() == 1);
    }
}

task<> receive_byte(descriptor& from, int& received) {
    std::array<std::byte, 1> byte;
    received += static_cast<int>(co_await recv_op(from, byte));
}

task<> many_connections_exchange() {
    std::vector<ends> pairs(100);
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(exchange, pair, 20);
        }
        co_return;
    });
}

task<> all_complete_at_once() {
    std::vector<ends> pairs(300);
    int received = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(receive_byte, pair.near, received);
        }
        co_await settle();
        for (ends& pair : pairs) co_await send_all(pair.far, bytes_of("x"));
    });
    CHECK(received == 300);
}

task<> all_cancelled_at_once() {
    std::vector<ends> pairs(300);
    int received = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(receive_byte, pair.near, received);
        }
        for (std::size_t i = 0; i < 100; ++i) co_await send_all(pairs[i].far, bytes_of("x"));
        tasks.cancel();
    });
    std::array<std::byte, 2> space;
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[i].far.close();
        const auto rest = co_await receive_all(pairs[i].near, space);
        received += static_cast<int>(rest.size());
    }
    CHECK(received == 100);
}

task<> accept_in_bursts() {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(tcp_socket());
        co_await connect_to(clients.back(), where);
    }
    for (int i = 0; i < 100; ++i) {
        const descriptor one = co_await listener.accept();
        CHECK(one.is_open());
    }
}

task<> wake_storm() {
    reactor& ring = io();
    std::thread other([&] {
        for (int i = 0; i < 20'000; ++i) ring.wake();
    });
    const auto end = clock::exact_now() + 20ms;
    while (clock::exact_now() < end) co_await sleep_for(100us);
    other.join();
    ends pair = unix_pair();
    co_await exchange(pair, 3);
}

task<> one_call_per_turn() {
    constexpr std::uint64_t rounds = 100;
    std::vector<ends> pairs(50);
    for (ends& pair : pairs) pair = unix_pair();
    const reactor_stats before = io().stats();
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) tasks.spawn(exchange, pair, static_cast<int>(rounds));
        co_return;
    });
    const reactor_stats& after = io().stats();
    // 50 sends, 50 receives: one enter, or two.
    CHECK(after.submissions - before.submissions >= 2 * 50 * rounds);
    CHECK(after.system_calls - before.system_calls <= 3 * rounds);
}

std::chrono::nanoseconds cpu_time() {
    timespec used;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

task<> hold_all_buffers_and_receive() {
    buffer_pool& pool = io().buffers();
    REQUIRE(pool.size() == 4);
    std::vector<ends> pairs(40);
    int received = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            co_await send_all(pair.far, bytes_of("x"));
            tasks.spawn(
                [&received](descriptor& from) -> task<> {
                    const lease got = co_await leased_recv_op(from);
                    co_await sleep_for(100us);  // holds the buffer meanwhile
                    received += static_cast<int>(got.size());
                },
                pair.near);
        }
        co_return;
    });
    CHECK(received == 40);
    CHECK(pool.available() == 4);
}

task<> receive_some(descriptor& from, std::string& into) {
    std::array<std::byte, 8> space;
    into += text_of(std::span(space).first(co_await recv_op(from, space)));
}

task<> send_text(descriptor& to, std::string_view text) { co_await send_all(to, bytes_of(text)); }

task<> a_read_sees_the_writes_of_its_turn() {
    ends pair = unix_pair();
    std::string received;
    co_await send_text(pair.far, "x");
    auto reading = spawn(receive_some(pair.near, received));  // "x" is there already
    auto writing = spawn(send_text(pair.far, "y"));
    co_await std::move(reading);
    CHECK(received == "xy");
    co_await std::move(writing);
}

}  // namespace

TEST_CASE("with tiny queues, many connections still exchange everything") {
    on_rings(tiny, many_connections_exchange);
}

TEST_CASE("an overflown completion queue loses nothing") { on_rings(tiny, all_complete_at_once); }

TEST_CASE("more cancellations than fit into the queues all arrive") {
    on_rings(tiny, all_cancelled_at_once);
}

TEST_CASE("a multishot accept that overflow ends goes on") { on_rings(tiny, accept_in_bursts); }

TEST_CASE("when the kernel takes no more submissions for now, they wait their turn") {
    on_polled_ring(many_connections_exchange);
    on_polled_ring(all_complete_at_once);
    on_polled_ring(all_cancelled_at_once);
    on_polled_ring(accept_in_bursts);
}

TEST_CASE("wakes from another thread never stop the loop") {
    on_rings({}, wake_storm);
    on_rings(tiny, wake_storm);
}

TEST_CASE("four buffers serve forty connections, one after the other") {
    on_rings({.receive_buffers = 4, .receive_buffer_bytes = 64}, hold_all_buffers_and_receive);
}

TEST_CASE("under load a turn costs one system call") { on_rings({}, one_call_per_turn); }

OURO_TEST_IO("a program that waits uses no processor time") {
    ends pair = unix_pair();
    int received = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_byte, pair.near, received);
        const auto before = cpu_time();
        const auto turns = executor::current().stats().turns;
        co_await sleep_for(200ms);
        CHECK(cpu_time() - before < 20ms);
        CHECK(executor::current().stats().turns - turns < 10);
        tasks.cancel();
    });
}

OURO_TEST_IO("a child process that execs or exits does not disturb its parent") {
    ends pair = unix_pair();
    co_await exchange(pair, 3);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(7);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 7);
    co_await exchange(pair, 3);
}

TEST_CASE("what reads is submitted behind what writes in the same turn") {
    on_rings({}, a_read_sees_the_writes_of_its_turn);
}
