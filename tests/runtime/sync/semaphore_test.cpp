#include <ouro/runtime/sync/semaphore.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

task<> take(semaphore& permits, std::string& order, char name) {
    auto mine = co_await permits.acquire();
    order += name;
    mine.forget();
}

task<> take_and_note(semaphore& permits, std::string& order, std::size_t count, char name) {
    auto mine = co_await as_result(permits.acquire(count));
    if (mine)
        order += name;
    else
        order += mine.error() == errc::closed ? '#' : '-';
    static_cast<void>(co_await as_result(yield()));
}

OURO_TEST("a released permit goes to the oldest waiter") {
    semaphore permits{0};
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(take, permits, order, 'a');
        tasks.spawn(take, permits, order, 'b');
        co_await settle();  // until every task waits
        permits.release();
        co_await settle();
        CHECK(order == "a");
        tasks.cancel();  // b leaves without a permit
    });
    CHECK(permits.available() == 0);
}

OURO_TEST("a permit is given back when it dies, released early, or forgotten") {
    semaphore permits{3};
    {
        auto two = co_await permits.acquire(2);
        CHECK(two.count() == 2);
        CHECK(permits.available() == 1);
        auto moved = std::move(two);
        CHECK_FALSE(two);
        CHECK(permits.available() == 1);
    }
    CHECK(permits.available() == 3);
    auto one = co_await permits.acquire();
    one.release();
    CHECK(one.count() == 0);
    CHECK(permits.available() == 3);
    auto kept = co_await permits.acquire(3);
    kept.forget();
    CHECK(permits.available() == 0);
    permits.release(3);
    CHECK(permits.available() == 3);
}

OURO_TEST("what cannot be had at once is not had without waiting") {
    semaphore permits{2};
    auto first = permits.try_acquire(2);
    CHECK(first);
    CHECK_FALSE(permits.try_acquire());
    first.release();
    CHECK_FALSE(permits.try_acquire(3));
    CHECK(permits.try_acquire(0));
    co_return;
}

OURO_TEST("who wants many is not starved by those that want few") {
    semaphore permits{2};
    std::string order;
    auto held = co_await permits.acquire(1);
    auto many = spawn(take_and_note, std::ref(permits), std::ref(order), 2, 'm');
    co_await settle();
    CHECK(waits_for(many) == "semaphore");
    auto few = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'f');
    co_await settle();
    CHECK(order.empty());  // one is free, but it is not few's turn
    CHECK(permits.available() == 1);
    CHECK_FALSE(permits.try_acquire());
    held.release();
    co_await settle();
    CHECK(order == "mf");
    CHECK(permits.available() == 2);
}

OURO_TEST("when the oldest waiter gives up, those behind it pass") {
    semaphore permits{1};
    std::string order;
    auto many = spawn(take_and_note, std::ref(permits), std::ref(order), 2, 'm');
    co_await settle();
    auto few = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'f');
    co_await settle();
    many.cancel();
    co_await settle();
    CHECK((order == "-f" || order == "f-"));
    CHECK(permits.available() == 1);
}

OURO_TEST("a permit that was handed over before the cancellation is held") {
    semaphore permits{0};
    std::string order;
    auto a = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'a');
    co_await settle();
    permits.release();
    a.cancel();
    co_await settle();
    CHECK(order == "a");
    CHECK(permits.available() == 1);
}

OURO_TEST("a cancelled waiter and a chain that was asked to stop take none") {
    semaphore permits{0};
    std::string order;
    auto a = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'a');
    co_await settle();
    a.cancel();
    permits.release();
    auto b = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'b');
    b.cancel();
    co_await settle();
    CHECK(order == "--");
    CHECK(permits.available() == 1);
}

OURO_TEST("a closed semaphore refuses who waits and who comes") {
    semaphore permits{1};
    std::string order;
    auto held = co_await permits.acquire();
    auto a = spawn(take_and_note, std::ref(permits), std::ref(order), 1, 'a');
    co_await settle();
    permits.close();
    CHECK(permits.closed());
    co_await settle();
    CHECK(order == "#");
    held.release();
    CHECK(permits.available() == 1);
    CHECK_FALSE(permits.try_acquire());
    const auto late = co_await as_result(permits.acquire());
    CHECK(late.error() == errc::closed);
    bool thrown = false;
    try {
        auto never = co_await permits.acquire();
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::closed;
    }
    CHECK(thrown);
}

OURO_TEST("a task that acquires without end lets the others run") {
    semaphore permits{1};
    bool stop = false;
    int rounds = 0;
    auto eager = spawn(
        [](semaphore& permits, const bool& stop, int& rounds) -> task<> {
            while (!stop && rounds < 100'000) {
                auto mine = co_await permits.acquire();
                ++rounds;
            }
        },
        std::ref(permits), std::cref(stop), std::ref(rounds));
    while (rounds == 0) co_await yield();
    stop = true;
    co_await eager;
    CHECK(rounds < 100'000);
}

task<> use_twice(semaphore& permits, std::size_t count) {
    for (int i = 0; i < 2; ++i) {
        auto mine = co_await permits.acquire(count);
        co_await yield();
    }
}

task<> share_three_permits() {
    semaphore permits{3};
    const auto ended = co_await as_result(with_scope([&](scope& tasks) -> task<> {
        for (std::size_t count : {1, 2, 3, 2, 1})
            tasks.spawn(use_twice, permits, std::size_t(count));
        co_await yield();
    }));
    CHECK(permits.available() == 3);
    ended.value();
}

TEST_CASE("cancelled anywhere, every permit comes back") {
    const sweep_report report = cancel_everywhere(share_three_permits);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

TEST_CASE("destroying a semaphore that has waiters is noticed") {
    const std::string said = dies([] {
        run_simulated([]() -> task<> {
            std::string order;
            auto waiting = [&]() -> task<> {
                semaphore permits{0};
                spawn(take, std::ref(permits), std::ref(order), 'a').detach();
                co_await settle();
            };
            co_await waiting();
        }());
    });
    CHECK(says(said, "destroyed while tasks wait for it"));
}

}  // namespace
