// What a pool does so that nobody sees what another has left behind, and nothing outlives its time:
// restoring, retiring, and connecting anew at a bounded rate.
#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/fake_pool.hpp>

#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

// --- restoring --------------------------------------------------------------------------------

OURO_TEST("what comes back is restored first, and who gives it back does not wait") {
    story s(small(1));
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    lease.release();
    CHECK(s.pool.figures().restoring == 1);
    CHECK(s.pool.figures().open == 1);
    CHECK(!s.pool.try_acquire());
    auto next = co_await s.pool.acquire();
    CHECK(!next->dirty);
    CHECK(next->id == 1);
    CHECK(s.there.restores == 1);
    CHECK(s.pool.figures().restored == 1);
    next.release();
    CHECK(s.pool.figures().idle == 1);  // there was nothing to restore
    CHECK(s.there.restores == 1);
}

OURO_TEST("who waits for one that is being restored has no other one opened") {
    story s;
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    lease.release();
    auto next = co_await s.pool.acquire();
    CHECK(next->id == 1);
    CHECK(s.there.attempts == 1);
}

OURO_TEST("what cannot be restored is closed, and who waits gets a fresh one") {
    story s(small(1));
    s.there.restore_fails = true;
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    lease.release();
    auto next = co_await s.pool.acquire();
    CHECK(next->id == 2);
    CHECK(s.there.closed == std::vector<int>{1});
    CHECK(s.pool.figures().restore_failures == 1);
    CHECK(s.pool.figures().restored == 0);
}

OURO_TEST("a restore without an answer ends when its time is up") {
    pool_options options = small(1);
    options.restore_timeout = 200ms;
    story s(options);
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    s.there.silent = true;
    lease.release();
    co_await sleep_for(199ms);
    CHECK(s.pool.figures().restoring == 1);
    co_await sleep_for(2ms);
    CHECK(s.pool.figures().restoring == 0);
    CHECK(s.pool.figures().open == 0);
    CHECK(s.there.closed == std::vector<int>{1});
}

OURO_TEST("waiters keep their order while what comes back is restored") {
    story s(small(1));
    std::string order;
    auto soil = [](fake_pool& from, std::string& into, char name) -> task<> {
        auto lease = co_await from.acquire();
        into += name;
        lease->dirty = true;
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        lease->dirty = true;
        for (char name = 'a'; name <= 'e'; ++name) {
            tasks.spawn(soil, std::ref(s.pool), std::ref(order), name);
            co_await settle();
        }
    });
    CHECK(order == "abcde");
    CHECK(s.there.attempts == 1);
}

OURO_TEST("a pool that is closed waits for what it restores, and closes it") {
    story s(small(1));
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    s.there.silent = true;
    lease.release();
    co_await settle();
    const std::size_t out = co_await s.pool.close(1s);
    CHECK(out == 0);
    CHECK(s.there.connected.empty());
}

OURO_TEST("what is discarded, or dead, is not restored") {
    story s(small(1));
    auto lease = co_await s.pool.acquire();
    lease->dirty = true;
    lease.discard();
    lease = co_await s.pool.acquire();
    lease->dirty = lease->dead = true;
    lease.release();
    CHECK(s.there.restores == 0);
    CHECK(s.there.connected.empty());
}

// --- retiring ---------------------------------------------------------------------------------

OURO_TEST(
    "what is retired is closed soon when it is idle, and when it comes back when it is lent") {
    story s(small(3));
    auto lent = co_await s.pool.acquire();
    auto idle = co_await s.pool.acquire();
    idle.release();
    s.pool.retire_all();
    CHECK(!s.pool.try_acquire());
    co_await settle();
    CHECK(s.there.closed == std::vector<int>{2});
    CHECK(s.pool.figures().evicted_retired == 1);
    auto fresh = co_await s.pool.acquire();
    CHECK(fresh->id == 3);
    fresh.release();
    CHECK(s.pool.figures().idle == 1);
    lent.release();
    CHECK(s.there.closed == std::vector<int>{2, 1});
    CHECK(s.pool.figures().idle == 1);
    CHECK(s.pool.figures().evicted_retired == 2);
}

