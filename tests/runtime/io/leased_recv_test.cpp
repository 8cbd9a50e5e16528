#include <ouro/runtime/io/leased_recv.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/close.hpp>
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

buffer_pool& pool() { return io().buffers(); }

/// Holds every receive buffer of the worker.
struct hog {
    std::vector<ends> pairs;
    std::vector<lease> leases;
};

task<> take_all_buffers(hog& into) {
    const std::size_t each = pool().leases_max();
    while (pool().available() > 0) {
        ends pair = unix_pair();
        for (std::size_t i = 0; i < each && pool().available() > 0; ++i) {
            co_await send_all(pair.far, bytes_of("x"));
            into.leases.push_back(co_await leased_recv_op(pair.near));
        }
        into.pairs.push_back(std::move(pair));
    }
}

task<> receive_text(descriptor& from, std::string& into) {
    const lease got = co_await leased_recv_op(from);
    into += text_of(got.data());
}

/// Receives until `into` is `size` bytes long or the stream ends.
task<> receive_bytes(descriptor& from, std::string& into, std::size_t size) {
    while (into.size() < size) {
        const lease got = co_await leased_recv_op(from);
        if (got.empty()) co_return;
        into += text_of(got.data());
    }
}

task<std::error_code> receive_error(descriptor& from) {
    const auto got = co_await as_result(leased_recv_op(from));
    co_return got.error();
}

}  // namespace

OURO_TEST_IO("a lease holds what was received and gives its buffer back") {
    ends pair = unix_pair();
    co_await send_all(pair.far, bytes_of("x"));
    lease got = co_await leased_recv_op(pair.near);
    CHECK(text_of(got.data()) == "x");
    CHECK(pool().leased() == 1);
    CHECK(pair.near.leases().held() == 1);
    lease moved = std::move(got);
    CHECK(got.empty());
    CHECK(text_of(moved.data()) == "x");
    moved.reset();
    CHECK(pool().leased() == 0);
    CHECK(pool().available() == pool().size());
    CHECK(pair.near.leases().held() == 0);
}

OURO_TEST_IO("a closed peer yields an empty lease that holds no buffer") {
    ends pair = unix_pair();
    pair.far.close();
    const lease got = co_await leased_recv_op(pair.near);
    CHECK(got.empty());
    CHECK(pool().available() == pool().size());
}

OURO_TEST_IO("a reset is an error and costs no buffer") {
    ends pair = co_await tcp_pair();
    auto waiting = spawn(receive_error(pair.near));
    co_await settle();
    reset(pair.far);
    const std::error_code why = co_await waiting;
    CHECK(why == std::errc::connection_reset);
    CHECK(pool().available() == pool().size());
}

OURO_TEST_IO("connections that wait for data hold no buffer") {
    std::vector<ends> pairs(50);
    std::string all;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(receive_text, pair.near, all);
        }
        co_await settle();
        CHECK(pool().available() == pool().size());
        for (ends& pair : pairs) co_await send_all(pair.far, bytes_of("x"));
    });
    CHECK(all.size() == pairs.size());
    CHECK(pool().leased() == 0);
}

OURO_TEST_IO("what does not fit into one buffer comes in several, in order") {
    ends pair = unix_pair();
    std::string sent;
    for (int i = 0; sent.size() < 5 * pool().buffer_bytes(); ++i) sent += std::to_string(i);
    std::string received;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(send_all, pair.far, bytes_of(sent));
        co_await receive_bytes(pair.near, received, sent.size());
    });
    CHECK(received == sent);
}

OURO_TEST_IO("a descriptor may hold so many leases and no more") {
    ends pair = unix_pair();
    std::vector<lease> held;
    for (std::size_t i = 0; i < pool().leases_max(); ++i) {
        co_await send_all(pair.far, bytes_of("x"));
        held.push_back(co_await leased_recv_op(pair.near));
    }
    co_await send_all(pair.far, bytes_of("y"));
    const std::error_code why = co_await receive_error(pair.near);
    CHECK(why == errc::no_buffers);
    held.pop_back();
    const lease got = co_await leased_recv_op(pair.near);
    CHECK(text_of(got.data()) == "y");
}

OURO_TEST_IO("leases count against a descriptor that moved, and outlive one that is gone") {
    lease survivor;
    {
        ends pair = unix_pair();
        co_await send_all(pair.far, bytes_of("1"));
        survivor = co_await leased_recv_op(pair.near);
        descriptor moved = std::move(pair.near);
        CHECK(moved.leases().held() == 1);
        CHECK(pair.near.leases().held() == 0);
        co_await send_all(pair.far, bytes_of("2"));
        const lease second = co_await leased_recv_op(moved);
        CHECK(moved.leases().held() == 2);
    }
    CHECK(text_of(survivor.data()) == "1");
    CHECK(pool().leased() == 1);
    survivor.reset();
    CHECK(pool().available() == pool().size());
}

