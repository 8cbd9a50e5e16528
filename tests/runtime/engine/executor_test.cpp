#include <ouro/runtime/engine/executor.hpp>

#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/bare_loop.hpp>
#include <ouro/tests/dies.hpp>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> append(std::string& into, char what) {
    into += what;
    co_return;
}

task<> append_twice(std::string& into, char what) {
    into += what;
    co_await yield();
    into += what;
}

task<> append_through_awaits(std::string& into, char what) {
    into += what;
    co_await append(into, what);
    co_await append(into, what);
}

task<int> one() { co_return 1; }

task<> await_many(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += co_await one();
    CHECK(sum == count);
}

/// A call that notes in which order it came, on which thread.
class note final : public remote_call {
public:
    void run() noexcept override {
        order->push_back(number);
        worker = executor::current_or_null();
    }
    int number = 0;
    std::vector<int>* order = nullptr;
    executor* worker = nullptr;
};

/// A leaf that is resumed by a call from another thread.
class call_await final : public leaf, private remote_call {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        wait_regardless(by.promise());
        home_ = &executor::current();
        home_->expect_post(+1);
        thread_ = std::thread([this] { home_->post(*this); });
        return true;
    }
    void await_resume() { thread_.join(); }
    void describe(leaf_description&) const override {}

private:
    void run() noexcept override {
        home_->expect_post(-1);
        resume();
    }
    void cancel(cancel_reason) noexcept override {}

    executor* home_ = nullptr;
    std::thread thread_;
};

/// Sets a flag when it fires.
class bell final : public timer {
public:
    bool rang = false;

private:
    void fire() noexcept override { rang = true; }
};

task<> wait_for_call() {
    call_await call;
    co_await call;
}

}  // namespace

TEST_CASE("ready tasks run in the order in which they became ready") {
    bare_loop loop;
    std::string order;
    for (const char what : {'a', 'b', 'c'}) spawn(append_twice(order, what)).detach();
    loop.run_out();
    CHECK(order == "abcabc");
}

TEST_CASE("a task that awaits ready tasks goes on without giving way to others") {
    bare_loop loop;
    std::string order;
    for (const char what : {'a', 'b'}) spawn(append_through_awaits(order, what)).detach();
    loop.run_out();
    CHECK(order == "aaabbb");
}

TEST_CASE("a task that was spawned runs after everything that is ready") {
    bare_loop loop;
    std::string order;
    auto mother = [](std::string& into) -> task<> {
        spawn(append(into, 'c')).detach();
        into += 'm';
        co_await yield();
        into += 'm';
    };
    spawn(mother, std::ref(order)).detach();
    spawn(append(order, 'x')).detach();
    loop.run_out();
    CHECK(order == "mxcm");
}

TEST_CASE("a turn resumes no more than its limit, and loses nobody") {
    for (const int limit : {1, 2, 3, 7, 1000}) {
        bare_loop loop({.resumptions = limit});
        std::string order;
        for (const char what : {'a', 'b', 'c'}) {
            spawn(append_twice(order, what)).detach();
            spawn(append_through_awaits(order, what)).detach();
        }
        auto before = loop.stats().resumptions.value();
        while (loop.tasks().alive() > 0) {
            loop.turn();
            const auto now = loop.stats().resumptions.value();
            CHECK(now - before <= static_cast<std::uint64_t>(limit));
            CHECK(now > before);
            before = now;
        }
        CHECK(order.size() == 3 * (2 + 3));
    }
}

TEST_CASE("a turn that takes too long is cut short, however long one step takes") {
    for (const duration step : {20us, 100us, 500us}) {
        constexpr auto limit = 1ms;
        bare_loop loop({.time = limit});
        int running = 0;
        auto busy = [](int& count, duration length) -> task<> {
            ++count;
            const auto end = clock::exact_now() + length;
            while (clock::exact_now() < end) {
            }
            co_return;
        };
        for (int i = 0; i < 1000; ++i) spawn(busy, std::ref(running), step).detach();
        loop.turn();
        // The clock is read after 16 resumptions, and then after twice as many as before at most.
        CHECK(running <= 16 + 2 * (limit / step));
        loop.run_out();
        CHECK(running == 1000);
    }
}

