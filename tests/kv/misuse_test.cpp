// What is asked of Redis, of a cluster and of memcached, and never awaited.
#include <ouro/kv/memcached/connection/call.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/dies.hpp>

#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

template <class Made>
void forget(Made&&) {}

/// True when a story dies since something of that name was never awaited.
bool unawaited(const std::string& name, task<> (*tell)()) {
    const std::string said = dies([tell] { run_simulated(tell()); });
    const bool well =
        says(said, (name + ": an operation was made and never awaited, so it did nothing").c_str());
    if (!well) std::fprintf(stderr, "it said: %s\n", said.c_str());
    return well;
}

task<> forget_command() {
    fake_cluster nodes(1);
    auto db = co_await redis::client::connect(nodes.url());
    forget(db.get("key"));
}

task<> forget_cluster_command() {
    fake_cluster nodes(2);
    auto db = co_await redis::cluster::connect(nodes.url());
    forget(db.get("key"));
}

task<> forget_memcached_call() {
    memcached::fake_server server([](const memcached::heard_request& asked,
                                     memcached::fake_caller&) { return honest(asked); });
    memcached::session_options how;
    how.where = memcached::parse_address(server.address());
    const auto session = memcached::session::open(how, nullptr);
    const memcached::request get{.what = memcached::verb::get, .key = "key"};
    forget(memcached::call(*session, get));
    co_return;
}

}  // namespace

TEST_CASE("a command that nobody awaits is an assertion") {
    CHECK(unawaited("redis call", forget_command));
    CHECK(unawaited("redis cluster call", forget_cluster_command));
    CHECK(unawaited("memcached call", forget_memcached_call));
}

OURO_TEST("a command that is refused before it is sent, or in a group, counts as awaited") {
    fake_cluster nodes(1);
    auto db = co_await redis::client::connect(nodes.url());
    auto all = co_await redis::cluster::connect(nodes.url());
    const auto selected = co_await as_result(db.command("SELECT", {"1"}));
    CHECK(selected.error() == redis::errc::not_shareable);
    auto ask = [](redis::client& one, redis::cluster& many) -> task<> {
        CHECK((co_await as_result(sleep_for(1h))).error() == errc::cancelled);
        CHECK((co_await as_result(one.get("key"))).error() == errc::cancelled);
        CHECK((co_await as_result(many.get("key"))).error() == errc::cancelled);
        const auto both = co_await as_result(all_of(one.get("key"), many.get("key")));
        CHECK(both.error() == errc::cancelled);
    };
    auto asked = spawn(ask, std::ref(db), std::ref(all));
    co_await settle();
    asked.cancel();
    co_await asked;
    co_await all.close();
    co_await db.close();
}
