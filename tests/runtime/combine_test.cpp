#include <ouro/runtime/combine.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/sync/channel.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/bare_loop.hpp>

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
    const auto got =
        co_await as_result(timeout(1h, any_of(sleep_for(1h), sleep_until(time_point{}))));
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
    const auto got =
        co_await as_result(timeout(1ms, all_of(count_cancellation(cancelled), value_after(1h, 1))));
    CHECK(got.error() == errc::timed_out);
    CHECK(cancelled == 1);
}

namespace {

task<int> handle_free() {
    throw_error(errc::closed);
    co_return 0;
}

template <class... Ts>
concept can_race = requires { any_of(std::declval<Ts>()...); };
static_assert(!can_race<>, "nobody can win a race without runners");
static_assert(can_race<task<int>>);

task<int&> reference_to(int& number) { co_return number; }
task<std::unique_ptr<int>> boxed_after(duration wait, int number) {
    co_await sleep_for(wait);
    co_return std::make_unique<int>(number);
}

task<int> at_once(int number) { co_return number; }
task<int> throws_at_once(std::string text) {
    throw std::runtime_error(text);
    co_return 0;
}

task<> count_step(int& count) {
    ++count;
    co_await sleep_for(1h);
    ++count;
}

}  // namespace

OURO_TEST("all_of nothing yields nothing") {
    const auto none = co_await all_of();
    static_assert(std::is_same_v<decltype(none), const std::tuple<>>);
}

OURO_TEST("one branch is a combination, too") {
    auto all = co_await all_of(value_after(1ms, 1));
    CHECK(std::get<0>(all) == 1);
    auto any = co_await any_of(value_after(1ms, 2));
    CHECK(any.index() == 0);
    CHECK(any.value() == 2);
}

OURO_TEST("branches may yield what cannot be copied") {
    auto both = co_await all_of(boxed_after(1ms, 1), value_after(2ms, 2));
    auto& [box, number] = both;
    CHECK(*box + number == 3);
    auto first = co_await any_of(boxed_after(2ms, 1), boxed_after(1ms, 2));
    CHECK(**first.get<1>() == 2);
    CHECK(*first.value() == 2);
    std::unique_ptr<int> taken = std::move(first.value());
    CHECK(*taken == 2);
}

OURO_TEST("branches may yield references") {
    int a = 1;
    int b = 2;
    auto both = co_await all_of(reference_to(a), reference_to(b));
    CHECK(&std::get<0>(both) == &a);
    CHECK(&std::get<1>(both) == &b);
    auto first = co_await any_of(reference_to(a), value_after(1h, 5));
    CHECK(first.get<0>() == &a);
    CHECK_FALSE(first.get<1>());
    auto same = co_await any_of(reference_to(b), reference_to(b));
    CHECK(&same.value() == &b);
}

OURO_TEST("branches without a value can race") {
    auto first = co_await any_of(sleep_for(1h), sleep_for(1ms));
    CHECK(first.index() == 1);
    CHECK(first.get<1>().has_value());
    CHECK_FALSE(first.get<0>().has_value());
    CHECK(first.value() == std::monostate());
}

OURO_TEST("branches may be tasks, handles, operations and combinations") {
    auto kept = value_after(1ms, 1);
    auto handle = spawn(value_after(2ms, 2));
    auto got = co_await all_of(std::move(kept), handle, sleep_for(1ms), as_result(handle_free()),
                               all_of(at_once(4), at_once(5)), any_of(at_once(6), sleep_for(1h)));
    CHECK(std::get<0>(got) == 1);
    CHECK(std::get<1>(got) == 2);
    CHECK(std::get<3>(got).error() == errc::closed);
    CHECK(std::get<1>(std::get<4>(got)) == 5);
    CHECK(*std::get<5>(got).get<0>() == 6);
}

OURO_TEST("a handle that loses a race is only no longer waited for") {
    auto slow = spawn(value_after(5ms, 1));
    auto fast = spawn(value_after(1ms, 2));
    auto first = co_await any_of(slow, fast);
    CHECK(first.index() == 1);
    CHECK_FALSE(slow.finished());
    const int got = co_await slow;
    CHECK(got == 1);
}

OURO_TEST("a branch that ends at once wins, and the others get no further than their first wait") {
    int steps = 0;
    auto first = co_await any_of(at_once(1), count_step(steps), count_step(steps));
    CHECK(first.index() == 0);
    CHECK(steps == 2);
    steps = 0;
    auto last = co_await any_of(count_step(steps), at_once(1));
    CHECK(last.index() == 1);
    CHECK(steps == 1);
}

OURO_TEST("a branch that ends well before it hears that it has lost keeps its value") {
    auto first = co_await any_of(at_once(1), at_once(2));
    const std::size_t winner = first.index();
    CHECK(*first.get<0>() == 1);
    CHECK(*first.get<1>() == 2);
    CHECK(first.value() == (winner == 0 ? 1 : 2));
}

