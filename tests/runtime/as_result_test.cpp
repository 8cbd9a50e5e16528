#include <ouro/runtime/as_result.hpp>

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

struct no_default {
    explicit no_default(int n) : number(n) {}
    no_default(no_default&&) = default;
    int number;
};

task<int> number_after(duration wait, int number) {
    co_await sleep_for(wait);
    co_return number;
}

task<no_default> only_movable() { co_return no_default(5); }
task<int&> reference_to(int& number) { co_return number; }

task<int> refuse(errc why) {
    co_await yield();
    throw_error(why);
    co_return 0;
}

task<> refuse_quietly() {
    throw_error(errc::overloaded);
    co_return;
}

task<int> broken() {
    co_await yield();
    throw std::logic_error("not the world's fault");
}

task<result<int>> as_value(bool good) {
    if (!good) co_return errc::closed;
    co_return 3;
}

task<result<void>> nothing_as_value() { co_return {}; }

async_generator<int> two_then_failure() {
    co_yield 1;
    co_yield 2;
    throw_error(errc::end_of_stream);
}

}  // namespace

OURO_TEST("a value comes as a result, whatever its type") {
    auto number = co_await as_result(number_after(1ms, 4));
    static_assert(std::is_same_v<decltype(number), result<int>>);
    CHECK(*number == 4);
    const auto moved = co_await as_result(only_movable());
    CHECK(moved->number == 5);
    int here = 1;
    const auto there = co_await as_result(reference_to(here));
    CHECK(&*there == &here);
    const auto nothing = co_await as_result(sleep_for(1ms));
    CHECK(nothing);
}

OURO_TEST("a system_error comes as its code") {
    const auto got = co_await as_result(refuse(errc::lagged));
    CHECK(got.error() == errc::lagged);
    const auto nothing = co_await as_result(refuse_quietly());
    CHECK(nothing.error() == errc::overloaded);
}

OURO_TEST("any other exception passes") {
    std::string what;
    try {
        const auto got = co_await as_result(broken());
        CHECK_FALSE(got);
    } catch (const std::logic_error& error) {
        what = error.what();
    }
    CHECK(what == "not the world's fault");
}

OURO_TEST("what yields a result already is left as it is") {
    auto good = co_await as_result(as_value(true));
    static_assert(std::is_same_v<decltype(good), result<int>>);
    CHECK(*good == 3);
    const auto bad = co_await as_result(as_value(false));
    CHECK(bad.error() == errc::closed);
    const auto nothing = co_await as_result(nothing_as_value());
    CHECK(nothing);
}

OURO_TEST("combinators, scopes, timeouts and shields can be taken as results") {
    const auto all = co_await as_result(all_of(number_after(1ms, 1), refuse(errc::closed)));
    CHECK(all.error() == errc::closed);
    auto both = co_await as_result(all_of(number_after(1ms, 1), only_movable()));
    CHECK(std::get<1>(*both).number == 5);
    auto first = co_await as_result(any_of(number_after(1h, 1), number_after(1ms, 2)));
    CHECK(first->value() == 2);
    auto body = [](scope& tasks) -> task<int> {
        tasks.spawn(refuse, errc::host_not_found);
        co_await sleep_for(1h);
        co_return 1;
    };
    const auto scoped = co_await as_result(with_scope(body));
    CHECK(scoped.error() == errc::host_not_found);
    const auto late = co_await as_result(timeout(1ms, number_after(1h, 1)));
    CHECK(late.error() == errc::timed_out);
    const auto safe = co_await as_result(shield(refuse(errc::closed)));
    CHECK(safe.error() == errc::closed);
    const auto deep = co_await as_result(shield(timeout(1ms, shield(number_after(2ms, 7)))));
    CHECK(*deep == 7);
}

OURO_TEST("an error that is part of the value is told apart from a timeout, too") {
    const auto inside = co_await timeout(1ms, as_result(sleep_for(1h)));
    CHECK(inside.error() == errc::timed_out);
    auto returned = []() -> task<result<int>> {
        co_return co_await as_result(number_after(1h, 1));
    };
    const auto value = co_await timeout(1ms, returned());
    CHECK(value.error() == errc::timed_out);
    const auto both = co_await as_result(timeout(1ms, as_result(sleep_for(1h))));
    CHECK(both.error() == errc::timed_out);
    const auto in_time = co_await timeout(1h, as_result(refuse(errc::closed)));
    CHECK(in_time.error() == errc::closed);
}

OURO_TEST("a generator's next can be taken as a result") {
    auto numbers = two_then_failure();
    int sum = 0;
    for (int i = 0; i < 2; ++i) {
        const auto next = co_await as_result(numbers.next());
        sum += **next;
    }
    CHECK(sum == 3);
    const auto end = co_await as_result(numbers.next());
    CHECK(end.error() == errc::end_of_stream);
}

OURO_TEST("a handle can be taken as a result, by name and as a temporary") {
    auto handle = spawn(refuse(errc::closed));
    const auto named = co_await as_result(handle);
    CHECK(named.error() == errc::closed);
    const auto temporary = co_await as_result(spawn(number_after(1ms, 6)));
    CHECK(*temporary == 6);
}

OURO_TEST("an awaitable in a variable can be awaited again where it allows that") {
    auto pause = sleep_for(1ms);
    const auto first = co_await as_result(pause);
    CHECK(first);
    const auto second = co_await as_result(pause);  // that moment has passed
    CHECK(second);
}
