#include <ouro/runtime/timeout.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

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

task<std::unique_ptr<int>> boxed(int number) {
    co_await yield();
    co_return std::make_unique<int>(number);
}

task<int&> reference_to(int& number) {
    co_await yield();
    co_return number;
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

/// An awaiter that throws instead of suspending.
struct refusal {
    bool ready_throws = false;
    bool await_ready() const {
        if (ready_throws) throw std::runtime_error("not ready");
        return false;
    }
    template <class P>
    bool await_suspend(std::coroutine_handle<P>) const {
        throw std::runtime_error("cannot suspend");
    }
    int await_resume() const { return 0; }
};

}  // namespace

OURO_TEST("what throws instead of suspending leaves the chain as it was") {
    for (const bool ready_throws : {false, true}) {
        const refusal no{ready_throws};
        const std::string expected = ready_throws ? "not ready" : "cannot suspend";
        int caught = 0;
        try {
            co_await timeout(1h, no);
        } catch (const std::runtime_error& error) {
            caught += error.what() == expected;
        }
        try {
            co_await shield(no);
        } catch (const std::runtime_error& error) {
            caught += error.what() == expected;
        }
        try {
            static_cast<void>(co_await timeout(1h, shield(timeout(2h, as_result(no)))));
        } catch (const std::runtime_error& error) {
            caught += error.what() == expected;
        }
        CHECK(caught == 3);
        CHECK(current_deadline() == time_point::max());
        CHECK(executor::current().timers().empty());
    }
    co_await sleep_for(1ms);  // and it can wait
    auto handle = spawn([]() -> task<> {
        try {
            co_await timeout(1h, refusal());
        } catch (const std::runtime_error&) {
        }
        co_await sleep_for(1h);
    });
    co_await settle();
    handle.cancel();
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
}

OURO_TEST("what is ready needs no time, even if there is none") {
    co_await timeout(0ms, std::suspend_never());
    co_await timeout(-1h, std::suspend_never());
    co_await timeout(duration::max(), std::suspend_never());
    co_await shield(std::suspend_never());
    CHECK(executor::current().timers().empty());
    auto handle = spawn(value_after(0ms, 4));
    while (!handle.finished()) co_await sleep_for(1ms);
    const int got = co_await timeout(-1ms, handle);
    CHECK(got == 4);
}

OURO_TEST("a limit in the past cuts at the first wait") {
    const auto start = clock::now();
    const auto cut = co_await as_result(timeout(-1h, sleep_for(1h)));
    CHECK(cut.error() == errc::timed_out);
    const auto none = co_await as_result(timeout(duration::min(), sleep_for(1h)));
    CHECK(none.error() == errc::timed_out);
    const auto late = co_await as_result(with_deadline(time_point::min(), value_after(1h, 1)));
    CHECK(late.error() == errc::timed_out);
    CHECK(clock::now() == start);
}

OURO_TEST("a handle in a variable can be waited for with a limit, again and again") {
    auto handle = spawn(value_after(5ms, 3));
    int tries = 0;
    for (;; ++tries) {
        const auto got = co_await as_result(timeout(1ms, handle));
        if (got) break;
        CHECK(got.error() == errc::timed_out);
    }
    CHECK(tries >= 4);
}

OURO_TEST("an outer cancellation is not taken for the timeout") {
    auto body = []() -> task<std::error_code> {
        const auto got = co_await as_result(timeout(1h, timeout(2h, sleep_for(3h))));
        co_return got.error();
    };
    auto handle = spawn(body);
    co_await settle();
    handle.cancel();
    const auto error = co_await handle;
    CHECK(error == errc::cancelled);
}

OURO_TEST("timeouts and shields in one expression keep their order") {
    const auto start = clock::now();
    // The shield protects from the outer limit, not from the inner one.
    const auto inner = co_await as_result(timeout(1ms, shield(timeout(3ms, sleep_for(1h)))));
    CHECK(inner.error() == errc::timed_out);
    CHECK(clock::now() - start == 3ms);
    const int late = co_await timeout(1ms, shield(shield(value_after(2ms, 7))));
    CHECK(late == 7);
    auto body = []() -> task<int> {
        co_return co_await shield(timeout(1h, shield(timeout(1h, value_after(2ms, 8)))));
    };
    auto handle = spawn(body);
    co_await settle();
    handle.cancel();
    const int kept = co_await handle;
    CHECK(kept == 8);
}

OURO_TEST("a request that comes between the result and the step of the task leaves the result") {
    auto body = []() -> task<int> {
        const int got = co_await timeout(1h, value_after(1ms, 1));
        const auto after = co_await as_result(sleep_for(1h));
        CHECK(after.error() == errc::cancelled);
        co_return got;
    };
    auto handle = spawn(body);
    auto cancels_at_the_same_time = [](join_handle<int>& whom) -> task<> {
        co_await sleep_for(1ms);
        whom.cancel();
    };
    auto other = spawn(cancels_at_the_same_time, std::ref(handle));
    co_await other;
    const auto got = co_await as_result(handle);
    // Who of the two came first at that moment is left to chance.
    CHECK((got || got.error() == errc::cancelled));
}

OURO_TEST("a value that cannot be copied, a reference and nothing pass") {
    const auto box = co_await timeout(1h, boxed(3));
    CHECK(*box == 3);
    int number = 1;
    int& same = co_await shield(timeout(1h, reference_to(number)));
    CHECK(&same == &number);
    const auto there = co_await as_result(timeout(1h, reference_to(number)));
    CHECK(&*there == &number);
    co_await timeout(1h, shield(sleep_for(1ms)));
}

namespace {

task<> limited() {
    const auto a = co_await as_result(timeout(1ms, timeout(3ms, value_after(2ms, 1))));
    const auto b = co_await as_result(timeout(3ms, shield(value_after(1ms, 2))));
    if (a || b) co_await timeout(1h, yield());
    const auto c = co_await as_result(shield(timeout(1ms, shield(timeout(2ms, sleep_for(3ms))))));
    CHECK(c.error() == errc::timed_out);
    co_await shield(with_deadline(clock::now() + 1h, timeout(1h, shield(value_after(1ms, 1)))));
    auto handle = spawn(value_after(2ms, 1));
    static_cast<void>(co_await as_result(timeout(1ms, handle)));
    co_await timeout(1h, handle);
}

}  // namespace

TEST_CASE("timeouts and shields may be cancelled at every suspension") {
    CHECK(cancel_everywhere(limited).complaints == "");
}
