#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <stdexcept>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<int> value_after(duration wait, int value) {
    co_await sleep_for(wait);
    co_return value;
}

task<int> stubborn(duration wait, int value) {
    co_return co_await shield(value_after(wait, value));
}

task<time_point> deadline_inside() {
    co_await yield();
    co_return current_deadline();
}

task<cancel_reason> reason_inside() {
    const auto slept = co_await as_result(sleep_for(1h));
    CHECK(slept.error() == errc::cancelled);
    co_return current_cancellation();
}

task<int> throws_something() {
    co_await yield();
    throw std::runtime_error("mine");
}

}  // namespace

OURO_TEST("what is done in time is returned") {
    const int got = co_await timeout(2ms, value_after(1ms, 5));
    CHECK(got == 5);
    co_await timeout(0ms, value_after(-1ms, 5));
}

OURO_TEST("what takes too long is cancelled and reported as timed out") {
    const auto start = clock::now();
    const auto got = co_await as_result(timeout(2ms, value_after(1h, 5)));
    CHECK(got.error() == errc::timed_out);
    CHECK(got.error() == std::errc::timed_out);
    CHECK(clock::now() - start == 2ms);
    bool thrown = false;
    try {
        co_await timeout(1ms, sleep_for(1h));
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::timed_out;
    }
    CHECK(thrown);
}

OURO_TEST("a result that comes after the timeout is still delivered") {
    const auto start = clock::now();
    const int got = co_await timeout(1ms, stubborn(5ms, 6));
    CHECK(got == 6);
    CHECK(clock::now() - start == 5ms);
}

OURO_TEST("the chain goes on after a timeout") {
    const auto first = co_await as_result(timeout(1ms, sleep_for(1h)));
    CHECK(first.error() == errc::timed_out);
    co_await sleep_for(1ms);
    const int got = co_await timeout(2ms, value_after(1ms, 1));
    CHECK(got == 1);
}

OURO_TEST("nested timeouts: the nearer one fires, whichever it is") {
    const auto inner = co_await as_result(timeout(1h, timeout(1ms, sleep_for(1h))));
    CHECK(inner.error() == errc::timed_out);
    const auto start = clock::now();
    const auto outer = co_await as_result(timeout(1ms, timeout(1h, sleep_for(1h))));
    CHECK(outer.error() == errc::timed_out);
    CHECK(clock::now() - start == 1ms);
    co_await sleep_for(1ms);  // and the chain is whole afterwards
}

OURO_TEST("an exception of its own passes a timeout") {
    bool thrown = false;
    try {
        co_await timeout(1ms, throws_something());
    } catch (const std::runtime_error&) {
        thrown = true;
    }
    CHECK(thrown);
}

OURO_TEST("a deadline is inherited by everything inside") {
    CHECK(current_deadline() == time_point::max());
    const auto until = clock::now() + 5ms;
    const auto nested = co_await with_deadline(until, timeout(1h, deadline_inside()));
    CHECK(nested == until);
    const auto nearer = co_await timeout(1h, with_deadline(until, deadline_inside()));
    CHECK(nearer == until);
    time_point in_child;
    auto child = [](time_point& into) -> task<> {
        into = current_deadline();
        co_return;
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child, in_child);
        co_return;
    };
    co_await with_deadline(until, with_scope(body));
    CHECK(in_child == until);
    CHECK(current_deadline() == time_point::max());
}

OURO_TEST("the reason of a cancellation is known inside") {
    const auto why = co_await timeout(1ms, reason_inside());
    CHECK(why == cancel_reason::timeout);
    auto handle = spawn(reason_inside());
    co_await sleep_for(1ms);
    handle.cancel();
    const auto user = co_await handle;
    CHECK(user == cancel_reason::user);
    CHECK(current_cancellation() == cancel_reason::none);
}

OURO_TEST("a shield postpones a cancellation to the first wait after it") {
    bool shielded_done = false;
    bool went_on = false;
    auto body = [](bool& done, bool& on) -> task<> {
        co_await shield(value_after(5ms, 1));
        done = true;
        co_await sleep_for(0ms);
        on = true;
    };
    auto handle = spawn(body, std::ref(shielded_done), std::ref(went_on));
    co_await sleep_for(1ms);
    handle.cancel();
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
    CHECK(shielded_done);
    CHECK_FALSE(went_on);
}

OURO_TEST("a timeout works inside a shield of a cancelled chain") {
    auto body = []() -> task<bool> {
        const auto cut = co_await as_result(sleep_for(1h));
        CHECK(cut.error() == errc::cancelled);
        const auto again = co_await as_result(sleep_for(1h));
        CHECK(again.error() == errc::cancelled);
        const auto limited = co_await as_result(shield(timeout(2ms, sleep_for(1h))));
        co_return limited.error() == errc::timed_out;
    };
    auto handle = spawn(body);
    co_await sleep_for(1ms);
    handle.cancel();
    const bool worked = co_await handle;
    CHECK(worked);
}

OURO_TEST("sleeping for ever is legal and can be cut") {
    const auto got = co_await as_result(timeout(1ms, sleep_for(duration::max())));
    CHECK(got.error() == errc::timed_out);
}

namespace {

task<> limited() {
    const auto a = co_await as_result(timeout(1ms, timeout(3ms, value_after(2ms, 1))));
    const auto b = co_await as_result(timeout(3ms, shield(value_after(1ms, 2))));
    if (a || b) co_await timeout(1h, yield());
}

}  // namespace

TEST_CASE("timeouts and shields may be cancelled at every suspension") {
    CHECK(cancel_everywhere(limited).complaints == "");
}
