// A test of a user's: his task asks Redis, and the Redis is a function on a simulated network.

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <string>

using namespace ouro;

task<std::string> greeting(redis::client& db) {
    const std::optional<std::string> name = co_await db.get("name");
    co_return "hello, " + name.value_or("stranger");
}

OURO_TEST("whoever has no name is greeted as a stranger") {
    auto nothing = [](const testing::words_said&, testing::fake_caller&) { return "$-1\r\n"; };
    testing::fake_server server(nothing);
    redis::client db = co_await redis::client::connect(server.url());
    const std::string said = co_await greeting(db);
    CHECK(said == "hello, stranger");
    co_await db.close();
}
