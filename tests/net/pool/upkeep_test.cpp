#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/fake_pool.hpp>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using net::pool_figures;

namespace {

// --- health -------------------------------------------------------------------------------------

OURO_TEST("a connection that died while idle is not lent") {
    story s;
    auto a = co_await s.pool.acquire();
    auto b = co_await s.pool.acquire();
    fake* const dies = &*a;
    const int lives = b->id;
    b.release();
    a.release();
    dies->dead = true;
    auto lease = co_await s.pool.acquire();
    CHECK(lease->id == lives);
    CHECK(s.pool.figures().evicted_unusable == 1);
    CHECK(s.there.connected.size() == 1);
}

OURO_TEST("when all idle ones have died, one call closes them all and connects anew") {
    story s(small(5));
    {
        std::vector<fake_pool::lease> all;
        for (int i = 0; i < 5; ++i) all.push_back(co_await s.pool.acquire());
    }
    CHECK(s.pool.figures().idle == 5);
    for (fake* each : s.there.connected) each->dead = true;
    auto lease = co_await s.pool.acquire();
    CHECK(lease->id == 6);
    CHECK(s.there.closed.size() == 5);
    CHECK(s.there.attempts == 6);
}

OURO_TEST("a connection that comes back dead is closed, and its waiter gets a new one") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        lease->dead = true;
    });
    CHECK(order == "a");
    CHECK(s.there.attempts == 2);
    CHECK(s.pool.figures().evicted_unusable == 1);
}

OURO_TEST("idle connections above the minimum are closed after their time, and no others") {
    pool_options options = small(5);
    options.connections_min = 2;
    options.idle_timeout = 1min;
    options.check_interval = 1h;
    story s(options);
    {
        std::vector<fake_pool::lease> all;
        for (int i = 0; i < 5; ++i) all.push_back(co_await s.pool.acquire());
    }
    co_await sleep_for(59s);
    CHECK(s.pool.figures().open == 5);
    co_await sleep_for(2s);
    CHECK(s.pool.figures().open == 2);
    CHECK(s.pool.figures().evicted_idle == 3);
    co_await sleep_for(10min);
    CHECK(s.pool.figures().open == 2);
    CHECK(s.there.attempts == 5);
}

OURO_TEST("a connection in use does not count as idle") {
    pool_options options;
    options.idle_timeout = 1s;
    story s(options);
    auto lease = co_await s.pool.acquire();
    co_await sleep_for(1min);
    CHECK(s.pool.figures().open == 1);
    lease.release();
    co_await sleep_for(2s);
    CHECK(s.pool.figures().open == 0);
}

OURO_TEST("an old connection is closed when it comes back, or while it is idle") {
    pool_options options;
    options.lifetime = 1min;
    options.lifetime_jitter = 0;
    options.idle_timeout = 1h;
    story s(options);
    auto a = co_await s.pool.acquire();
    {
        auto b = co_await s.pool.acquire();
    }
    co_await sleep_for(61s);
    CHECK(s.pool.figures().evicted_old == 1);
    CHECK(s.pool.figures().idle == 0);
    CHECK(s.pool.figures().leased == 1);
    a.release();
    CHECK(s.pool.figures().evicted_old == 2);
    CHECK(s.there.connected.empty());
}

OURO_TEST("lifetimes differ by their jitter") {
    pool_options options = small(20);
    options.connections_min = 20;
    options.lifetime = 100s;
    options.lifetime_jitter = 0.5;
    options.check_interval = 1h;
    story s(options);
    co_await sleep_for(49s);
    CHECK(s.there.closed.empty());
    co_await sleep_for(26s);
    CHECK(s.there.closed.size() > 2);  // half of them, by chance
    CHECK(s.there.closed.size() < 18);
    co_await sleep_for(26s);
    CHECK(s.there.closed.size() >= 20);
    CHECK(s.pool.figures().open >= 16);  // up to four are on their way
}

OURO_TEST("idle connections are asked now and then, a few at a time") {
    pool_options options = small(10);
    options.connections_min = 10;
    options.connecting_max = 3;
    options.check_interval = 30s;
    story s(options);
    co_await sleep_for(29s);
    CHECK(s.pool.figures().idle == 10);
    CHECK(s.there.checks == 0);
    co_await sleep_for(2s);
    CHECK(s.there.checks == 10);
    CHECK(s.there.checks_at_once_max == 3);
    CHECK(s.pool.figures().idle == 10);
    co_await sleep_for(30s);
    CHECK(s.there.checks == 20);
    CHECK(s.there.attempts == 10);
}

