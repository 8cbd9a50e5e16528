#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/sim/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<int> value_after(duration wait, int value) {
    co_await sleep_for(wait);
    co_return value;
}

task<std::string> text_after(duration wait, std::string text) {
    co_await sleep_for(wait);
    co_return text;
}

task<int> fail_after(duration wait, std::string text) {
    co_await sleep_for(wait);
    throw std::runtime_error(text);
}

task<int> shielded_value(duration wait, int value) {
    co_return co_await shield(value_after(wait, value));
}

task<> count_cancellation(int& count) {
    const auto slept = co_await as_result(sleep_for(1h));
    if (!slept) ++count;
}

}  // namespace

OURO_TEST("all_of yields every value in order") {
    const auto start = clock::now();
    auto got = co_await all_of(value_after(3ms, 1), text_after(1ms, "two"), sleep_for(2ms));
    CHECK(std::get<0>(got) == 1);
    CHECK(std::get<1>(got) == "two");
    CHECK(clock::now() - start == 3ms);
}

OURO_TEST("all_of cancels the rest at the first failure and rethrows it") {
    int cancelled = 0;
    std::string what;
    try {
        co_await all_of(count_cancellation(cancelled), fail_after(1ms, "first"),
                        count_cancellation(cancelled), fail_after(2ms, "second"));
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "first");
    CHECK(cancelled == 2);
}

OURO_TEST("all_of takes a vector of tasks") {
    std::vector<task<int>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(value_after(i * 1ms, i));
    const auto got = co_await all_of(std::move(tasks));
    REQUIRE(got.size() == 10);
    CHECK(got[7] == 7);
    std::vector<task<int>> none;
    const auto nothing = co_await all_of(std::move(none));
    CHECK(nothing.empty());
}

OURO_TEST("any_of yields the first value, after the losers were cancelled and joined") {
    int cancelled = 0;
    auto first = co_await any_of(count_cancellation(cancelled), value_after(2ms, 7));
    CHECK(first.index() == 1);
    CHECK(*first.get<1>() == 7);
    CHECK(cancelled == 1);
}

OURO_TEST("any_of waits for a loser that is shielded, and keeps what it returned") {
    const auto start = clock::now();
    auto first = co_await any_of(value_after(1ms, 1), shielded_value(5ms, 2));
    CHECK(clock::now() - start == 5ms);
    CHECK(first.index() == 0);
    CHECK(first.value() == 1);
    REQUIRE(first.get<1>().has_value());
    CHECK(*first.get<1>() == 2);
}

OURO_TEST("any_of rethrows a winner that failed") {
    const auto got = co_await as_result(timeout(1h, any_of(sleep_for(1h), sleep_until(time_point{}))));
    CHECK(got.has_value());
    std::string what;
    try {
        co_await any_of(value_after(1h, 1), fail_after(1ms, "winner"));
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "winner");
}

OURO_TEST("a cancelled all_of passes the request on and ends as cancelled") {
    int cancelled = 0;
    const auto got = co_await as_result(
        timeout(1ms, all_of(count_cancellation(cancelled), value_after(1h, 1))));
    CHECK(got.error() == errc::timed_out);
    CHECK(cancelled == 1);
}

namespace {

task<> combined() {
    auto both = co_await all_of(value_after(1ms, 1), text_after(2ms, "x"));
    auto first = co_await any_of(value_after(1ms, std::get<0>(both)), shielded_value(2ms, 2));
    co_await timeout(1h, all_of(value_after(1ms, first.value()), sleep_for(1ms)));
}

}  // namespace

TEST_CASE("combinators may be cancelled at every suspension") {
    CHECK(cancel_everywhere(combined).complaints == "");
}
