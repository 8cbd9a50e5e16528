#include <ouro/runtime/sync/shared_semaphore.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <atomic>
#include <string>
#include <thread>

using namespace ouro;

namespace {

task<> take(shared_semaphore& permits, std::string& order, char name, std::size_t count) {
    auto permit = co_await as_result(permits.acquire(count));
    if (!permit) {
        order += permit.error() == errc::closed ? '#' : '-';
        co_return;
    }
    CHECK((*permit).count() == count);
    (*permit).forget();
    order += name;
}

OURO_TEST("a released permit goes to the oldest waiter") {
    shared_semaphore permits{0};
    std::string order;
    auto a = spawn(take, std::ref(permits), std::ref(order), 'a', 1);
    co_await settle();
    auto b = spawn(take, std::ref(permits), std::ref(order), 'b', 1);
    co_await settle();
    CHECK(waits_for(b) == "shared_semaphore");
    permits.release();
    CHECK_FALSE(permits.try_acquire());  // it is a's already
    co_await settle();
    CHECK(order == "a");
    permits.release();
    co_await settle();
    CHECK(order == "ab");
}

OURO_TEST("permits come back when they die") {
    shared_semaphore permits{2};
    {
        auto one = co_await permits.acquire();
        auto two = permits.try_acquire();
        CHECK(permits.available() == 0);
        CHECK_FALSE(permits.try_acquire());
        two.release();
        CHECK(permits.available() == 1);
    }
    CHECK(permits.available() == 2);
}

OURO_TEST("one that wants many is not overtaken, and when it gives up the others pass") {
    shared_semaphore permits{2};
    std::string order;
    auto big = spawn(take, std::ref(permits), std::ref(order), 'B', 3);
    co_await settle();
    auto small = spawn(take, std::ref(permits), std::ref(order), 's', 1);
    co_await settle();
    CHECK(order.empty());
    CHECK_FALSE(permits.try_acquire());
    big.cancel();
    co_await settle();
    CHECK(order.find('-') != order.npos);
    CHECK(order.find('s') != order.npos);
    CHECK(permits.available() == 1);
}

OURO_TEST("close tells who waits and who comes later") {
    shared_semaphore permits{0};
    std::string order;
    auto a = spawn(take, std::ref(permits), std::ref(order), 'a', 1);
    co_await settle();
    permits.close();
    co_await settle();
    CHECK(order == "#");
    permits.release();
    auto late = co_await as_result(permits.acquire());
    CHECK(late.error() == errc::closed);
    CHECK_FALSE(permits.try_acquire());
}

task<> scenario() {
    shared_semaphore permits{1};
    auto body = [&](scope& tasks) -> task<> {
        std::string ignored;
        auto held = co_await permits.acquire();
        tasks.spawn(take, permits, ignored, 'a', 2);
        tasks.spawn(take, permits, ignored, 'b', 1);
        co_await yield();
        permits.release(4);
        auto again = co_await permits.acquire();
    };
    co_await with_scope(body);
}

TEST_CASE("it can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

struct crowd {
    shared_semaphore permits{3};
    std::atomic<int> inside = 0;
    std::atomic<int> most = 0;
    std::atomic<int> passes = 0;

    void enter() {
        const int now = inside.fetch_add(1) + 1;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
    }
    void leave() {
        inside.fetch_sub(1);
        passes.fetch_add(1);
    }
};

task<> pass_often(crowd& all) {
    for (int i = 0; i < 1000; ++i) {
        auto permit = co_await all.permits.acquire();
        all.enter();
        co_await yield();
        all.leave();
    }
}

TEST_CASE("never more holders than permits, on four workers and two threads") {
    auto body = []() -> task<> {
        crowd all;
        auto block_often = [&] {
            for (int i = 0; i < 1000; ++i) {
                auto permit = all.permits.acquire_blocking();
                all.enter();
                all.leave();
            }
        };
        std::thread one(block_often);
        std::thread two(block_often);
        auto on_worker = [&]() -> task<> {
            auto twice = [&](scope& tasks) -> task<> {
                tasks.spawn(pass_often, all);
                tasks.spawn(pass_often, all);
                co_return;
            };
            co_await with_scope(twice);
        };
        co_await on_each_worker(on_worker);
        one.join();
        two.join();
        CHECK(all.passes.load() == 10'000);
        CHECK(all.most.load() <= 3);
        CHECK(all.permits.available() == 3);
    };
    block_on(body(), {.workers = 4});
}

TEST_CASE("a thread that waits learns of the end") {
    auto body = []() -> task<> {
        shared_semaphore permits{0};
        std::atomic<bool> refused = false;
        std::thread thread([&] { refused = !permits.acquire_blocking(); });
        permits.close();
        thread.join();
        CHECK(refused.load());
        co_return;
    };
    block_on(body());
}

}  // namespace
