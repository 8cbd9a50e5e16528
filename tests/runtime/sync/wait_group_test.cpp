#include <ouro/runtime/sync/wait_group.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

task<> wait_and_note(wait_group& work, std::string& order, char name) {
    const auto over = co_await as_result(work.wait());
    order += over ? name : '-';
}

OURO_TEST("nobody waits for nothing") {
    wait_group work;
    co_await work.wait();
    CHECK(work.count() == 0);
}

OURO_TEST("everybody goes on when the last one is done") {
    wait_group work(1);
    work.add();
    std::string order;
    auto a = spawn(wait_and_note, std::ref(work), std::ref(order), 'x');
    auto b = spawn(wait_and_note, std::ref(work), std::ref(order), 'x');
    co_await settle();
    CHECK(waits_for(a) == "wait_group");
    work.done();
    co_await settle();
    CHECK(order.empty());
    work.done();
    work.add();  // they were woken all the same
    co_await settle();
    CHECK(order == "xx");
    work.done();
}

OURO_TEST("a wait is cancelled, or refused, or was over before the cancellation") {
    wait_group work(1);
    std::string order;
    auto waiting = spawn(wait_and_note, std::ref(work), std::ref(order), 'a');
    co_await settle();
    waiting.cancel();
    co_await settle();
    auto woken = spawn(wait_and_note, std::ref(work), std::ref(order), 'b');
    co_await settle();
    work.done();
    woken.cancel();
    co_await settle();
    auto refused = spawn(wait_and_note, std::ref(work), std::ref(order), 'c');
    refused.cancel();
    co_await settle();
    CHECK(order == "-b-");
}

task<> work_a_little(wait_group& work) {
    const auto slept = co_await as_result(yield());
    work.done();
    slept.value();
}

task<> work_and_wait() {
    wait_group work;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 3; ++i) {
            work.add();
            tasks.spawn(work_a_little, work);
        }
        co_await work.wait();
    });
}

TEST_CASE("cancelled anywhere, nobody stays in the list") {
    const sweep_report report = cancel_everywhere(work_and_wait);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 3);
}

TEST_CASE("more done than added is noticed") {
    const std::string said = dies([] {
        wait_group work(1);
        work.done();
        work.done();
    });
    CHECK(says(said, "more done than added"));
}

}  // namespace
