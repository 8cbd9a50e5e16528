// Values so large that they are not copied on their way.
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/net/bytes/chunk.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace ouro;
using namespace ouro::testing;
using redis::client;

namespace {

/// Text that shows where a part of it was lost or put elsewhere.
std::string long_text(std::size_t size) {
    std::string text;
    while (text.size() < size) text += std::to_string(text.size()) + ' ';
    return text;
}

OURO_TEST("a large value is copied once, into the memory that is sent") {
    fake_server server([](const words_said&, fake_caller&) { return std::string("+OK\r\n"); });
    client db = co_await client::connect(server.url());
    const std::string value = long_text(1 << 20);
    for (int times = 0; times < 3; ++times) {
        const net::block_pool_stats before = net::block_pool::stats();
        co_await db.set("key", value);
        CHECK(net::block_pool::stats().from_system == before.from_system + 1);
        CHECK(net::block_pool::stats().live == before.live);
    }
    for (const words_said& each : server.heard()) CHECK(each.at(2) == value);
    co_await db.close();
}

task<> set_on(std::shared_ptr<redis::session> on, std::string_view value) {
    redis::call<void> asked(*on, redis::verb::set, {"key", value});
    co_await asked;
}

OURO_TEST_IO("a large value leaves whole though its caller has gone") {
    fake_server server([](const words_said& said, fake_caller&) { return bulk(said.back()); });
    auto session = redis::session::open({.where = redis::url::parse(server.url()).value().where});
    co_await session->ready();
    const std::string value = long_text(8 << 20);
    auto setting = spawn(set_on(session, value));
    while (session->in_flight() == 0) co_await yield();
    setting.cancel();
    const auto cancelled = co_await as_result(setting);
    CHECK(cancelled.error() == ouro::errc::cancelled);
    redis::call<std::string> next(*session, redis::verb::echo, {"next"});
    const std::string got = co_await next;
    CHECK(got == "next");
    REQUIRE(server.heard().size() == 2);
    CHECK(server.heard()[0].at(2) == value);
    co_await session->closed();
}

OURO_TEST("a large value that is sent again has its bytes") {
    fake_server server([](const words_said&, fake_caller& who) {
        who.close = who.number < 2;
        return std::string(who.close ? "" : "+OK\r\n");
    });
    redis::session_options how;
    how.where = redis::url::parse(server.url()).value().where;
    how.repeat_writes = true;
    how.repeats = 2;
    auto session = redis::session::open(std::move(how));
    const std::string value = long_text(100'000);
    co_await set_on(session, value);
    CHECK(server.heard().size() == 3);
    for (const words_said& each : server.heard()) CHECK(each.at(2) == value);
    co_await session->closed();
}

}  // namespace