OURO_TEST_IO("when all buffers are held, a receive waits until one comes back") {
    hog all;
    co_await take_all_buffers(all);
    ends pair = unix_pair();
    co_await send_all(pair.far, bytes_of("late"));
    std::string received;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_bytes, pair.near, received, 4U);
        co_await settle();
        CHECK(received.empty());
        all.leases.pop_back();
    });
    CHECK(received == "late");
}

OURO_TEST_IO("a buffer goes to somebody who has data, not to one who merely waits") {
    hog all;
    co_await take_all_buffers(all);
    ends idle = unix_pair();
    ends busy = unix_pair();
    std::string idle_text;
    std::string busy_text;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_bytes, idle.near, idle_text, 4U);
        co_await settle();
        tasks.spawn(receive_bytes, busy.near, busy_text, 4U);
        co_await settle();
        co_await send_all(busy.far, bytes_of("busy"));
        co_await settle();
        all.leases.pop_back();
        co_await settle();
        CHECK(busy_text == "busy");
        co_await send_all(idle.far, bytes_of("idle"));
    });
    CHECK(idle_text == "idle");
}

OURO_TEST_IO("waiters whose connection ends, or who are cancelled, pass the buffer on") {
    hog all;
    co_await take_all_buffers(all);
    ends ending = unix_pair();
    ends cancelled = unix_pair();
    ends last = unix_pair();
    std::string ending_text;
    std::string last_text;
    co_await send_all(cancelled.far, bytes_of("kept"));
    co_await send_all(last.far, bytes_of("last"));
    ending.far.close();
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_bytes, ending.near, ending_text, 4U);
        auto asked = tasks.spawn(receive_error, cancelled.near);
        tasks.spawn(receive_bytes, last.near, last_text, 4U);
        co_await settle();
        all.leases.pop_back();
        asked.cancel();
        co_await settle();
        CHECK(last_text == "last");
    });
    CHECK(ending_text.empty());
}

OURO_TEST_IO("many starving connections are all served by one buffer, one after the other") {
    hog all;
    co_await take_all_buffers(all);
    std::vector<ends> pairs(30);
    std::string received;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            co_await send_all(pair.far, bytes_of("x"));
            tasks.spawn(receive_text, pair.near, received);
        }
        co_await settle();
        CHECK(received.empty());
        all.leases.pop_back();
    });
    CHECK(received.size() == pairs.size());
    CHECK(pool().available() == 1);
}

OURO_TEST_IO("cancelled while it waits for data, or for a buffer, it takes nothing") {
    hog all;
    ends pair = unix_pair();
    for (const bool starving : {false, true}) {
        if (starving) {
            co_await take_all_buffers(all);
            co_await send_all(pair.far, bytes_of("data"));
        }
        auto waiting = spawn(receive_error(pair.near));
        co_await settle();
        waiting.cancel();
        const std::error_code why = co_await waiting;
        CHECK(why == errc::cancelled);
    }
    all.leases.clear();
    std::string received;
    co_await receive_bytes(pair.near, received, 4);
    CHECK(received == "data");
}

OURO_TEST_IO("data that beat a cancellation is delivered or still there, never lost") {
    ends pair = unix_pair();
    std::string received;
    for (int round = 0; round < 40; ++round) {
        const auto before = received.size();
        auto waiting = spawn(receive_text, std::ref(pair.near), std::ref(received));
        co_await yield();
        co_await send_all(pair.far, bytes_of("x"));
        for (int i = 0; i < round % 4; ++i) co_await yield();
        waiting.cancel();
        static_cast<void>(co_await as_result(waiting));
        if (received.size() == before) co_await receive_text(pair.near, received);
    }
    CHECK(received.size() == 40);
    CHECK(pool().available() == pool().size());
}

OURO_TEST_IO("it can time out") {
    ends pair = unix_pair();
    const auto got = co_await as_result(timeout(2ms, leased_recv_op(pair.near)));
    CHECK(got.error() == errc::timed_out);
    CHECK(pool().available() == pool().size());
}

OURO_TEST_IO("closing a descriptor ends a receive that waits for a buffer") {
    hog all;
    co_await take_all_buffers(all);
    ends pair = unix_pair();
    co_await send_all(pair.far, bytes_of("data"));
    auto waiting = spawn(receive_error(pair.near));
    co_await settle();
    co_await close_op(pair.near);
    const std::error_code why = co_await waiting;
    CHECK(why == errc::cancelled);
}
