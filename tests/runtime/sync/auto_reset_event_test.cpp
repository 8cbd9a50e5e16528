#include <ouro/runtime/sync/auto_reset_event.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

task<> wait_and_note(auto_reset_event& signal, std::string& order, char name) {
    const auto seen = co_await as_result(signal.wait());
    order += seen ? name : '-';
}

OURO_TEST("each signal wakes one, the oldest") {
    auto_reset_event signal;
    std::string order;
    auto a = spawn(wait_and_note, std::ref(signal), std::ref(order), 'a');
    co_await settle();
    auto b = spawn(wait_and_note, std::ref(signal), std::ref(order), 'b');
    co_await settle();
    CHECK(waits_for(b) == "auto_reset_event");
    signal.set();
    CHECK_FALSE(signal.is_set());
    co_await settle();
    CHECK(order == "a");
    signal.set();
    co_await settle();
    CHECK(order == "ab");
}

OURO_TEST("a signal that nobody waits for is kept, once") {
    auto_reset_event signal;
    signal.set();
    signal.set();
    CHECK(signal.is_set());
    co_await signal.wait();
    CHECK_FALSE(signal.is_set());
    std::string order;
    auto a = spawn(wait_and_note, std::ref(signal), std::ref(order), 'a');
    co_await settle();
    CHECK(order.empty());
    signal.set();
    co_await settle();
    CHECK(order == "a");
    signal.set();
    signal.reset();
    CHECK_FALSE(signal.is_set());
}

OURO_TEST("all who wait can be woken at once, and nothing is kept") {
    auto_reset_event signal;
    std::string order;
    auto a = spawn(wait_and_note, std::ref(signal), std::ref(order), 'x');
    auto b = spawn(wait_and_note, std::ref(signal), std::ref(order), 'x');
    co_await settle();
    signal.set_all();
    CHECK_FALSE(signal.is_set());
    co_await settle();
    CHECK(order == "xx");
    signal.set_all();
    CHECK_FALSE(signal.is_set());
}

OURO_TEST("a cancelled waiter takes no signal") {
    auto_reset_event signal;
    std::string order;
    auto a = spawn(wait_and_note, std::ref(signal), std::ref(order), 'a');
    co_await settle();
    auto b = spawn(wait_and_note, std::ref(signal), std::ref(order), 'b');
    co_await settle();
    a.cancel();
    signal.set();
    co_await settle();
    CHECK((order == "-b" || order == "b-"));
    signal.set();
    auto refused = spawn(wait_and_note, std::ref(signal), std::ref(order), 'c');
    refused.cancel();
    co_await settle();
    CHECK(order.back() == '-');
    CHECK(signal.is_set());
}

OURO_TEST("a waiter that was woken before its cancellation has taken the signal") {
    auto_reset_event signal;
    std::string order;
    auto a = spawn(wait_and_note, std::ref(signal), std::ref(order), 'a');
    co_await settle();
    signal.set();
    a.cancel();
    co_await settle();
    CHECK(order == "a");
    CHECK_FALSE(signal.is_set());
}

// Two tasks that wake each other in turn.
task<> answer(auto_reset_event& ping, auto_reset_event& pong) {
    for (int i = 0; i < 3; ++i) {
        co_await ping.wait();
        pong.set();
    }
}

task<> ping_pong() {
    auto_reset_event ping;
    auto_reset_event pong;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(answer, ping, pong);
        for (int i = 0; i < 3; ++i) {
            ping.set();
            co_await pong.wait();
        }
    });
}

TEST_CASE("cancelled anywhere, nobody stays in the list") {
    const sweep_report report = cancel_everywhere(ping_pong);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 6);
}

}  // namespace