TEST_CASE("a task that awaits ready tasks is interrupted when the turn takes too long") {
    bare_loop loop({.time = 1ms});
    auto step = []() -> task<> {
        const auto end = clock::exact_now() + 100us;
        while (clock::exact_now() < end) {
        }
        co_return;
    };
    int steps = 0;
    auto many = [&]() -> task<> {
        for (int i = 0; i < 200; ++i) {
            ++steps;
            co_await step();
        }
    };
    spawn(many).detach();
    loop.turn();
    CHECK(steps <= 16 + 2 * 10);
    loop.run_out();
    CHECK(steps == 200);
}

TEST_CASE("the budget for completing at once is finite and renewed with each resumption") {
    bare_loop loop({.inline_completions = 3});
    std::vector<int> spent;
    auto spend = [](std::vector<int>& into) -> task<> {
        for (int round = 0; round < 2; ++round) {
            int count = 0;
            while (executor::current().spend()) ++count;
            into.push_back(count);
            co_await yield();
        }
    };
    loop.run(spend(spent));
    CHECK(spent == std::vector<int>{3, 3});
}

TEST_CASE("the clock stands still during a turn") {
    bare_loop loop;
    auto look = []() -> task<> {
        const auto start = clock::now();
        const auto exact = clock::exact_now();
        while (clock::exact_now() < exact + 1ms) {
        }
        CHECK(clock::now() == start);
        CHECK(clock::exact_now() > clock::now());
        while (clock::now() == start) co_await yield();
        CHECK(clock::now() >= exact + 1ms);
    };
    loop.run(look());
}

TEST_CASE("posted calls run on the worker, those of one thread in their order") {
    on_real_reactors([](reactor_kind kind) {
        bare_loop loop({}, kind);
        std::vector<int> order;
        std::array<note, 100> calls;
        for (int i = 0; i < 100; ++i) {
            calls[static_cast<std::size_t>(i)].number = i;
            calls[static_cast<std::size_t>(i)].order = &order;
        }
        std::thread poster([&] {
            for (note& each : calls) loop.post(each);
        });
        while (order.size() < 100) loop.turn();
        poster.join();
        for (int i = 0; i < 100; ++i) {
            CHECK(order[static_cast<std::size_t>(i)] == i);
            CHECK(calls[static_cast<std::size_t>(i)].worker == &loop);
        }
        CHECK(loop.stats().remote_calls == 100);
        CHECK_FALSE(loop.has_posted());
    });
}

TEST_CASE("a posted call wakes a sleeping loop, time after time") {
    on_real_reactors([](reactor_kind kind) {
        bare_loop loop({}, kind);
        auto many = []() -> task<> {
            for (int i = 0; i < 300; ++i) co_await wait_for_call();
        };
        loop.run(many());  // a lost wake-up would hang here
        CHECK(loop.stuck());
    });
}

TEST_CASE("a loop is stuck when nothing is ready and nothing can wake it") {
    std::string written;
    bare_loop loop;
    CHECK(loop.stuck());
    auto ready = spawn(append_twice(written, 'x'));
    CHECK_FALSE(loop.stuck());
    ready.cancel();
    ready.detach();
    loop.run_out();
    CHECK(loop.stuck());

    bell timer;
    loop.timers().arm(timer, loop.now().time_since_epoch().count() + 1'000'000);
    CHECK_FALSE(loop.stuck());
    while (!timer.rang) loop.turn();
    CHECK(loop.stuck());

    loop.expect_post(+1);
    CHECK_FALSE(loop.stuck());
    loop.expect_post(-1);
    std::vector<int> order;
    note call;
    call.order = &order;
    loop.post(call);
    CHECK_FALSE(loop.stuck());
    loop.turn();
    CHECK(loop.stuck());
    loop.turn();  // and does not sleep for ever then
}

