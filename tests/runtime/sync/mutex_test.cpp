#include <ouro/runtime/sync/mutex.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

task<> lock_and_sign(mutex& lock, std::string& order, char name) {
    auto held = co_await lock.lock();
    order += name;
    co_await yield();
}

task<> lock_and_note(mutex& lock, std::string& order, char name) {
    auto held = co_await as_result(lock.lock());
    order += held ? name : '-';
}

OURO_TEST("a free lock is had at once") {
    mutex lock;
    auto held = co_await lock.lock();
    CHECK(held);
    CHECK(lock.locked());
    CHECK_FALSE(lock.try_lock());
    held.unlock();
    CHECK_FALSE(held);
    CHECK_FALSE(lock.locked());
}

OURO_TEST("a guard gives the lock back when it dies, and moves") {
    mutex lock;
    mutex::guard outer;
    {
        auto held = lock.try_lock();
        CHECK(held);
        outer = std::move(held);
    }
    CHECK(lock.locked());
    outer = mutex::guard();
    CHECK_FALSE(lock.locked());
    co_return;
}

OURO_TEST("the lock goes to whoever has waited longest") {
    mutex lock;
    std::string order;
    auto held = co_await lock.lock();
    auto a = spawn(lock_and_sign, std::ref(lock), std::ref(order), 'a');
    co_await settle();
    auto b = spawn(lock_and_sign, std::ref(lock), std::ref(order), 'b');
    co_await settle();
    auto c = spawn(lock_and_sign, std::ref(lock), std::ref(order), 'c');
    co_await settle();
    CHECK(waits_for(a) == "mutex");
    CHECK(order.empty());
    held.unlock();
    co_await settle();
    CHECK(order == "abc");
    CHECK_FALSE(lock.locked());
}

OURO_TEST("a newcomer does not overtake who was handed the lock") {
    mutex lock;
    std::string order;
    auto held = co_await lock.lock();
    auto a = spawn(lock_and_sign, std::ref(lock), std::ref(order), 'a');
    co_await settle();
    held.unlock();
    CHECK(lock.locked());  // it belongs to a, who has not run yet
    CHECK_FALSE(lock.try_lock());
    auto mine = co_await lock.lock();
    CHECK(order == "a");
    CHECK(a.finished());
}

OURO_TEST("a cancelled waiter leaves without the lock, and those behind it move up") {
    mutex lock;
    std::string order;
    auto held = co_await lock.lock();
    auto a = spawn(lock_and_note, std::ref(lock), std::ref(order), 'a');
    co_await settle();
    auto b = spawn(lock_and_note, std::ref(lock), std::ref(order), 'b');
    co_await settle();
    a.cancel();
    co_await settle();
    CHECK(order == "-");
    held.unlock();
    co_await settle();
    CHECK(order == "-b");
    CHECK_FALSE(lock.locked());
}

OURO_TEST("a lock that was handed over before the cancellation is held") {
    mutex lock;
    std::string order;
    auto held = co_await lock.lock();
    auto a = spawn(lock_and_note, std::ref(lock), std::ref(order), 'a');
    co_await settle();
    held.unlock();
    a.cancel();
    co_await settle();
    CHECK(order == "a");
    CHECK_FALSE(lock.locked());
}

OURO_TEST("a waiter that was cancelled before the hand-over is passed over") {
    mutex lock;
    std::string order;
    auto held = co_await lock.lock();
    auto a = spawn(lock_and_note, std::ref(lock), std::ref(order), 'a');
    co_await settle();
    a.cancel();
    held.unlock();
    CHECK_FALSE(lock.locked());
    co_await settle();
    CHECK(order == "-");
}

OURO_TEST("a chain that was asked to stop is refused a free lock") {
    mutex lock;
    std::string order;
    auto a = spawn(lock_and_note, std::ref(lock), std::ref(order), 'a');
    a.cancel();
    co_await settle();
    CHECK(order == "-");
    CHECK_FALSE(lock.locked());
}

OURO_TEST("waiting for a lock can be limited") {
    mutex lock;
    auto held = co_await lock.lock();
    auto late = co_await as_result(timeout(std::chrono::seconds(1), lock.lock()));
    CHECK(late.error() == errc::timed_out);
    held.unlock();
    auto again = co_await timeout(std::chrono::seconds(1), lock.lock());
    CHECK(again);
}

task<> lock_until(mutex& lock, const bool& stop, int& rounds) {
    while (!stop && rounds < 100'000) {
        auto held = co_await lock.lock();
        ++rounds;
    }
}

OURO_TEST("a task that locks without end lets the others run") {
    mutex lock;
    bool stop = false;
    int rounds = 0;
    auto eager = spawn(lock_until, std::ref(lock), std::cref(stop), std::ref(rounds));
    while (rounds == 0) co_await yield();
    stop = true;
    co_await eager;
    CHECK(rounds < 100'000);
}

OURO_TEST("a refused task that tries without end lets the others run") {
    mutex lock;
    std::string order;
    bool stop = false;
    int rounds = 0;
    auto stubborn = spawn(
        [](mutex& lock, const bool& stop, int& rounds) -> task<> {
            while (!stop && rounds < 100'000) {
                auto held = co_await as_result(lock.lock());
                ++rounds;
            }
        },
        std::ref(lock), std::cref(stop), std::ref(rounds));
    stubborn.cancel();
    while (rounds == 0) co_await yield();
    stop = true;
    co_await stubborn;
    CHECK(rounds < 100'000);
}

task<> hold_while_others_wait() {
    mutex lock;
    std::string order;
    const auto ended = co_await as_result(with_scope([&](scope& tasks) -> task<> {
        auto held = co_await lock.lock();
        for (char name = 'a'; name < 'e'; ++name)
            tasks.spawn(lock_and_sign, lock, order, char(name));
        co_await yield();
        held.unlock();
        auto again = co_await lock.lock();
    }));
    CHECK_FALSE(lock.locked());
    ended.value();
    CHECK(order == "abcd");
}

TEST_CASE("cancelled anywhere, nobody keeps the lock") {
    const sweep_report report = cancel_everywhere(hold_while_others_wait);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

TEST_CASE("destroying a mutex that is locked is noticed") {
    const std::string said = dies([] {
        mutex::guard held;
        mutex lock;
        held = lock.try_lock();
    });
    CHECK(says(said, "a locked mutex is destroyed"));
}

}  // namespace
