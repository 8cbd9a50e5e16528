#include <ouro/runtime/sync/condition.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <deque>
#include <functional>
#include <string>

using namespace ouro;

namespace {

struct story {
    mutex lock;
    condition changed;
    std::string said;
};

task<> wait_and_note(story& in, char name) {
    auto held = co_await as_result(in.lock.lock());
    if (!held) co_return;
    const auto woken = co_await as_result(in.changed.wait(*held));
    CHECK(*held);
    CHECK(in.lock.locked());
    in.said += woken ? name : '-';
}

OURO_TEST("the lock is free while one waits, and held again after") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    CHECK_FALSE(in.lock.locked());
    CHECK(waits_for(a) == "condition");
    auto mine = co_await in.lock.lock();
    in.changed.notify_one();
    co_await settle();
    CHECK(in.said.empty());  // notified, but the lock is ours
    CHECK(waits_for(a) == "condition, for its mutex");
    mine.unlock();
    co_await settle();
    CHECK(in.said == "a");
    CHECK_FALSE(in.lock.locked());
}

OURO_TEST("a notification wakes the oldest waiter, or nobody") {
    story in;
    in.changed.notify_one();
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    auto b = spawn(wait_and_note, std::ref(in), 'b');
    co_await settle();
    CHECK(in.said.empty());
    in.changed.notify_one();
    co_await settle();
    CHECK(in.said == "a");
    in.changed.notify_one();
    in.changed.notify_one();
    co_await settle();
    CHECK(in.said == "ab");
}

OURO_TEST("all who wait are woken, and get the lock one after the other in their order") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    auto b = spawn(wait_and_note, std::ref(in), 'b');
    co_await settle();
    auto c = spawn(wait_and_note, std::ref(in), 'c');
    co_await settle();
    in.changed.notify_all();
    co_await settle();
    CHECK(in.said == "abc");
}

OURO_TEST("a cancelled wait holds the lock again when it ends") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    auto mine = co_await in.lock.lock();
    a.cancel();
    co_await settle();
    CHECK_FALSE(a.finished());  // it is in the queue for the lock
    in.changed.notify_one();    // and no longer in that of the condition
    mine.unlock();
    co_await settle();
    CHECK(in.said == "-");
    CHECK_FALSE(in.lock.locked());
}

OURO_TEST("a notification that came before the cancellation is not lost") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    in.changed.notify_one();
    a.cancel();
    co_await settle();
    CHECK(in.said == "a");
}

OURO_TEST("a notified waiter that queues for the lock succeeds when it is cancelled then") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    auto mine = co_await in.lock.lock();
    in.changed.notify_one();
    a.cancel();
    co_await settle();
    CHECK(in.said.empty());
    mine.unlock();
    co_await settle();
    CHECK(in.said == "a");
}

OURO_TEST("a cancelled waiter passes the notification to the next") {
    story in;
    auto a = spawn(wait_and_note, std::ref(in), 'a');
    co_await settle();
    auto b = spawn(wait_and_note, std::ref(in), 'b');
    co_await settle();
    a.cancel();
    in.changed.notify_one();
    co_await settle();
    CHECK(in.said == "-b");
}

OURO_TEST("a chain that was asked to stop is refused without letting go of the lock") {
    story in;
    bool kept = false;
    auto a = spawn(
        [](story& in, bool& kept) -> task<> {
            auto held = co_await in.lock.lock();
            co_await shield(yield());
            const auto refused = co_await as_result(in.changed.wait(held));
            kept = held && in.lock.locked() && refused.error() == errc::cancelled;
        },
        std::ref(in), std::ref(kept));
    while (!in.lock.locked()) co_await yield();
    a.cancel();
    co_await settle();
    CHECK(kept);
}

OURO_TEST("a wait with a predicate goes on when it holds") {
    mutex lock;
    condition changed;
    int level = 0;
    auto waiting = spawn(
        [](mutex& lock, condition& changed, const int& level) -> task<> {
            auto held = co_await lock.lock();
            auto enough = [&level] { return level >= 2; };
            co_await changed.wait(held, enough);
        },
        std::ref(lock), std::ref(changed), std::cref(level));
    for (; level < 3; ++level) {
        co_await settle();
        CHECK(waiting.finished() == (level >= 2));
        changed.notify_all();
    }
    auto held = co_await lock.lock();
    auto always = [] { return true; };
    co_await changed.wait(held, always);
    CHECK(held);
}

// Two consumers and a producer on a queue, as in a textbook.
struct workshop {
    mutex lock;
    condition filled;
    std::deque<int> jobs;
    int done = 0;
};

task<> work(workshop& in, int count) {
    for (int i = 0; i < count; ++i) {
        auto held = co_await in.lock.lock();
        auto some = [&in] { return !in.jobs.empty(); };
        co_await in.filled.wait(held, some);
        in.jobs.pop_front();
        co_await yield();  // with the lock held
        ++in.done;
    }
}

task<> bring(workshop& in, int count) {
    for (int i = 0; i < count; ++i) {
        auto held = co_await in.lock.lock();
        in.jobs.push_back(i);
        in.filled.notify_one();
    }
}

task<> work_together() {
    workshop in;
    const auto ended = co_await as_result(with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(work, in, 3);
        tasks.spawn(work, in, 3);
        co_await yield();
        co_await bring(in, 6);
    }));
    CHECK_FALSE(in.lock.locked());
    ended.value();
    CHECK(in.done == 6);
}

TEST_CASE("cancelled anywhere, the lock is given back") {
    const sweep_report report = cancel_everywhere(work_together);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

}  // namespace
