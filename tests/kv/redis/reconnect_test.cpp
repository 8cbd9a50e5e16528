// How connections are made again: how soon, where to, and how a dead one is noticed.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/resolver.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/net/names.hpp>

#include <memory>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

redis::session_options at(const fake_server& server) {
    redis::session_options how;
    how.where.port = server.port();
    how.library_info = false;
    how.backoff = {.first = 100ms, .ceiling = 10s, .spread = jitter::none};
    return how;
}

OURO_TEST("a server that takes connections and does not keep them is asked less and less often") {
    bool closes = true;
    fake_server server(
        [&](const words_said& said, fake_caller& who) {
            who.close = closes;
            return std::string(said[0] == "HELLO" ? "%0\r\n" : "+PONG\r\n");
        },
        false);
    const auto session = redis::session::open(at(server));
    co_await session->ready();
    co_await sleep_for(10s);
    CHECK(server.connections() == 7);  // after 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds

    // What has lasted as long as the longest wait is made again soon.
    closes = false;
    co_await sleep_for(20s);
    CHECK(server.connections() == 8);
    CHECK(session->is_connected());
    server.hang_up();
    co_await sleep_for(200ms);
    CHECK(server.connections() == 9);
    CHECK(session->is_connected());
    co_await session->closed();
}

OURO_TEST("why there is no connection is said once") {
    const std::string where = net::listener(net::endpoint("127.0.0.1:0")).local().to_string();
    std::string what;
    try {
        co_await redis::client::connect("redis://" + where);
    } catch (const redis::error& failure) {
        what = failure.what();
    }
    CHECK(what == "redis " + where + ": cannot connect to " + where + ": Connection refused");
}

OURO_TEST("a name whose addresses have all failed is looked up again at the next attempt") {
    fake_server server([](const words_said&, fake_caller&) { return std::string("+PONG\r\n"); });
    auto source = std::make_shared<net::test_names>();
    source->known["redis.example"] = {net::endpoint("127.0.0.2:0")};  // nobody is there
    net::resolver names({}, source);
    redis::session_options how = at(server);
    how.where.host = "redis.example";
    how.names = &names;
    const auto session = redis::session::open(how);
    const auto refused = co_await as_result(session->ready());
    CHECK(refused.error() == std::errc::connection_refused);
    source->known["redis.example"] = {net::endpoint("127.0.0.1:0")};
    co_await sleep_for(1s);
    CHECK(session->is_connected());
    CHECK(source->asked == 2);
    co_await session->closed();
}

}  // namespace
