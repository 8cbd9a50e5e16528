#include <ouro/runtime/sync/barrier.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

// Notes 'L' for the one that is told true, '.' for the others, '-' when cancelled.
task<> arrive(barrier& round, std::string& said) {
    const auto leads = co_await as_result(round.arrive_and_wait());
    said += !leads ? '-' : *leads ? 'L' : '.';
}

OURO_TEST("nobody goes on before all have come, and the last one leads") {
    barrier round(3);
    std::string said;
    for (int i = 0; i < 2; ++i) {
        said.clear();
        auto a = spawn(arrive, std::ref(round), std::ref(said));
        auto b = spawn(arrive, std::ref(round), std::ref(said));
        co_await settle();
        CHECK(waits_for(a) == "barrier");
        CHECK(round.arrived() == 2);
        CHECK(said.empty());
        const bool leads = co_await round.arrive_and_wait();
        CHECK(leads);
        CHECK(round.arrived() == 0);
        co_await settle();
        CHECK(said == "..");
    }
}

OURO_TEST("alone one is always complete") {
    barrier round(1);
    const bool leads = co_await round.arrive_and_wait();
    CHECK(leads);
}

OURO_TEST("a cancelled arrival does not count") {
    barrier round(2);
    std::string said;
    auto a = spawn(arrive, std::ref(round), std::ref(said));
    co_await settle();
    a.cancel();
    CHECK(round.arrived() == 0);
    auto refused = spawn(arrive, std::ref(round), std::ref(said));
    refused.cancel();
    co_await settle();
    CHECK(said == "--");
    CHECK(round.arrived() == 0);
    auto b = spawn(arrive, std::ref(round), std::ref(said));
    co_await settle();
    CHECK(said == "--");
    auto c = spawn(arrive, std::ref(round), std::ref(said));
    co_await settle();
    CHECK((said == "--L." || said == "--.L"));
}

OURO_TEST("an arrival that was complete before the cancellation counts") {
    barrier round(2);
    std::string said;
    auto a = spawn(arrive, std::ref(round), std::ref(said));
    co_await settle();
    co_await round.arrive_and_wait();
    a.cancel();
    co_await settle();
    CHECK(said == ".");
}

OURO_TEST("who drops out is not waited for, and the first of the others leads") {
    barrier round(3);
    std::string said;
    auto a = spawn(arrive, std::ref(round), std::ref(said));
    auto b = spawn(arrive, std::ref(round), std::ref(said));
    co_await settle();
    round.arrive_and_drop();
    CHECK(round.parties() == 2);
    co_await settle();
    CHECK((said == "L." || said == ".L"));
    round.arrive_and_drop();
    const bool leads = co_await round.arrive_and_wait();
    CHECK(leads);
    round.arrive_and_drop();
    CHECK(round.parties() == 0);
}

task<> three_rounds(barrier& round) {
    for (int i = 0; i < 3; ++i) co_await round.arrive_and_wait();
}

task<> rounds() {
    barrier round(3);
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(three_rounds, round);
        tasks.spawn(three_rounds, round);
        co_await three_rounds(round);
    });
    CHECK(round.arrived() == 0);
}

TEST_CASE("cancelled anywhere, nobody stays in the list") {
    const sweep_report report = cancel_everywhere(rounds);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

}  // namespace