OURO_TEST("an attempt that began before all were retired makes no connection for anybody") {
    story s(small(1));
    s.there.delay = 10ms;
    auto waits = spawn(
        [](fake_pool& from) -> task<int> {
            auto lease = co_await from.acquire();
            co_return lease->id;
        },
        std::ref(s.pool));
    co_await sleep_for(5ms);
    s.pool.retire_all();
    const int id = co_await waits;
    CHECK(id == 2);
    CHECK(s.there.closed == std::vector<int>{1});
}

OURO_TEST("what is asked or restored when all are retired is closed behind that") {
    pool_options options = small(2);
    options.check_interval = 1s;
    story s(options);
    auto asked = co_await s.pool.acquire();
    auto restored = co_await s.pool.acquire();
    asked.release();
    s.there.delay = 100ms;
    co_await sleep_for(1050ms);
    CHECK(s.pool.figures().checking == 1);
    restored->dirty = true;
    restored.release();
    s.pool.retire_all();
    co_await sleep_for(200ms);
    CHECK(s.pool.figures().open == 0);
    CHECK(s.pool.figures().evicted_retired == 2);
}

// --- the rate of attempts -----------------------------------------------------------------------

OURO_TEST("no more attempts begin in any second than may") {
    pool_options options = small(20);
    options.connecting_max = 20;
    options.connects_per_second_max = 3;
    options.acquire_timeout = 1min;
    story s(options);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (char name = 'a'; name <= 'j'; ++name) tasks.spawn(hold, s.pool, order, name, 10s);
        co_return;
    });
    CHECK(order.size() == 10);
    const std::vector<time_point>& began = s.there.began;
    CHECK(began.size() == 10);
    for (std::size_t at = 3; at < began.size(); ++at) CHECK(began[at] - began[at - 3] >= 1s);
    CHECK(began[9] - began[0] < 3100ms);
}

OURO_TEST("who waits for an attempt that may not begin yet keeps his place") {
    pool_options options = small(20);
    options.connects_per_second_max = 1;
    options.acquire_timeout = 1min;
    story s(options);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (char name = 'a'; name <= 'e'; ++name) {
            tasks.spawn(hold, s.pool, order, name, 10s);
            co_await settle();
        }
    });
    CHECK(order == "abcde");
    CHECK(s.there.attempts == 5);
}

OURO_TEST("the rate holds for attempts that fail, too") {
    pool_options options = small(5);
    options.connects_per_second_max = 2;
    story s(options);
    s.there.refuse = 1000;
    const time_point until = clock::now() + 3s;
    while (clock::now() < until) {
        const std::error_code why = co_await error_of_acquire(s.pool, 100ms);
        CHECK((why == refused() || why == errc::timed_out));
    }
    CHECK(s.there.attempts <= 8);
    CHECK(s.there.attempts >= 6);
}

// --- figures ------------------------------------------------------------------------------------

OURO_TEST("the time that tasks wait is added up, whatever they get") {
    story s(small(1));
    auto lease = co_await s.pool.acquire();
    const duration connecting = s.pool.figures().waited;
    CHECK(connecting >= 1ms);
    const std::error_code why = co_await error_of_acquire(s.pool, 500ms);
    CHECK(why == errc::timed_out);
    CHECK(s.pool.figures().waited - connecting >= 500ms);
    CHECK(s.pool.figures().waited - connecting < 510ms);
}

// --- cancelling ---------------------------------------------------------------------------------

task<> use_and_soil(fake_pool& from) {
    auto lease = co_await from.acquire();
    CHECK(!lease->dirty);
    lease->dirty = true;
    co_await sleep_for(1ms);
}

task<> soil_in_turns() {
    story s(small(2));
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 5; ++i) tasks.spawn(use_and_soil, s.pool);
        co_await sleep_for(3ms);
        s.pool.retire_all();
    });
    const std::size_t out = co_await s.pool.close(1s);
    CHECK(out == 0);
}

TEST_CASE("who uses a pool that restores can be cancelled anywhere") {
    const auto report = cancel_everywhere(soil_in_turns);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

}  // namespace
