#include <ouro/runtime/io/accept.hpp>

#include "sockets.hpp"
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

task<> connect_many(sockaddr_in where, int count, std::vector<descriptor>& into) {
    for (int i = 0; i < count; ++i) {
        descriptor socket = tcp_socket();
        co_await connect_to(socket, where);
        into.push_back(std::move(socket));
    }
}

task<> accept_many(acceptor& from, int count, std::vector<descriptor>& into) {
    for (int i = 0; i < count; ++i) into.push_back(co_await from.accept());
}

task<> accept_one(acceptor& from, int& taken) {
    const descriptor one = co_await from.accept();
    CHECK(one.is_open());
    ++taken;
}

task<std::error_code> accept_error(acceptor& from) {
    const auto taken = co_await as_result(from.accept());
    co_return taken.error();
}

}  // namespace

OURO_TEST_IO("an accepted connection carries bytes both ways") {
    ends both = co_await tcp_pair();
    std::array<std::byte, 5> space;
    co_await send_all(both.near, bytes_of("hello"));
    const auto there = co_await receive_all(both.far, space);
    CHECK(text_of(there) == "hello");
    co_await send_all(both.far, bytes_of("world"));
    const auto back = co_await receive_all(both.near, space);
    CHECK(text_of(back) == "world");
}

OURO_TEST_IO("connections made before and after accept was called are all taken") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await connect_many(where, 5, clients);
    co_await accept_many(listener, 5, taken);
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(accept_many, listener, 5, taken);
        co_await settle();
        co_await connect_many(where, 5, clients);
    });
    CHECK(taken.size() == 10);
    CHECK(listener.queued() == 0);
}

OURO_TEST_IO("several tasks may wait on one acceptor; each gets a connection of its own") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    int taken = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) tasks.spawn(accept_one, listener, taken);
        co_await settle();
        co_await connect_many(where, 20, clients);
    });
    CHECK(taken == 20);
}

OURO_TEST_IO("beyond its bound the queue leaves connections to the kernel, and none is lost") {
    acceptor listener(listening_socket(), {.queue_max = 4});
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await connect_many(where, 1, clients);
    co_await accept_many(listener, 1, taken);
    co_await connect_many(where, 40, clients);
    co_await settle();
    co_await accept_many(listener, 40, taken);
    CHECK(taken.size() == 41);
}

OURO_TEST_IO("a paused acceptor hands out nothing new, and goes on when resumed") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    int taken = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        listener.pause();
        CHECK(listener.paused());
        tasks.spawn(accept_one, listener, taken);
        co_await connect_many(where, 1, clients);
        co_await settle();
        CHECK(taken == 0);
        listener.resume();
    });
    CHECK(taken == 1);
}

OURO_TEST_IO("pausing while an accept is in flight keeps later connections in the backlog") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    int taken = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(accept_one, listener, taken);
        tasks.spawn(accept_one, listener, taken);
        co_await settle();
        listener.pause();
        co_await settle();
        co_await connect_many(where, 2, clients);
        co_await settle();
        CHECK(taken == 0);
        listener.resume();
    });
    CHECK(taken == 2);
}

OURO_TEST_IO("a cancelled accept takes no connection: the next one gets it") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    auto waiting = spawn(accept_error(listener));
    co_await settle();
    waiting.cancel();
    const std::error_code why = co_await waiting;
    CHECK(why == errc::cancelled);
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await connect_many(where, 3, clients);
    co_await accept_many(listener, 3, taken);
    CHECK(taken.size() == 3);
}

OURO_TEST_IO("an accept that takes too long says so") {
    acceptor listener(listening_socket());
    const auto taken = co_await as_result(timeout(5ms, listener.accept()));
    CHECK(taken.error() == errc::timed_out);
}

OURO_TEST_IO("an acceptor can go with its operation in flight, and the port is free at once") {
    sockaddr_in where = loopback();
    for (int round = 0; round < 3; ++round) {
        acceptor listener(listening_socket(where));
        where = local_name(listener.number());
        const auto nobody = co_await as_result(timeout(1ms, listener.accept()));
        CHECK(nobody.error() == errc::timed_out);
    }
    acceptor listener(listening_socket(where));
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await connect_many(where, 2, clients);
    co_await accept_many(listener, 2, taken);
    CHECK(taken.size() == 2);
}

OURO_TEST_IO("connections that wait in the queue are closed with the acceptor") {
    std::vector<descriptor> clients;
    {
        acceptor listener(listening_socket());
        const sockaddr_in where = local_name(listener.number());
        std::vector<descriptor> taken;
        co_await connect_many(where, 1, clients);
        co_await accept_many(listener, 1, taken);
        co_await connect_many(where, 3, clients);
        co_await settle();
    }
    std::array<std::byte, 1> space;
    for (std::size_t i = 1; i < clients.size(); ++i) {
        const auto got = co_await as_result(recv_op(clients[i], space));
        const bool gone = !got ? got.error() == std::errc::connection_reset : *got == 0;
        CHECK(gone);
    }
}

OURO_TEST_IO("a moved acceptor goes on") {
    acceptor first(listening_socket());
    const sockaddr_in where = local_name(first.number());
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await connect_many(where, 2, clients);
    co_await accept_many(first, 1, taken);
    acceptor second = std::move(first);
    CHECK(!first.is_open());
    co_await accept_many(second, 1, taken);
    CHECK(taken.size() == 2);
}

OURO_TEST_IO("connects and accepts that race all meet") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    std::vector<descriptor> taken;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 8; ++i) {
            tasks.spawn(connect_many, where, 25, clients);
            tasks.spawn(accept_many, listener, 25, taken);
        }
        co_return;
    });
    CHECK(clients.size() == 200);
    CHECK(taken.size() == 200);
}