OURO_TEST("of two failures at the same moment one is rethrown, and nobody is left") {
    std::string what;
    try {
        co_await all_of(throws_at_once("a"), throws_at_once("b"), value_after(1h, 1));
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK((what == "a" || what == "b"));
    what.clear();
    try {
        co_await any_of(throws_at_once("a"), throws_at_once("b"), value_after(1h, 1));
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK((what == "a" || what == "b"));
    CHECK(executor::current().stats().failed_detached == 0);
}

OURO_TEST("what a loser throws is dropped") {
    auto sore = [](duration wait) -> task<int> {
        const auto slept = co_await as_result(sleep_for(wait));
        if (!slept) throw std::runtime_error("it was not fair");
        co_return 1;
    };
    auto first = co_await any_of(value_after(1ms, 1), sore(1h));
    CHECK(first.index() == 0);
    CHECK(executor::current().stats().failed_detached == 0);
}

OURO_TEST("a branch that has a result although the race was cancelled has won") {
    auto race = [](task<int> a, task<int> b) -> task<int> {
        auto got = co_await any_of(std::move(a), std::move(b));
        co_return got.value() * 10 + static_cast<int>(got.index());
    };
    auto first = spawn(race(shielded_value(5ms, 7), value_after(1h, 1)));
    auto second = spawn(race(value_after(1h, 1), shielded_value(5ms, 7)));
    co_await settle();
    first.cancel();
    second.cancel();
    const int one = co_await first;
    const int other = co_await second;
    CHECK(one == 70);
    CHECK(other == 71);
    const auto none =
        co_await as_result(timeout(1ms, any_of(value_after(1h, 1), value_after(1h, 2))));
    CHECK(none.error() == errc::timed_out);
}

OURO_TEST("in a chain that was cancelled before, no branch begins") {
    int steps = 0;
    auto body = [](int& count) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        CHECK_FALSE(slept);
        const auto all = co_await as_result(all_of(count_step(count), count_step(count)));
        CHECK(all.error() == errc::cancelled);
        const auto any = co_await as_result(any_of(count_step(count), count_step(count)));
        CHECK(any.error() == errc::cancelled);
        std::vector<task<>> many;
        many.push_back(count_step(count));
        const auto vector = co_await as_result(all_of(std::move(many)));
        CHECK(vector.error() == errc::cancelled);
    };
    auto handle = spawn(body, std::ref(steps));
    co_await settle();
    handle.cancel();
    co_await handle;
    CHECK(steps == 0);
}

OURO_TEST("branches inherit the deadline") {
    auto deadline = []() -> task<time_point> { co_return current_deadline(); };
    const auto until = clock::now() + 1s;
    auto both = co_await with_deadline(until, all_of(deadline(), deadline()));
    CHECK(std::get<0>(both) == until);
    CHECK(std::get<1>(both) == until);
}

OURO_TEST("a thousand branches, of which the last fails") {
    std::vector<task<int>> many;
    for (int i = 0; i < 999; ++i) many.push_back(value_after(1h, i));
    many.push_back(fail_after(1ms, "enough"));
    const auto start = clock::now();
    std::string what;
    try {
        co_await all_of(std::move(many));
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "enough");
    CHECK(clock::now() - start == 1ms);
}

namespace {

task<> combined() {
    co_await all_of(all_of(sleep_for(1ms), at_once(1)), any_of(at_once(2), sleep_for(1ms)));
    auto both = co_await all_of(value_after(1ms, 1), text_after(2ms, "x"));
    auto first = co_await any_of(value_after(1ms, std::get<0>(both)), shielded_value(2ms, 2));
    co_await timeout(1h, all_of(value_after(1ms, first.value()), sleep_for(1ms)));
}

}  // namespace

TEST_CASE("combinators may be cancelled at every suspension") {
    CHECK(cancel_everywhere(combined).complaints == "");
}

OURO_TEST("any_of prefers none of the branches that are ready at once") {
    channel<int> first(1), second(1), third(1);
    int won[3] = {};
    for (int round = 0; round < 300; ++round) {
        for (channel<int>* one : {&first, &second, &third}) static_cast<void>(one->try_send(round));
        auto got = co_await any_of(first.recv(), second.recv(), third.recv());
        ++won[got.index()];
        CHECK(first.size() + second.size() + third.size() == 2);  // the losers took nothing
    }
    for (const int times : won) CHECK(times > 50);
}

TEST_CASE("a bare worker draws fairly, too") {
    bare_loop loop;
    int drawn[3] = {};
    for (int i = 0; i < 300; ++i) ++drawn[loop.draw(3)];
    for (const int times : drawn) CHECK(times > 50);
}
