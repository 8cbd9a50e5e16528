#include <ouro/runtime/blocking.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/doctest.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/runtime/workers.hpp>

#include <atomic>
#include <memory>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

TEST_CASE("a call runs on another thread and brings its value back") {
    auto body = []() -> task<> {
        const auto here = std::this_thread::get_id();
        const auto there = co_await blocking([] { return std::this_thread::get_id(); });
        CHECK(there != here);
        CHECK(std::this_thread::get_id() == here);
        auto give_back = [](std::unique_ptr<int> mine, int plus) {
            *mine += plus;
            return mine;
        };
        auto got = co_await blocking(give_back, std::make_unique<int>(40), 2);
        CHECK(*got == 42);
        bool done = false;
        co_await blocking([&] { done = true; });
        CHECK(done);
    };
    block_on(body());
}

TEST_CASE("an exception comes back, too") {
    auto body = []() -> task<> {
        auto fails = []() -> int { throw std::runtime_error("deep down"); };
        CHECK_THROWS_WITH(co_await blocking(fails), "deep down");
    };
    block_on(body());
}

OURO_TEST("without a run, as in simulation, the call is made at once") {
    const auto here = std::this_thread::get_id();
    const auto there = co_await blocking([] { return std::this_thread::get_id(); });
    CHECK(there == here);
}

task<> scenario() {
    const int two = co_await blocking([] { return 2; });
    CHECK(two == 2);
    co_await timeout(1s, blocking([] {}));
}

TEST_CASE("it can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

TEST_CASE("a call that has not begun is cancelled, one that has is waited for") {
    auto body = []() -> task<> {
        std::binary_semaphore gate{0};
        auto begun = shared_oneshot<int>();
        bool second_made = false;
        auto first = [&]() -> task<int> {
            auto work = [&] {
                begun.sender.send(1);
                gate.acquire();
                return 5;
            };
            co_return co_await blocking(work);
        };
        auto second = [&]() -> task<> { co_await blocking([&] { second_made = true; }); };
        auto one = spawn(first);
        co_await begun.receiver.recv();
        auto two = spawn(second);
        co_await yield();
        two.cancel();
        auto refused = co_await as_result(two);
        CHECK(refused.error() == errc::cancelled);
        one.cancel();
        co_await yield();
        CHECK_FALSE(one.finished());
        gate.release();
        const int value = co_await one;
        CHECK(value == 5);
        CHECK_FALSE(second_made);
    };
    block_on(body(), {.blocking_threads_max = 1});
}

TEST_CASE("a call that takes a stop token is told") {
    auto body = []() -> task<> {
        auto begun = shared_oneshot<int>();
        auto patient = [&begun](std::stop_token stop, int value) {
            begun.sender.send(1);
            while (!stop.stop_requested()) std::this_thread::yield();
            return value;
        };
        auto call = [&]() -> task<int> { co_return co_await blocking(patient, 3); };
        auto handle = spawn(call);
        co_await begun.receiver.recv();
        handle.cancel();
        const int value = co_await handle;
        CHECK(value == 3);
    };
    block_on(body());
}

TEST_CASE("no more threads than allowed, and all calls are made") {
    struct crowd {
        std::atomic<int> inside = 0;
        std::atomic<int> most = 0;
        std::atomic<int> calls = 0;
    } all;
    auto work = [&all] {
        const int now = all.inside.fetch_add(1) + 1;
        int seen = all.most.load();
        while (seen < now && !all.most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        all.inside.fetch_sub(1);
        all.calls.fetch_add(1);
    };
    auto body = [&]() -> task<> {
        auto one = [&]() -> task<> { co_await blocking(work); };
        auto many = [&](scope& tasks) -> task<> {
            for (int i = 0; i < 500; ++i) tasks.spawn(one);
            co_return;
        };
        co_await with_scope(many);
        CHECK(workers::current().pool().threads() <= 3);
    };
    block_on(body(), {.blocking_threads_max = 3});
    CHECK(all.calls.load() == 500);
    CHECK(all.most.load() <= 3);
}

TEST_CASE("what does not fit into the queue is refused, one beyond the limit") {
    auto body = []() -> task<> {
        std::binary_semaphore gate{0};
        auto begun = shared_oneshot<int>();
        auto hold = [&]() -> task<> {
            auto work = [&] {
                begun.sender.send(1);
                gate.acquire();
            };
            co_await blocking(work);
        };
        auto quick = []() -> task<> { co_await blocking([] {}); };
        auto holder = spawn(hold);
        co_await begun.receiver.recv();
        auto first = spawn(quick);
        auto second = spawn(quick);
        co_await yield();
        auto third = co_await as_result(blocking([] {}));
        CHECK(third.error() == errc::overloaded);
        gate.release();
        co_await holder;
        co_await first;
        co_await second;
        co_await blocking([] {});
    };
    block_on(body(), {.blocking_threads_max = 1, .blocking_queue_max = 2});
}

TEST_CASE("many calls that are cancelled around their beginning") {
    auto body = []() -> task<> {
        for (int i = 0; i < 500; ++i) {
            auto call = []() -> task<int> { co_return co_await blocking([] { return 1; }); };
            auto handle = spawn(call);
            for (int n = 0; n < i % 5; ++n) co_await yield();
            handle.cancel();
            auto got = co_await as_result(handle);
            CHECK((got ? *got == 1 : got.error() == errc::cancelled));
        }
    };
    block_on(body(), {.blocking_threads_max = 2});
}

/// A job that raises an event when it is done.
class simple_job final : public blocking_job {
public:
    explicit simple_job(event& over) noexcept : over_(over) {}
    void work() noexcept override { by = std::this_thread::get_id(); }
    void done() noexcept override { over_.set(); }

    std::thread::id by;

private:
    event& over_;
};

TEST_CASE("an idle thread ends after a while, and the next job starts another") {
    auto body = []() -> task<> {
        blocking_pool pool(nullptr, {.threads_max = 2, .queue_max = 4, .idle_time = 1ms});
        CHECK(pool.threads() == 0);
        for (int i = 0; i < 3; ++i) {
            event over;
            simple_job job(over);
            REQUIRE(pool.submit(job));
            CHECK(pool.threads() >= 1);
            co_await over.wait();
            CHECK(job.by != std::this_thread::get_id());
            while (pool.threads() > 0) std::this_thread::yield();
        }
        CHECK(pool.shut_down(1s));
    };
    block_on(body());
}

TEST_CASE("jobs can be submitted without a coroutine of their own") {
    auto body = []() -> task<> {
        event over;
        simple_job job(over);
        REQUIRE(submit_blocking(job));
        co_await over.wait();
        CHECK(job.by != std::this_thread::get_id());
        CHECK_FALSE(withdraw_blocking(job));  // it is over
    };
    block_on(body());
}

TEST_CASE("a run waits for the calls that its tasks made") {
    std::atomic<bool> finished = false;
    auto body = [&]() -> task<> {
        auto begun = std::make_shared<shared_oneshot_ends<int>>();
        auto slow = [&finished, begun] {
            begun->sender.send(1);
            std::this_thread::sleep_for(5ms);
            finished = true;
        };
        auto call = [slow]() -> task<> { co_await blocking(slow); };
        spawn(call);
        co_await begun->receiver.recv();
    };
    block_on(body());
    CHECK(finished.load());
}

}  // namespace
