// Nobody starves: whatever one kind of work does, every other gets its turn soon. What "soon" is
// gets counted in turns of the loop, so that a slow machine does not fail the test.

#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/bare_loop.hpp>

#include <doctest/doctest.h>

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// What the storm and its victim share.
struct weather {
    bool over = false;
    std::uint64_t due_turn = 0;  // when the victim could have gone on
    std::uint64_t ran_turn = 0;  // when it did
    time_point given_up = clock::exact_now() + 20s;

    static std::uint64_t turn() { return executor::current().stats().turns.value(); }

    /// For storms: true until the victim ran, or never will.
    bool goes_on() const { return !over && clock::exact_now() < given_up; }

    void due() {
        if (due_turn == 0) due_turn = turn();
    }
    void end() {
        ran_turn = turn();
        over = true;
    }
    std::uint64_t turns_late() const { return ran_turn - due_turn; }
};

// Storms: each keeps the loop busy without end.

task<> yield_storm(weather& sky) {
    while (sky.goes_on()) co_await yield();
}

task<int> one() { co_return 1; }

task<> ready_task_storm(weather& sky) {
    while (sky.goes_on()) co_await one();
}

task<> spawn_storm(weather& sky) {
    if (sky.goes_on()) spawn(spawn_storm(sky)).detach();
    co_return;
}

task<> instant_sleep_storm(weather& sky) {
    while (sky.goes_on()) co_await sleep_for(0ns);
}

/// Two connected sockets of this loop.
struct sockets {
    sockets() {
        int ends[2];
        REQUIRE(executor::current().io().socket_pair(AF_UNIX, SOCK_STREAM, ends) == 0);
        a = descriptor(ends[0]);
        b = descriptor(ends[1]);
    }
    descriptor a;
    descriptor b;
};

task<> send_byte(descriptor& to) {
    const std::byte byte{};
    co_await send_op(to, std::span(&byte, 1));
}

task<> receive_byte(descriptor& from) {
    std::byte byte;
    const std::size_t got = co_await recv_op(from, std::span(&byte, 1));
    CHECK(got == 1);
}

/// Operations that complete at once, where the reactor tries before it waits.
task<> io_storm(weather& sky) {
    sockets pair;
    while (sky.goes_on()) {
        co_await send_byte(pair.a);
        co_await receive_byte(pair.b);
    }
}

using storm = task<> (*)(weather&);
constexpr storm all_storms[] = {yield_storm, ready_task_storm, spawn_storm, instant_sleep_storm,
                                io_storm};

// Victims: each waits for something and tells when it could have gone on.

/// Notes the first turn that begins at `when` or later.
task<> watch_clock(weather& sky, time_point when) {
    while (clock::now() < when) co_await yield();
    sky.due();
}

task<> timer_victim(weather& sky) {
    const auto when = clock::exact_now() + 3ms;
    spawn(watch_clock(sky, when)).detach();
    co_await sleep_until(when);
    sky.due();
    sky.end();
}

task<> yield_victim(weather& sky) {
    co_await yield();
    sky.due();
    co_await yield();
    sky.end();
}

task<> send_when_asked(weather& sky, descriptor& to) {
    co_await sleep_for(1ms);
    co_await send_byte(to);
    sky.due();
}

task<> io_victim(weather& sky) {
    sockets pair;
    auto sender = spawn(send_when_asked(sky, pair.a));
    co_await receive_byte(pair.b);
    sky.due();
    sky.end();
    co_await sender;
}

class call_await final : public leaf, private remote_call {
public:
    explicit call_await(weather& sky) noexcept : sky_(sky) {}
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
        sky_.due();
        resume();
    }
    void cancel(cancel_reason) noexcept override {}

    weather& sky_;
    executor* home_ = nullptr;
    std::thread thread_;
};

task<> post_victim(weather& sky) {
    call_await call(sky);
    co_await call;
    sky.end();
}

/// How many turns the victim had to wait while `count` tasks stormed.
std::uint64_t turns_late(storm rages, int count, task<> (*victim)(weather&), reactor_kind kind) {
    bare_loop loop({.resumptions = 64}, kind);
    weather sky;
    for (int i = 0; i < count; ++i) spawn(rages(sky)).detach();
    loop.run(victim(sky));
    loop.run_out();
    REQUIRE(sky.ran_turn > 0);
    return sky.turns_late();
}

void check_all_storms(task<> (*victim)(weather&)) {
    on_real_reactors([&](reactor_kind kind) {
        for (const storm each : all_storms) {
            for (const int count : {1, 10}) {
                // It stands behind the others a few times; each of them may use up a turn.
                CHECK(turns_late(each, count, victim, kind) <=
                      static_cast<std::uint64_t>(2 * count + 4));
            }
        }
    });
}

}  // namespace

TEST_CASE("timers fire in any storm") { check_all_storms(timer_victim); }
TEST_CASE("a task that gave way goes on in any storm") { check_all_storms(yield_victim); }
TEST_CASE("a reader gets its byte in any storm") { check_all_storms(io_victim); }
TEST_CASE("a posted call gets through in any storm") { check_all_storms(post_victim); }

namespace {

task<> count_steps(weather& sky, std::uint64_t& steps) {
    while (sky.goes_on()) {
        ++steps;
        co_await yield();
    }
}

task<> count_awaits(weather& sky, std::uint64_t& steps) {
    while (sky.goes_on()) {
        steps += static_cast<std::uint64_t>(co_await one());
    }
}

}  // namespace

TEST_CASE("tasks that give way get the same number of turns, whatever the budget") {
    for (const int budget : {1, 2, 3, 7, 64, 1024}) {
        bare_loop loop({.resumptions = budget});
        weather sky;
        std::vector<std::uint64_t> steps(50);
        for (std::uint64_t& each : steps) spawn(count_steps(sky, each)).detach();
        while (steps[0] < 100) loop.turn();
        for (const std::uint64_t each : steps) {
            CHECK(each + 1 >= steps[0]);
            CHECK(each <= steps[0] + 1);
        }
        sky.over = true;
        loop.run_out();
    }
}

TEST_CASE("a task that awaits ready tasks for ever leaves room for another one like it") {
    bare_loop loop({.resumptions = 64});
    weather sky;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    spawn(count_awaits(sky, a)).detach();
    spawn(count_awaits(sky, b)).detach();
    for (int i = 0; i < 1000; ++i) loop.turn();
    CHECK(a > 0);
    CHECK(b > 0);
    CHECK(a < 2 * b + 64);
    CHECK(b < 2 * a + 64);
    sky.over = true;
    loop.run_out();
}