namespace {

/// Runs the newest first, and counts.
class contrary final : public loop_observer {
public:
    void turn_started(time_point) noexcept override { ++turns; }
    void resuming(promise_base&) noexcept override { ++resumptions; }
    void resumed() noexcept override { ++returns; }
    std::size_t choose(std::size_t ready) noexcept override { return ready - 1; }
    void polling() noexcept override { ++polls; }

    int turns = 0;
    int resumptions = 0;
    int returns = 0;
    int polls = 0;
};

}  // namespace

TEST_CASE("an observer sees every step and chooses who is next") {
    bare_loop loop;
    contrary observer;
    loop.observe(&observer);
    std::string order;
    for (const char what : {'a', 'b', 'c'}) spawn(append_through_awaits(order, what)).detach();
    loop.run_out();
    loop.observe(nullptr);
    CHECK(order == "cccbbbaaa");
    CHECK(observer.turns == 1);
    CHECK(observer.polls == 1);
    CHECK(observer.resumptions == 3 * (1 + 2 + 2));
    CHECK(observer.returns == observer.resumptions);
}

TEST_CASE("a thread has one executor at a time, and may have another one afterwards") {
    CHECK(executor::current_or_null() == nullptr);
    for (int i = 0; i < 2; ++i) {
        bare_loop loop;
        CHECK(&executor::current() == &loop);
        loop.run(await_many(10));
    }
    CHECK(executor::current_or_null() == nullptr);
    CHECK(asserts("of_thread_ == nullptr", [] {
        bare_loop first;
        bare_loop second;
    }));
    CHECK(asserts("without a worker", [] { executor::current(); }));
}

TEST_CASE("a million awaits of ready tasks, on a real loop, too") {
    bare_loop loop;
    loop.run(await_many(1'000'000));
    CHECK(loop.stats().turns.value() > 100);  // it came up for air
}

TEST_CASE("a million tasks that end at once") {
    bare_loop loop;
    std::size_t ended = 0;
    auto count = [](std::size_t& into) -> task<> {
        ++into;
        co_return;
    };
    auto spawner = [&]() -> task<> {
        for (int i = 0; i < 1'000'000; ++i) {
            spawn(count, std::ref(ended)).detach();
            if (i % 1000 == 999) co_await yield();
        }
    };
    loop.run(spawner());
    loop.run_out();
    CHECK(ended == 1'000'000);
    CHECK(loop.tasks().records() == 0);
}

namespace {

task<> complete_slowly(event& happened, int& steps, const bool& over) {
    while (!over) {
        ++steps;
        const time_point until = clock::exact_now() + 2ms;
        while (clock::exact_now() < until) {
        }
        co_await happened.wait();
    }
}

}  // namespace

TEST_CASE("a turn's time counts what completes without suspending") {
    turn_limits limits;
    limits.inline_completions = 2;
    limits.time = 1ms;
    bare_loop loop(limits);
    event happened;
    happened.set();
    int steps = 0;
    bool over = false;
    spawn(complete_slowly(happened, steps, over)).detach();
    loop.glance();
    CHECK(steps == 3);  // two within the budget, and the one that exceeds it
    over = true;
    loop.run_out();
}

TEST_CASE("what is used outside of a run says what it is, and the remedy") {
    CHECK(asserts("spawn: used on a thread without a worker",
                  [] { spawn([]() -> task<> { co_return; }()); }));
    CHECK(asserts("in tasks of run() or block_on()", [] { executor::current(); }));
    CHECK(asserts("a socket or file: used", [] { descriptor kept(0); }));
}

TEST_CASE("the records of a spike are given back") {
    bare_loop loop;
    bool over = false;
    auto stay = [](const bool& until) -> task<> {
        while (!until) co_await yield();
    };
    spawn(stay, std::cref(over)).detach();
    for (int i = 0; i < 10'000; ++i) spawn([]() -> task<> { co_return; }).detach();
    CHECK(loop.tasks().capacity() >= 10'000);
    while (loop.tasks().alive() > 1) loop.glance();
    CHECK(loop.tasks().capacity() <= 2'048);
    spawn([]() -> task<> { co_return; }).detach();
    over = true;
    loop.run_out();
    CHECK(loop.tasks().records() == 0);
}
