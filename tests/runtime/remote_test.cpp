#include <ouro/runtime/remote.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/metrics.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> forever() {
    event never;
    co_await timeout(1h, never.wait());
}

task<unsigned> where_am_i() {
    co_await yield();
    co_return this_worker();
}

task<int> add(int a, int b) {
    co_await yield();
    co_return a + b;
}

task<int> fails() {
    co_await yield();
    throw std::runtime_error("over there");
}

// --- call_on --------------------------------------------------------------------------------

TEST_CASE("a call runs on the worker it names and brings its value back") {
    auto body = []() -> task<> {
        for (unsigned worker = 0; worker < worker_count(); ++worker) {
            const unsigned there = co_await call_on(worker, where_am_i);
            CHECK(there == worker);
            CHECK(this_worker() == 0);
        }
        const int sum = co_await call_on(1, add, 2, 3);
        CHECK(sum == 5);
    };
    block_on(body(), {.workers = 3});
}

TEST_CASE("a plain function can be called, too") {
    auto body = []() -> task<> {
        const unsigned there = co_await call_on(1, this_worker);
        CHECK(there == 1);
        bool done = false;
        co_await call_on(1, [&] { done = true; });
        CHECK(done);
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("values that only move, and exceptions, cross") {
    auto body = []() -> task<> {
        auto give_back = [](std::unique_ptr<int> mine) -> task<std::unique_ptr<int>> {
            ++*mine;
            co_return mine;
        };
        auto got = co_await call_on(1, give_back, std::make_unique<int>(6));
        CHECK(*got == 7);
        CHECK_THROWS_WITH(co_await call_on(1, fails), "over there");
        auto throws = []() -> int { throw std::runtime_error("at once"); };
        CHECK_THROWS_WITH(co_await call_on(1, throws), "at once");
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("cancelling the caller cancels the call and waits for its end") {
    auto body = []() -> task<> {
        std::atomic<bool> ended = false;
        shared_oneshot_ends<int> begun = shared_oneshot<int>();
        auto work = [&]() -> task<> {
            begun.sender.send(1);
            auto got = co_await as_result(forever());
            CHECK(got.error() == errc::cancelled);
            CHECK(current_cancellation() == cancel_reason::user);
            ended = true;
        };
        auto caller = [&]() -> task<> { co_await call_on(1, work); };
        auto handle = spawn(caller);
        co_await begun.receiver.recv();
        handle.cancel();
        co_await handle;
        CHECK(ended.load());
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("a call that is not made in a cancelled chain") {
    auto body = []() -> task<> {
        auto caller = []() -> task<> {
            static_cast<void>(co_await as_result(forever()));
            bool called = false;
            auto got = co_await as_result(call_on(1, [&] { called = true; }));
            CHECK(got.error() == errc::cancelled);
            CHECK_FALSE(called);
        };
        auto handle = spawn(caller);
        co_await yield();
        handle.cancel();
        co_await handle;
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("a call inherits the deadline, and a value that came first is delivered") {
    auto body = []() -> task<> {
        const time_point until = clock::now() + 1h;
        auto deadline = []() -> task<time_point> { co_return current_deadline(); };
        const time_point there = co_await with_deadline(until, call_on(1, deadline));
        CHECK(there == until);

        auto stubborn = []() -> task<int> {
            co_await shield(sleep_for(2ms));
            co_return 8;
        };
        const int value = co_await timeout(1us, call_on(1, stubborn));
        CHECK(value == 8);
        const auto late = co_await as_result(timeout(1ms, call_on(1, forever)));
        CHECK(late.error() == errc::timed_out);
    };
    block_on(body(), {.workers = 2});
}

task<> call_back_and_forth(unsigned depth) {
    if (depth == 0) co_return;
    const unsigned other = (this_worker() + 1) % worker_count();
    co_await call_on(other, call_back_and_forth, depth - 1);
}

TEST_CASE("calls nest across workers") { block_on(call_back_and_forth(100), {.workers = 3}); }

TEST_CASE("cancelling races with answering and is always joined") {
    auto body = []() -> task<> {
        for (int i = 0; i < 1000; ++i) {
            auto caller = [](int spins) -> task<int> {
                auto work = [spins]() -> task<int> {
                    for (int n = 0; n < spins; ++n) co_await yield();
                    co_return spins;
                };
                co_return co_await call_on(1, work);
            };
            auto handle = spawn(caller, i % 7);
            for (int n = 0; n < i % 11; ++n) co_await yield();
            handle.cancel();
            auto got = co_await as_result(handle);
            CHECK((got ? *got == i % 7 : got.error() == errc::cancelled));
        }
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("on each worker at the same time") {
    auto body = []() -> task<> {
        auto values = co_await on_each_worker(where_am_i);
        CHECK(values == std::vector<unsigned>{0, 1, 2});
        std::atomic<int> times = 0;
        auto count = [&] { ++times; };
        co_await on_each_worker(count);
        CHECK(times.load() == 3);
        auto one_fails = []() -> task<> {
            if (this_worker() == 1) throw std::runtime_error("one");
            co_await forever();  // cancelled by that
        };
        CHECK_THROWS_WITH(co_await on_each_worker(one_fails), "one");
    };
    block_on(body(), {.workers = 3});
}

// --- spawn_on -------------------------------------------------------------------------------

std::mutex heard_lock;
std::string heard;

void keep_errors(log_level level, std::string_view text) {
    if (level != log_level::error) return;
    const std::lock_guard held(heard_lock);
    heard += text;
}

TEST_CASE("what is spawned on a worker runs there, from tasks and from blocking calls") {
    auto body = []() -> task<> {
        shared_channel<unsigned> said(8);
        auto say = [&said](unsigned plus) -> task<> { co_await said.send(this_worker() + plus); };
        spawn_on(1, say, 10);
        auto got = co_await said.recv();
        CHECK(*got == 11);
        spawn_on(0, say, 20);
        got = co_await said.recv();
        CHECK(*got == 20);
        co_await blocking([&] { spawn_on(1, say, 30); });
        got = co_await said.recv();
        CHECK(*got == 31);
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("a spawned task that fails is logged with the place that spawned it") {
    heard.clear();
    set_log(keep_errors);
    auto body = []() -> task<> {
        spawn_on(1, fails);
        while (metrics().workers[1].failed == 0) co_await yield();
        co_return;
    };
    block_on(body(), {.workers = 2});
    set_log(nullptr);
    CHECK(heard.find("over there") != heard.npos);
    CHECK(heard.find("remote_test.cpp") != heard.npos);
}

TEST_CASE("a task on another worker can be cancelled from here") {
    auto body = []() -> task<> {
        for (int i = 0; i < 100; ++i) {
            auto ended = shared_oneshot<bool>();
            auto work = [](shared_oneshot_sender<bool> said) -> task<> {
                auto got = co_await as_result(forever());
                said.send(got.error() == errc::cancelled);
            };
            remote_task handle = spawn_on(1, work, std::move(ended.sender));
            CHECK(handle.worker() == 1);
            remote_task copy = handle;
            if (i % 2) co_await yield();
            copy.cancel();
            handle.cancel();  // once is enough
            const bool cancelled = co_await ended.receiver.recv();
            CHECK(cancelled);
            handle.cancel();  // it is over
        }
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("spawn_anywhere spreads tasks evenly") {
    auto body = []() -> task<> {
        std::vector<remote_task> tasks;
        for (int i = 0; i < 40; ++i) tasks.push_back(spawn_anywhere(forever));
        std::array<int, 4> per_worker{};
        for (const remote_task& one : tasks) ++per_worker[one.worker()];
        for (const int count : per_worker) CHECK((count >= 9 && count <= 11));
        co_return;
    };
    block_on(body(), {.workers = 4});
}

/// Makes so many calls at once, each on the worker that is least loaded by then, and cancels them
/// when all have chosen; who got how many of them.
task<std::array<int, 4>> call_the_least_loaded(int count, std::function<void()> then) {
    std::array<int, 4> per_worker{};
    auto call = [&]() -> task<> {
        const unsigned there = least_loaded_worker();
        ++per_worker[there];
        co_await call_on(there, forever);
    };
    auto many = [&](scope& tasks) -> task<> {
        for (int i = 0; i < count; ++i) tasks.spawn(call);
        while (std::accumulate(per_worker.begin(), per_worker.end(), 0) < count) co_await yield();
        then();
        tasks.cancel();
    };
    co_await with_scope(many);
    CHECK(per_worker[0] == 0);  // the calling worker has all those that wait
    co_return per_worker;
}

TEST_CASE("calls on the least loaded worker spread, chosen all at once or one after the other") {
    auto chosen_first = []() -> task<> {
        std::array<int, 4> per_worker{};
        for (int i = 0; i < 9; ++i) ++per_worker[least_loaded_worker()];
        CHECK(per_worker == std::array<int, 4>{0, 3, 3, 3});  // worker 0 has this task
        co_return;
    };
    block_on(chosen_first(), {.workers = 4});
    auto chosen_when_made = []() -> task<> {
        const std::function<void()> nothing = [] {};
        const auto per_worker = co_await call_the_least_loaded(40, nothing);
        for (unsigned worker = 1; worker < 4; ++worker) {
            CAPTURE(per_worker[worker]);
            CHECK((per_worker[worker] >= 12 && per_worker[worker] <= 15));
        }
    };
    block_on(chosen_when_made(), {.workers = 4});
}

TEST_CASE("calls that are on the way to a worker count there") {
    std::atomic<int> blocked = 0;
    std::atomic<bool> released = false;
    auto block = [&]() -> task<> {
        ++blocked;
        while (!released) std::this_thread::yield();
        co_return;
    };
    auto body = [&]() -> task<> {
        std::vector<remote_task> ten;
        for (int i = 0; i < 10; ++i) ten.push_back(spawn_on(1, forever));
        // What arrives at these two lies in their mailboxes.
        remote_task second = spawn_on(2, block), third = spawn_on(3, block);
        while (blocked < 2) co_await yield();
        const std::function<void()> release = [&] { released = true; };
        const auto per_worker = co_await call_the_least_loaded(36, release);
        CHECK(per_worker[1] > 0);  // once each of the others had ten, too
        for (remote_task& each : ten) each.cancel();
    };
    block_on(body(), {.workers = 4});
}

TEST_CASE("a handle may be kept and used when the run is over") {
    std::optional<remote_task> kept;
    auto body = [&]() -> task<> {
        kept = spawn_on(1, forever);
        co_return;
    };
    block_on(body(), {.workers = 2});
    CHECK(kept->worker() == 1);
    kept->cancel();
}

// --- storms ---------------------------------------------------------------------------------

class counted_call final : public remote_call {
public:
    void run() noexcept override {
        ++runs;
        if (--*left == 0) done->set();
    }
    int runs = 0;
    int* left = nullptr;
    event* done = nullptr;
};

task<> post_storm(int threads, int per_thread) {
    executor& here = executor::current();
    int left = threads * per_thread;
    event done;
    std::vector<counted_call> calls(static_cast<std::size_t>(left));
    for (counted_call& call : calls) {
        call.left = &left;
        call.done = &done;
    }
    here.expect_post(+1);
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t)
        posters.emplace_back([&, t] {
            for (int i = 0; i < per_thread; ++i)
                here.post(calls[static_cast<std::size_t>(t * per_thread + i)]);
        });
    co_await done.wait();
    here.expect_post(-1);
    for (std::thread& one : posters) one.join();
    int wrong = 0;
    for (const counted_call& call : calls) wrong += call.runs != 1;
    CHECK(wrong == 0);
}

TEST_CASE("every post of a storm is run once, and the loop never sleeps through one") {
    block_on(post_storm(4, 20'000));
    for (int i = 0; i < 200; ++i) block_on(post_storm(3, 2));
}

// Everybody calls everybody: each post meets loops that are falling asleep.
task<> ping_all(int rounds) {
    for (int i = 0; i < rounds; ++i) {
        for (unsigned worker = 0; worker < worker_count(); ++worker) {
            const unsigned there = co_await call_on(worker, this_worker);
            CHECK(there == worker);
        }
    }
}

TEST_CASE("a wake storm between four workers loses nobody") {
    auto body = []() -> task<> {
        auto many = []() -> task<> {
            auto both = [](scope& tasks) -> task<> {
                for (int i = 0; i < 4; ++i) tasks.spawn(ping_all, 200);
                co_return;
            };
            co_await with_scope(both);
        };
        co_await on_each_worker(many);
    };
    block_on(body(), {.workers = 4});
}

task<> spread(int depth) {
    if (depth == 0) co_return;
    spawn_anywhere(spread, depth - 1);
    spawn_on((this_worker() + 1) % worker_count(), spread, depth - 1);
    co_await yield();
}

TEST_CASE("a run ends while its workers still start tasks on each other") {
    for (int i = 0; i < 50; ++i) {
        auto body = []() -> task<> {
            for (unsigned worker = 0; worker < worker_count(); ++worker)
                spawn_on(worker, spread, 8);
            co_return;
        };
        block_on(body(), {.workers = 3});
    }
}

}  // namespace
