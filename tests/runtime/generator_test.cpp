#include <ouro/runtime/generator.hpp>

#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

async_generator<int> count(int from, int to) {
    for (int i = from; i < to; ++i) co_yield i;
}

async_generator<int> count_slowly(int from, int to) {
    for (int i = from; i < to; ++i) {
        co_await sleep_for(1s);
        co_yield i;
    }
}

// Says when it is destroyed.
struct witness {
    std::string& said;
    ~witness() { said += '~'; }
};

async_generator<int> count_seen(std::string& said) {
    witness here{said};
    for (int i = 0;; ++i) {
        co_yield i;
        said += 'r';
    }
}

OURO_TEST("values come one by one, and then the end, again and again") {
    std::vector<int> all;
    auto numbers = count(0, 3);
    while (auto number = co_await numbers.next()) all.push_back(*number);
    CHECK(all == std::vector{0, 1, 2});
    CHECK_FALSE(co_await numbers.next());
    CHECK_FALSE(co_await numbers.next());
    auto nothing = count(0, 0);
    CHECK_FALSE(co_await nothing.next());
}

OURO_TEST("it awaits between its values") {
    const time_point start = clock::now();
    auto numbers = count_slowly(0, 2);
    auto first = co_await numbers.next();
    CHECK(*first == 0);
    CHECK(clock::now() - start >= 1s);
    auto second = co_await numbers.next();
    CHECK(*second == 1);
    CHECK(clock::now() - start >= 2s);
    CHECK_FALSE(co_await numbers.next());
}

OURO_TEST("values may be move-only, and are moved") {
    auto make = []() -> async_generator<std::unique_ptr<int>> {
        co_yield std::make_unique<int>(1);
        auto two = std::make_unique<int>(2);
        co_yield std::move(two);
    };
    auto made = make();
    int sum = 0;
    while (auto value = co_await made.next()) sum += **value;
    CHECK(sum == 3);
}

OURO_TEST("generators are made of generators") {
    auto twice = [](async_generator<int> from) -> async_generator<int> {
        while (auto number = co_await from.next()) {
            co_yield *number;
            co_yield *number;
        }
    };
    auto numbers = twice(twice(count_slowly(1, 3)));
    std::string all;
    while (auto number = co_await numbers.next()) all += static_cast<char>('0' + *number);
    CHECK(all == "11112222");
}

OURO_TEST("what it throws reaches who asks, and then it has ended") {
    auto failing = []() -> async_generator<int> {
        co_yield 1;
        throw std::runtime_error("no more");
    };
    auto numbers = failing();
    auto first = co_await numbers.next();
    CHECK(*first == 1);
    std::string what;
    try {
        co_await numbers.next();
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "no more");
    CHECK_FALSE(co_await numbers.next());
    auto refused = [](errc why) -> async_generator<int> {
        co_await yield();
        throw_error(why);
        co_yield 0;
    };
    auto closed = refused(errc::closed);
    const auto error = co_await as_result(closed.next());
    CHECK(error.error() == errc::closed);
}

OURO_TEST("destroyed before, between and after its values, it unwinds there") {
    std::string said;
    {
        auto unstarted = count_seen(said);
    }
    CHECK(said.empty());
    {
        auto numbers = count_seen(said);
        co_await numbers.next();
        co_await numbers.next();
        auto moved = std::move(numbers);
        co_await moved.next();
        CHECK(said == "rr");
    }
    CHECK(said == "rr~");
    auto replaced = count_seen(said);
    co_await replaced.next();
    replaced = count_seen(said);
    CHECK(said == "rr~~");
}

task<> sum_up(async_generator<int> numbers, int& sum) {
    while (auto number = co_await numbers.next()) sum += *number;
}

OURO_TEST("a request to cancel reaches what the generator awaits") {
    int sum = 0;
    auto adding = spawn(sum_up, count_slowly(1, 100), std::ref(sum));
    co_await sleep_for(2500ms);
    CHECK(sum == 3);
    adding.cancel();
    co_await settle();
    CHECK(adding.failed());
    CHECK(sum == 3);
}

OURO_TEST("a timeout reaches what the generator awaits, and ends it") {
    auto numbers = count_slowly(0, 10);
    auto first = co_await timeout(2s, numbers.next());
    CHECK(*first == 0);
    const auto late = co_await as_result(timeout(500ms, numbers.next()));
    CHECK(late.error() == errc::timed_out);
    CHECK_FALSE(co_await numbers.next());
}

OURO_TEST("in a chain that was asked to stop, nothing is produced and nothing lost") {
    std::string said;
    auto consumer = spawn(
        [](std::string& said) -> task<> {
            auto numbers = count(0, 5);
            co_await numbers.next();
            static_cast<void>(co_await as_result(sleep_for(1s)));
            const auto refused = co_await as_result(numbers.next());
            if (refused.error() == errc::cancelled) said += '-';
            bool thrown = false;
            try {
                co_await numbers.next();
            } catch (const std::system_error& error) {
                thrown = error.code() == errc::cancelled;
            }
            if (thrown) said += '-';
            auto one = co_await shield(numbers.next());
            said += static_cast<char>('0' + *one);
        },
        std::ref(said));
    co_await settle();
    consumer.cancel();
    co_await settle();
    CHECK(said == "--1");
}

OURO_TEST("a million values need no stack, and let the others run") {
    bool other_ran = false;
    auto other = spawn(
        [](bool& ran) -> task<> {
            ran = true;
            co_return;
        },
        std::ref(other_ran));
    auto numbers = count(0, 1'000'000);
    int seen = 0;
    int seen_before_other = 0;
    while (auto number = co_await numbers.next()) {
        ++seen;
        if (!other_ran) ++seen_before_other;
    }
    CHECK(seen == 1'000'000);
    CHECK(seen_before_other < 10'000);
}

task<> consume_and_rest() {
    auto numbers = count_slowly(0, 3);
    while (auto number = co_await numbers.next()) co_await sleep_for(1s);
}

TEST_CASE("cancelled anywhere, it is unwound") {
    const sweep_report report = cancel_everywhere(consume_and_rest);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

}  // namespace
