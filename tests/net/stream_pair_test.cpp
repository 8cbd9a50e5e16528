#include <ouro/net/stream_pair.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>

#include <array>
#include <string>

using namespace ouro;
using namespace ouro::net;

OURO_TEST_IO("what either end sends the other receives") {
    auto [a, b] = stream_pair();
    co_await a.send_all("there");
    CHECK(co_await receive_exactly(b, 5) == "there");
    co_await b.send_all("back");
    CHECK(co_await receive_exactly(a, 4) == "back");
}

OURO_TEST_IO("an end that is closed is the end of the stream for the other") {
    auto [a, b] = stream_pair();
    co_await a.send_all("bye");
    a = stream();
    CHECK(co_await receive_all(b) == "bye");
    const auto sent = co_await as_result(b.send_all("anybody?"));
    CHECK(sent.error() == std::errc::broken_pipe);
}

OURO_TEST_IO("a pair has no address") {
    auto [a, b] = stream_pair();
    CHECK(a.local().to_string() == "unix:");
    CHECK(b.peer().to_string() == "unix:");
    co_return;
}

OURO_TEST("no pair without descriptors") {
    sim::world::current().fail_next(sim::act::open, EMFILE);
    CHECK_THROWS_AS(stream_pair(), std::system_error);
    co_return;
}