OURO_TEST(
    "one that fails its check, or does not answer, is closed and replaced up to the minimum") {
    pool_options options = small(5);
    options.connections_min = 2;
    options.check_interval = 30s;
    options.check_timeout = 1s;
    story s(options);
    co_await sleep_for(10s);
    s.there.check_fails = true;
    co_await sleep_for(21s);
    CHECK(s.pool.figures().evicted_unusable == 2);
    CHECK(s.pool.figures().open == 2);
    CHECK(s.there.attempts == 4);
    s.there.silent = true;
    co_await sleep_for(32s);
    CHECK(s.pool.figures().evicted_unusable == 4);
    CHECK(s.pool.figures().open == 0);
    CHECK(s.pool.figures().connecting == 2);
}

OURO_TEST("a connection that is being asked goes to whoever waits when it has answered") {
    pool_options options = small(1);
    options.check_interval = 30s;
    story s(options);
    {
        auto lease = co_await s.pool.acquire();
    }
    s.there.delay = 500ms;
    co_await sleep_for(30s + 1ms);
    CHECK(s.pool.figures().checking == 1);
    auto lease = co_await s.pool.acquire();
    CHECK(lease->id == 1);
    CHECK(s.there.attempts == 1);
}

OURO_TEST("what is checked stays unused: it is closed in time") {
    pool_options options = small(5);
    options.idle_timeout = 95s;
    options.check_interval = 30s;
    story s(options);
    {
        auto a = co_await s.pool.acquire();
        auto b = co_await s.pool.acquire();
    }
    for (int i = 0; i < 10; ++i) {
        co_await sleep_for(10s);
        auto lease = co_await s.pool.acquire();
    }
    CHECK(s.there.checks >= 3);
    CHECK(s.pool.figures().open == 1);
    CHECK(s.pool.figures().evicted_idle == 1);
}

OURO_TEST("the minimum is opened ahead and kept") {
    pool_options options = small(5);
    options.connections_min = 3;
    story s(options);
    co_await sleep_for(10ms);
    CHECK(s.pool.figures().idle == 3);
    auto a = co_await s.pool.acquire();
    a.discard();
    co_await sleep_for(10ms);
    CHECK(s.pool.figures().idle == 3);
    CHECK(s.there.attempts == 4);
}

OURO_TEST("the minimum is tried again with growing waits while the server is down") {
    pool_options options = small(5);
    options.connections_min = 1;
    options.retry = {.first = 1s, .ceiling = 8s, .spread = jitter::none};
    story s(options);
    s.there.refuse = 1000;
    co_await sleep_for(1min);
    CHECK(s.there.attempts == 10);  // after 0 1 3 7 15 23 31 39 47 55 s, and 10 ms each
    s.there.refuse = 0;
    co_await sleep_for(10s);
    CHECK(s.pool.figures().idle == 1);
}

OURO_TEST("an idle pool without a minimum has nothing to do") {
    pool_options options;
    options.idle_timeout = 1min;
    story s(options);
    {
        auto lease = co_await s.pool.acquire();
    }
    co_await sleep_for(2min);
    CHECK(s.pool.figures().open == 0);
    CHECK(executor::current().timers().empty());
}

// --- the end ------------------------------------------------------------------------------------

OURO_TEST("close waits for what is lent out") {
    story s;
    auto lease = co_await s.pool.acquire();
    {
        auto idle = co_await s.pool.acquire();
    }
    auto closing = spawn(s.pool.close(1s));
    co_await settle();
    CHECK(s.pool.closed());
    CHECK(s.there.connected.size() == 1);
    CHECK(!closing.finished());
    lease->dead = false;  // still valid
    lease.release();
    const std::size_t out = co_await closing;
    CHECK(out == 0);
    CHECK(s.there.connected.empty());
    const std::error_code error = co_await error_of_acquire(s.pool, 1s);
    CHECK(error == errc::closed);
    CHECK(!s.pool.try_acquire());
}

