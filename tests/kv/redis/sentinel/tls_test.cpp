// Sentinels and the servers that they watch over, all under TLS.
#include <ouro/tests/kv/tls.hpp>

#include <ouro/kv/redis/sentinel.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::sentinel_client;

namespace {

redis_sentinels& shared_group() {
    static redis_sentinels group({.replicas = 1, .tls = tls_files()});
    return group;
}

redis::sentinel_options with(const net::tls::client_context& context) {
    redis::sentinel_options made;
    made.client.link.tls = under(context);
    return made;
}

OURO_TEST_REAL("the master is found and reached under TLS, and so are sentinels that are learned") {
    redis_sentinels& group = shared_group();
    redis::sentinel_options how = with(trusting());
    how.replicas = true;
    auto db = co_await sentinel_client::connect({tls_url_of(group.sentinel(0))},
                                                redis_sentinels::name, how);
    CHECK(db.where()->port == group.master().tls_port());
    co_await db.set("k", "1");
    CHECK(co_await db.get("k") == "1");
    CHECK(db.core()->shared().security() != nullptr);
    {
        auto mine = co_await db.lease();
        CHECK(mine->session().security() != nullptr);
    }
    for (const time_point begin = clock::exact_now();
         clock::exact_now() < begin + 20s && (db.sentinels().size() < 3 || db.replicas().empty());)
        co_await sleep_for(10ms);
    CHECK(db.sentinels().size() == 3);
    REQUIRE(db.replicas().size() == 1);
    CHECK(db.replica().where().port != db.where()->port);
    co_await db.close();
}

OURO_TEST_REAL("sentinels and servers choose for themselves") {
    redis_sentinels& group = shared_group();
    redis::sentinel_options how;
    how.sentinel_tls = under(trusting(), "db.test");
    how.client.link.tls = under(known_client());
    auto db = co_await sentinel_client::connect({group.sentinel(1).peer_address()},
                                                redis_sentinels::name, how);
    co_await db.ping();
    co_await db.close();
    // Sentinels alone: the master's port takes nothing in the clear.
    redis::sentinel_options half;
    half.sentinel_tls = under(trusting());
    half.rounds_max = 1;
    const failure told = co_await failure_of(
        sentinel_client::connect({group.sentinel(1).peer_address()}, redis_sentinels::name, half));
    CHECK(told.code);
    CHECK_MESSAGE(told.words.find("rediss://") != std::string::npos, told.words);
}

OURO_TEST_REAL("sentinels that are not to be trusted are named with the reason") {
    redis::sentinel_options how;
    how.rounds_max = 1;
    const failure told = co_await failure_of(sentinel_client::connect(
        {tls_url_of(shared_group().sentinel(0))}, redis_sentinels::name, how));
    CHECK(told.code == net::tls::errc::certificate);
    CHECK_MESSAGE(told.words.find("certificate of 127.0.0.1") != std::string::npos, told.words);
}

task<> fails_over(redis_sentinels& group) {
    auto db = co_await sentinel_client::connect({tls_url_of(group.sentinel(0))},
                                                redis_sentinels::name, with(trusting()));
    const std::uint16_t first = db.where()->port;
    group.master().kill();
    const time_point begin = clock::exact_now();
    bool written = false;
    while (!written && clock::exact_now() < begin + 60s) {
        const auto done = co_await as_result(db.set("k", "after"));
        written = done.has_value();
        if (!written) co_await sleep_for(20ms);
    }
    CHECK(written);
    CHECK(db.where()->port != first);
    CHECK(db.core()->shared().security() != nullptr);
    co_await db.close();
}

OURO_TEST_REAL("a new master is reached under TLS") {
    redis_sentinels group({.replicas = 1, .down_after = 500ms, .tls = tls_files()});
    co_await fails_over(group);
}

}  // namespace
