#include <ouro/kv/redis/connection/opener.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <string>

using namespace ouro;
using namespace ouro::testing;
using redis::client;

namespace {

constexpr const char* read_only = "-READONLY You can't write against a replica\r\n";

OURO_TEST("READONLY on one leased connection has the idle ones closed before they meet it") {
    fake_server server([](const words_said& said, fake_caller& who) {
        return said[0] == "SET" && who.number < 4 ? std::string(read_only) : std::string("+OK\r\n");
    });
    client db = co_await client::connect(server.url());
    {
        auto one = co_await db.lease();
        auto two = co_await db.lease();
        auto three = co_await db.lease();
    }
    CHECK(db.dedicated_figures().idle == 3);
    {
        auto mine = co_await db.lease();
        const auto refused = co_await as_result(mine->set("k", "v"));
        CHECK(refused.error() == redis::errc::read_only);
        co_await settle();
        CHECK(db.dedicated_figures().idle == 0);
    }
    auto next = co_await db.lease();
    co_await next->set("k", "v");
    CHECK(db.dedicated_figures().evicted_retired + db.dedicated_figures().evicted_unusable == 3);
    next.release();
    co_await db.close();
}

OURO_TEST("READONLY on a shared connection has the idle leased ones closed, too") {
    fake_server server([](const words_said& said, fake_caller& who) {
        return said[0] == "SET" && who.number < 2 ? std::string(read_only) : std::string("+OK\r\n");
    });
    client db = co_await client::connect(server.url());
    {
        auto mine = co_await db.lease();
    }
    const auto refused = co_await as_result(db.set("k", "v"));
    CHECK(refused.error() == redis::errc::read_only);
    auto next = co_await db.lease();
    co_await next->set("k", "v");
    next.release();
    co_await db.close();
}

OURO_TEST("a leased connection that watches is unwatched when it comes back, and lent again") {
    fake_server server([](const words_said&, fake_caller&) { return std::string("+OK\r\n"); });
    client db = co_await client::connect(server.url());
    {
        auto mine = co_await db.lease();
        co_await mine->watch("a");
    }
    CHECK(db.dedicated_figures().restoring == 1);
    auto again = co_await db.lease();
    CHECK(again->usable());
    CHECK(db.dedicated_figures().connects == 1);
    CHECK(server.heard().back() == words_said{"UNWATCH"});
    again.release();
    co_await db.close();
}

}  // namespace
