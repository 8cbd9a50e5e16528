#include <ouro/runtime/testing/sweep.hpp>

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> three_sleeps() {
    for (int i = 0; i < 3; ++i) co_await sleep_for(1ms);
}

TEST_CASE("a sweep cancels at every suspension, and before the first") {
    const sweep_report swept = cancel_everywhere(three_sleeps);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    // The harness's own frame starts, three_sleeps starts and is resumed three times, the harness
    // takes its outcome; and one before all that.
    CHECK(swept.points == 7);
}

task<> child(int n) { co_await sleep_for(n * 1ms); }

task<> many_tasks() {
    co_await with_scope([](scope& tasks) -> task<> {
        for (int i = 0; i < 4; ++i) tasks.spawn(child, 3 - i);
        co_await sleep_for(2ms);
    });
    co_await any_of(child(1), child(2));
    co_await timeout(1ms, shield(child(2)));
}

TEST_CASE("a sweep counts the suspensions of all tasks, on every reactor") {
    const sweep_report swept = cancel_everywhere_on_all(many_tasks);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 40);
}

struct armed final : timer {
    void fire() noexcept override {}
};

// Forgets a timer when it is cancelled at the second of its two sleeps.
task<> leak_at_one_point() {
    co_await sleep_for(1ms);
    auto slept = co_await as_result(sleep_for(1ms));
    if (slept) co_return;
    static auto& forgotten = *new std::vector<std::unique_ptr<armed>>;
    forgotten.push_back(std::make_unique<armed>());
    executor::current().timers().arm(*forgotten.back(), INT64_MAX);
}

TEST_CASE("a sweep finds the one point at which something leaks") {
    const sweep_report swept = cancel_everywhere(leak_at_one_point);
    CHECK(!swept.clean());
    CHECK(swept.complaints.find("cancelled after 3 resumptions") != std::string::npos);
    CHECK(swept.complaints.find("1 timers") != std::string::npos);
    CHECK(swept.complaints.find("cancelled after 2 resumptions") == std::string::npos);
    CHECK(swept.complaints.find("cancelled after 5 resumptions") == std::string::npos);
}

task<> throw_when_cancelled() {
    auto slept = co_await as_result(sleep_for(1ms));
    if (!slept) throw std::logic_error("unexpected");
}

TEST_CASE("a cancelled scenario may fail with a system error only") {
    const sweep_report swept = cancel_everywhere(throw_when_cancelled);
    CHECK(swept.complaints.find("the test threw: unexpected") != std::string::npos);
}

task<> fail_at_the_end() {
    co_await sleep_for(1ms);
    throw_error(errc::closed);
}

TEST_CASE("a scenario that is not cancelled must end well") {
    CHECK(!cancel_everywhere(fail_at_the_end).clean());
}

TEST_CASE("a scenario may be any callable object") {
    int runs = 0;
    auto scenario = [&runs]() -> task<> {
        ++runs;
        return three_sleeps();
    };
    const sweep_report swept = cancel_everywhere(scenario);
    CHECK(swept.clean());
    CHECK(runs == static_cast<int>(swept.points) + 1);
}

}  // namespace
