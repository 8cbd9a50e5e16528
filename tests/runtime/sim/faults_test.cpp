// What can be made to go wrong in a simulated network.

#include "../io/sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <cerrno>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

sim::world& world() { return sim::world::current(); }

task<std::string> received(descriptor& by) {
    std::array<std::byte, 100> space;
    auto got = co_await as_result(timeout(1h, recv_op(by, space)));
    if (!got) co_return got.error().message();
    co_return std::string(text_of(std::span(space).first(*got)));
}

OURO_TEST("a delay holds for connecting and for what is sent, in order") {
    world().set_conditions({.delay_min = 10ms, .delay_max = 20ms});
    acceptor listener(listening_socket());
    descriptor near = tcp_socket();
    const time_point begin = clock::exact_now();
    co_await connect_to(near, local_name(listener.number()));
    CHECK(clock::exact_now() - begin >= 20ms);  // there and back
    CHECK(clock::exact_now() - begin <= 40ms);
    descriptor far = co_await listener.accept();

    std::string order;
    const time_point sending = clock::exact_now();
    for (char what = 'a'; what <= 'z'; ++what) {
        co_await send_all(near, bytes_of(std::string_view(&what, 1)));
    }
    CHECK(clock::exact_now() == sending);  // sending does not wait for arrival
    while (order.size() < 26) order += co_await received(far);
    CHECK(order == "abcdefghijklmnopqrstuvwxyz");
    CHECK(clock::exact_now() - sending >= 10ms);
    CHECK(clock::exact_now() - sending <= 20ms);
}

OURO_TEST("who stops connecting after the other side has taken it resets that") {
    world().set_conditions({.delay_min = 10ms, .delay_max = 10ms});
    acceptor listener(listening_socket());
    descriptor near = tcp_socket();
    const auto tried =
        co_await as_result(timeout(15ms, connect_to(near, local_name(listener.number()))));
    CHECK(tried.error() == errc::timed_out);
    descriptor far = co_await listener.accept();
    near.close();
    CHECK(co_await received(far) == make_error_code(std::errc::connection_reset).message());
}

OURO_TEST("one connection can be made slower than the others") {
    ends slow = co_await tcp_pair();
    ends quick = co_await tcp_pair();
    world().set_conditions(slow.near.number(), {.delay_min = 5s, .delay_max = 5s});
    const time_point begin = clock::exact_now();
    co_await send_all(slow.near, bytes_of("x"));
    co_await send_all(quick.near, bytes_of("x"));
    CHECK(co_await received(quick.far) == "x");
    CHECK(clock::exact_now() == begin);
    CHECK(co_await received(slow.far) == "x");
    CHECK(clock::exact_now() == begin + 5s);
}

OURO_TEST("bytes take as long as the way is narrow") {
    world().set_conditions({.bytes_per_second = 1000});
    ends both = co_await tcp_pair();
    const time_point begin = clock::exact_now();
    co_await send_all(both.near, std::vector<std::byte>(10'000));
    checked(io().shutdown(both.near.number(), SHUT_WR));
    while (co_await received(both.far) != "") {
    }
    CHECK(clock::exact_now() - begin == 10s);
}

OURO_TEST("a cut connection is silent in both directions until it is repaired") {
    ends both = co_await tcp_pair();
    world().cut(both.near.number());
    co_await send_all(both.near, bytes_of("one"));
    co_await send_all(both.far, bytes_of("two"));
    CHECK(co_await received(both.far) == make_error_code(errc::timed_out).message());
    CHECK(co_await received(both.near) == make_error_code(errc::timed_out).message());
    world().repair(both.far.number());
    std::string got;
    while (got.size() < 3) got += co_await received(both.far);
    CHECK(got == "one");
    got.clear();
    while (got.size() < 3) got += co_await received(both.near);
    CHECK(got == "two");
}

OURO_TEST("a cut hides that the peer has closed") {
    ends both = co_await tcp_pair();
    world().cut(both.near.number());
    both.far.close();
    CHECK(co_await received(both.near) == make_error_code(errc::timed_out).message());
    world().repair(both.near.number());
    CHECK(co_await received(both.near) == "");
}

OURO_TEST("whoever connects to a port that is cut waits, and gives up like the kernel") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    world().cut_port(ntohs(where.sin_port));
    const time_point begin = clock::exact_now();
    descriptor near = tcp_socket();
    auto made = co_await as_result(connect_to(near, where));
    CHECK(made.error() == std::errc::timed_out);
    CHECK(clock::exact_now() - begin == 127s);
    world().repair_port(ntohs(where.sin_port));
    descriptor again = tcp_socket();
    co_await connect_to(again, where);
    descriptor far = co_await listener.accept();
}

OURO_TEST("a host that is not there does not answer") {
    sockaddr_in where = loopback(80);
    where.sin_addr.s_addr = htonl(0x0a000001);
    descriptor near = tcp_socket();
    auto made = co_await as_result(timeout(10s, connect_to(near, where)));
    CHECK(made.error() == std::errc::timed_out);
}

OURO_TEST("a reset from outside is seen on both sides") {
    ends both = co_await tcp_pair();
    auto waiting = spawn(received, std::ref(both.far));
    co_await settle();
    world().reset(both.near.number());
    CHECK(co_await waiting == "Connection reset by peer");
    CHECK(co_await received(both.near) == "Connection reset by peer");
}

OURO_TEST("an act can be made to fail, so many times") {
    world().fail_next(sim::act::open, EMFILE, 2);
    CHECK(io().open_socket(AF_INET, SOCK_STREAM, 0) == -EMFILE);
    CHECK(io().open_socket(AF_INET, SOCK_STREAM, 0) == -EMFILE);
    ends both = co_await tcp_pair();
    world().fail_next(sim::act::receive, EIO);
    CHECK(co_await received(both.near) == "Input/output error");
    world().fail_next(sim::act::send, ENOBUFS);
    auto sent = co_await as_result(send_op(both.near, bytes_of("x")));
    CHECK(sent.error() == std::errc::no_buffer_space);
    co_await send_all(both.near, bytes_of("x"));
    CHECK(co_await received(both.far) == "x");
}

OURO_TEST("so many descriptors may be open and no more") {
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    world().set_descriptors_max(2);
    descriptor near = tcp_socket();
    CHECK(io().open_socket(AF_INET, SOCK_STREAM, 0) == -EMFILE);
    co_await connect_to(near, where);
    auto taken = co_await as_result(listener.accept());
    CHECK(taken.error() == std::errc::too_many_files_open);
    world().set_descriptors_max(3);
    descriptor far = co_await listener.accept();
    CHECK(far.is_open());
}

task<> answer_three(descriptor& by) {
    for (int i = 0; i < 3; ++i) {
        std::array<std::byte, 4> ping;
        const auto got = co_await receive_all(by, ping);
        co_await send_all(by, got);
    }
}

task<> converse() {
    world().set_conditions({.delay_min = 1ms, .delay_max = 3ms});
    ends both = co_await tcp_pair();
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(answer_three, both.far);
        for (int i = 0; i < 3; ++i) {
            std::array<std::byte, 4> pong;
            co_await send_all(both.near, bytes_of("ping"));
            co_await receive_all(both.near, pong);
        }
    });
}

TEST_CASE("a conversation over a slow way can be cancelled anywhere" *
          doctest::test_suite("simulated")) {
    for (const sim::test_setting& where : sim::simulated_settings()) {
        const sweep_report swept = cancel_everywhere(converse, where);
        CHECK_MESSAGE(swept.clean(), swept.complaints);
        CHECK(swept.points > 20);
    }
}

}  // namespace
