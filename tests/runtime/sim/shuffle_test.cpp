#include <ouro/runtime/sim/shuffle.hpp>

#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <set>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> note_twice(std::string& order, char what) {
    order += what;
    co_await sleep_for(1ms);
    order += what;
}

task<std::string> three_at_once(bool shuffled) {
    sim::world::current().shuffle(shuffled);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (const char what : {'a', 'b', 'c'}) tasks.spawn(note_twice, order, char(what));
        co_return;
    });
    co_return order;
}

TEST_CASE("spawned tasks start in order; who becomes ready later runs in any") {
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 60; ++seed)
        orders.insert(run_simulated(three_at_once(true), {.seed = seed}));
    for (const std::string& order : orders) CHECK(order.substr(0, 3) == "abc");
    CHECK(orders.size() == 6);  // every order of three
}

TEST_CASE("without shuffling everything is first come, first served") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        CHECK(run_simulated(three_at_once(false), {.seed = seed}) == "abcabc");
}

task<> note_and_yield(std::string& order, char what) {
    for (int i = 0; i < 3; ++i) {
        order += what;
        co_await yield();
    }
}

OURO_TEST("whoever yields lets all others run first") {
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(note_and_yield, order, 'a');
        tasks.spawn(note_and_yield, order, 'b');
        co_return;
    });
    CHECK(order == "ababab");
}

task<> wait_and_count(int& count) {
    co_await sleep_for(1ms);
    ++count;
}

OURO_TEST("nobody is forgotten among many") {
    int count = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 5000; ++i) tasks.spawn(wait_and_count, count);
        co_return;
    });
    CHECK(count == 5000);
}

}  // namespace
