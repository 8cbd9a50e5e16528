#include <ouro/runtime/testing/settle.hpp>

#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> step_three_times(int& steps) {
    for (int i = 0; i < 3; ++i) {
        ++steps;
        co_await yield();
    }
    co_await sleep_for(1s);
    ++steps;
}

OURO_TEST_IO("settle waits until everybody else waits, and no longer") {
    int steps = 0;
    auto worker = spawn(step_three_times, std::ref(steps));
    co_await settle();
    CHECK(steps == 3);
    worker.cancel();
    co_await settle();
    CHECK(worker.finished());
}

OURO_TEST("settle does not move the clock") {
    const time_point before = clock::exact_now();
    int steps = 0;
    auto worker = spawn(step_three_times, std::ref(steps));
    co_await settle();
    CHECK(clock::exact_now() == before);
    co_await worker;
    CHECK(clock::exact_now() == before + 1s);
    CHECK(steps == 4);
}

task<> settle_and_append(std::string& order, char what) {
    co_await settle();
    order += what;
    co_await yield();
    order += what;
}

OURO_TEST("who settles at the same time goes on one after the other") {
    std::string order;
    auto a = spawn(settle_and_append, std::ref(order), 'a');
    auto b = spawn(settle_and_append, std::ref(order), 'b');
    co_await a;
    co_await b;
    CHECK(order == "aabb");
}

/// Starts an operation at the end of each turn, as a writer does whose sends are cut short.
struct starts_again final : flusher, timer {
    explicit starts_again(int times) noexcept : left(times) {}
    void flush() noexcept override { executor::current().timers().arm(*this, 0); }
    void fire() noexcept override {
        sim::world::current().note(sim::happening::completed);
        if (--left > 0) executor::current().at_turn_end(*this);
    }
    int left;
};

OURO_TEST("settle is not over between an operation's end and the turn's end that starts the next") {
    starts_again work(5);
    executor::current().at_turn_end(work);
    co_await settle();
    CHECK(work.left == 0);
}

task<> be_cancelled_while_settling() {
    auto waiting = spawn([]() -> task<> { co_await settle(); });
    co_await yield();
    waiting.cancel();
    co_await settle();
}

TEST_CASE("settle can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere_on_all(be_cancelled_while_settling);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 3);
}

}  // namespace
