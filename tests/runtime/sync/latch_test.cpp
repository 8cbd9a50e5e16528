#include <ouro/runtime/sync/latch.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

task<> wait_and_note(latch& gate, std::string& order, char name) {
    const auto passed = co_await as_result(gate.wait());
    order += passed ? name : '-';
}

OURO_TEST("a latch opens after the arrivals it was made for, and stays open") {
    latch gate(3);
    std::string order;
    auto a = spawn(wait_and_note, std::ref(gate), std::ref(order), 'x');
    auto b = spawn(wait_and_note, std::ref(gate), std::ref(order), 'x');
    co_await settle();
    CHECK(waits_for(a) == "latch");
    gate.count_down();
    CHECK(gate.left() == 2);
    co_await settle();
    CHECK(order.empty());
    gate.count_down(2);
    CHECK(gate.open());
    co_await settle();
    CHECK(order == "xx");
    co_await gate.wait();
}

OURO_TEST("a latch for nobody is open") {
    latch gate(0);
    co_await gate.wait();
    CHECK(gate.open());
}

task<> arrive(latch& gate, int& passed) {
    const auto ended = co_await as_result(gate.arrive_and_wait());
    if (ended) ++passed;
}

OURO_TEST("who arrives and waits goes on with the last one") {
    latch gate(2);
    int passed = 0;
    auto a = spawn(arrive, std::ref(gate), std::ref(passed));
    co_await settle();
    CHECK(passed == 0);
    auto b = spawn(arrive, std::ref(gate), std::ref(passed));
    co_await settle();
    CHECK(passed == 2);
}

OURO_TEST("an arrival counts also when its wait is cancelled or refused") {
    latch gate(3);
    int passed = 0;
    auto waiting = spawn(arrive, std::ref(gate), std::ref(passed));
    co_await settle();
    waiting.cancel();
    auto refused = spawn(arrive, std::ref(gate), std::ref(passed));
    refused.cancel();
    co_await settle();
    CHECK(passed == 0);
    CHECK(gate.left() == 1);
    auto woken = spawn(arrive, std::ref(gate), std::ref(passed));
    co_await settle();
    CHECK(passed == 1);
}

OURO_TEST("a wait that was over before the cancellation succeeds") {
    latch gate(1);
    std::string order;
    auto a = spawn(wait_and_note, std::ref(gate), std::ref(order), 'a');
    co_await settle();
    gate.count_down();
    a.cancel();
    co_await settle();
    CHECK(order == "a");
}

task<> arrive_late(latch& gate) {
    co_await yield();
    co_await gate.arrive_and_wait();
}

task<> meet() {
    latch gate(3);
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(arrive_late, gate);
        tasks.spawn(arrive_late, gate);
        co_await gate.arrive_and_wait();
    });
}

TEST_CASE("cancelled anywhere, nobody stays in the list") {
    const sweep_report report = cancel_everywhere(meet);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 3);
}

TEST_CASE("more arrivals than the latch was made for are noticed") {
    const std::string said = dies([] {
        latch gate(1);
        gate.count_down(2);
    });
    CHECK(says(said, "more arrivals than the latch was made for"));
}

}  // namespace