OURO_TEST("close does not wait longer than its grace, and says how many are out") {
    story s;
    auto lease = co_await s.pool.acquire();
    const time_point start = clock::now();
    const std::size_t out = co_await s.pool.close(1s);
    CHECK(out == 1);
    CHECK(clock::now() - start >= 1s);
    CHECK(clock::now() - start < 2s);
    lease.release();
    CHECK(s.there.connected.empty());
    const std::size_t again = co_await s.pool.close();
    CHECK(again == 0);
}

OURO_TEST("close ends waiting and attempts") {
    story s(small(2));
    s.there.silent = true;
    co_await with_scope([&](scope& tasks) -> task<> {
        std::vector<join_handle<std::error_code>> waiters;
        for (int i = 0; i < 5; ++i) waiters.push_back(tasks.spawn(error_of_acquire, s.pool, 1h));
        co_await settle();
        CHECK(s.pool.figures().connecting == 2);
        const std::size_t out = co_await s.pool.close(1s);
        CHECK(out == 0);
        CHECK(s.pool.figures().connecting == 0);
        for (auto& each : waiters) {
            const std::error_code error = co_await each;
            CHECK(error == errc::closed);
        }
    });
}

OURO_TEST("a pool may die with attempts, checks, waiters and leases") {
    const auto there = std::make_shared<server>();
    std::optional<fake_pool> pool;
    pool_options options = small(3);
    options.check_interval = 30s;
    pool.emplace(std::make_unique<connector>(there), options);
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await pool->acquire();
        {
            auto idle = co_await pool->acquire();
        }
        there->silent = true;
        co_await sleep_for(30s + 500ms);
        CHECK(pool->figures().checking == 1);
        auto waiter = tasks.spawn(error_of_acquire, *pool, 1h);
        co_await settle();
        CHECK(pool->figures().connecting == 1);
        pool.reset();
        const std::error_code error = co_await waiter;
        CHECK(error == errc::closed);
        CHECK(lease->id == 1);
        co_await settle();
        CHECK(there->connected.size() == 1);
        lease.release();
        CHECK(there->connected.empty());
    });
}

OURO_TEST("a pool may die before its first attempt has begun") {
    const auto there = std::make_shared<server>();
    pool_options options;
    options.connections_min = 2;
    {
        fake_pool pool(std::make_unique<connector>(there), options);
    }
    co_await settle();
    CHECK(there->connected.empty());
}

// --- everything at every moment -------------------------------------------------------------

task<> busy_user(fake_pool& from, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        auto lease = co_await as_result(from.acquire(20ms));
        if (!lease) continue;
        co_await sleep_for(1ms);
        if (i % 3 == 0) (*lease).discard();
    }
}

task<> crowd() {
    pool_options options = small(2);
    options.connections_min = 1;
    options.idle_timeout = 5ms;
    options.check_interval = 3ms;
    options.lifetime = 20ms;
    story s(options);
    s.there.refuse = 1;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 4; ++i) tasks.spawn(busy_user, s.pool, 4);
        co_await sleep_for(15ms);
        const std::size_t out = co_await s.pool.close(2ms);
        CHECK(out <= 2);
    });
    const pool_figures end = s.pool.figures();
    CHECK(end.leased == 0);
    CHECK(end.waiting == 0);
    CHECK(s.there.connected.size() == end.open);
}

OURO_TEST("a crowd leaves nothing behind") { co_await crowd(); }

TEST_CASE("a crowd can be cancelled anywhere") {
    const sweep_report report = cancel_everywhere(crowd);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 50);
}

task<> single() {
    story s(small(1));
    auto a = co_await s.pool.acquire();
    a.release();
    auto b = co_await s.pool.acquire();
    b.discard();
    auto c = co_await s.pool.acquire();
    const std::size_t out = co_await s.pool.close(1ms);
    CHECK(out == 1);
}

TEST_CASE("acquire and close can be cancelled anywhere, on every reactor") {
    const sweep_report report = cancel_everywhere_on_all(single);
    CHECK_MESSAGE(report.clean(), report.complaints);
}

OURO_TEST_IO("a pool works on a real clock") {
    story s(small(2));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) tasks.spawn(hold, s.pool, order, 'x', 1ms);
        co_return;
    });
    CHECK(order.size() == 10);
    const std::size_t out = co_await s.pool.close(1s);
    CHECK(out == 0);
}

}  // namespace
