#include <ouro/runtime/sync/event.hpp>

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

task<> wait_and_note(event& happened, std::string& order, char name) {
    const auto seen = co_await as_result(happened.wait());
    order += seen ? name : '-';
}

OURO_TEST("everybody who waits goes on when it happens") {
    event happened;
    std::string order;
    auto a = spawn(wait_and_note, std::ref(happened), std::ref(order), 'x');
    auto b = spawn(wait_and_note, std::ref(happened), std::ref(order), 'x');
    co_await settle();
    CHECK(order.empty());
    CHECK(waits_for(a) == "event");
    happened.set();
    happened.set();
    co_await settle();
    CHECK(order == "xx");
}

OURO_TEST("it has happened until it is reset") {
    event happened(true);
    CHECK(happened.is_set());
    co_await happened.wait();
    co_await happened.wait();
    happened.reset();
    std::string order;
    auto a = spawn(wait_and_note, std::ref(happened), std::ref(order), 'a');
    co_await settle();
    CHECK(order.empty());
    happened.set();
    happened.reset();  // a was woken all the same
    co_await settle();
    CHECK(order == "a");
}

OURO_TEST("a wait is cancelled, or refused, or was over before the cancellation") {
    event happened;
    std::string order;
    auto waiting = spawn(wait_and_note, std::ref(happened), std::ref(order), 'a');
    co_await settle();
    waiting.cancel();
    co_await settle();
    CHECK(order == "-");

    auto woken = spawn(wait_and_note, std::ref(happened), std::ref(order), 'b');
    co_await settle();
    happened.set();
    woken.cancel();
    co_await settle();
    CHECK(order == "-b");

    auto refused = spawn(wait_and_note, std::ref(happened), std::ref(order), 'c');
    refused.cancel();
    co_await settle();
    CHECK(order == "-b-");
}

OURO_TEST("a task that waits for what has happened lets the others run") {
    event happened(true);
    bool stop = false;
    int rounds = 0;
    auto eager = spawn(
        [](event& happened, const bool& stop, int& rounds) -> task<> {
            for (; !stop && rounds < 100'000; ++rounds) co_await happened.wait();
        },
        std::ref(happened), std::cref(stop), std::ref(rounds));
    while (rounds == 0) co_await yield();
    stop = true;
    co_await eager;
    CHECK(rounds < 100'000);
}

task<> wait_twice(event& first, event& second) {
    co_await first.wait();
    second.set();
    co_await first.wait();
}

task<> set_and_wait() {
    event first;
    event second;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(wait_twice, first, second);
        tasks.spawn(wait_twice, first, second);
        co_await yield();
        first.set();
        co_await second.wait();
    });
}

TEST_CASE("cancelled anywhere, nobody stays in the list") {
    const sweep_report report = cancel_everywhere(set_and_wait);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 3);
}

TEST_CASE("destroying an event that has waiters is noticed") {
    const std::string said = dies([] {
        run_simulated([]() -> task<> {
            std::string order;
            auto waiting = [&]() -> task<> {
                event happened;
                spawn(wait_and_note, std::ref(happened), std::ref(order), 'a').detach();
                co_await settle();
            };
            co_await waiting();
        }());
    });
    CHECK(says(said, "destroyed while tasks wait for it"));
}

}  // namespace
