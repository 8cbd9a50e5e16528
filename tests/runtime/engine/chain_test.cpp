#include <ouro/runtime/engine/chain.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/interval.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>
#include <string_view>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// A leaf that its test moves: it ends when told, and notes the requests to stop.
class lever final : public leaf {
public:
    enum class on_cancel { end, ignore };

    explicit lever(on_cancel then = on_cancel::end) noexcept : then_(then) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        refused = !wait(by.promise());
        return !refused;
    }
    void await_resume() const {
        if (refused || stopped) throw_error(errc::cancelled);
    }

    void pull() noexcept { resume(); }
    using leaf::waiting;
    void describe(leaf_description&) const override {}

    bool refused = false;
    bool stopped = false;
    int requests = 0;
    cancel_reason reason = cancel_reason::none;

private:
    void cancel(cancel_reason why) noexcept override {
        ++requests;
        reason = why;
        if (then_ == on_cancel::ignore) return;
        stopped = true;
        resume();
    }

    on_cancel then_;
};

task<> wait_on(lever& on) { co_await on; }

task<int> wait_and_count(lever& first, lever& second) {
    int passed = 0;
    const auto one = co_await as_result(first);
    passed += one ? 1 : 0;
    const auto two = co_await as_result(second);
    passed += two ? 10 : 0;
    co_return passed;
}

}  // namespace

OURO_TEST("a chain waits for one leaf, which is none while it runs") {
    lever on;
    auto handle = spawn(wait_on, std::ref(on));
    co_await settle();
    CHECK(on.waiting());
    on.pull();
    CHECK_FALSE(on.waiting());
    CHECK_FALSE(handle.finished());  // it runs from the loop, not inside resume
    co_await handle;
}

OURO_TEST("a request reaches the leaf with its reason") {
    lever on;
    auto handle = spawn(wait_on, std::ref(on));
    co_await settle();
    handle.cancel(cancel_reason::timeout);
    CHECK(on.requests == 1);
    CHECK(on.reason == cancel_reason::timeout);
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
}

OURO_TEST("the first reason counts, and the leaf hears of no other") {
    lever on(lever::on_cancel::ignore);
    auto handle = spawn(wait_on, std::ref(on));
    co_await settle();
    handle.cancel(cancel_reason::user);
    handle.cancel(cancel_reason::shutdown);
    handle.cancel(cancel_reason::user);
    CHECK(on.requests == 1);
    CHECK(on.reason == cancel_reason::user);
    on.pull();
    co_await handle;
}

OURO_TEST("a leaf may succeed although it was asked to stop, and the next one is refused") {
    lever first(lever::on_cancel::ignore);
    lever second;
    auto handle = spawn(wait_and_count, std::ref(first), std::ref(second));
    co_await settle();
    handle.cancel();
    first.pull();
    const int passed = co_await handle;
    CHECK(passed == 1);
    CHECK(second.refused);
    CHECK(second.requests == 0);
}

OURO_TEST("a chain that is ready keeps its result when it is cancelled before it runs") {
    lever first, second;
    auto handle = spawn(wait_and_count, std::ref(first), std::ref(second));
    co_await settle();
    first.pull();
    handle.cancel();
    CHECK(first.requests == 0);
    const int passed = co_await handle;
    CHECK(passed == 1);
}

OURO_TEST("a chain that was cancelled before its first step runs to its first wait") {
    lever first, second;
    auto handle = spawn(wait_and_count, std::ref(first), std::ref(second));
    handle.cancel();
    const int passed = co_await handle;
    CHECK(passed == 0);
    CHECK(first.refused);
    CHECK(second.refused);
}

OURO_TEST("a task may cancel itself, which its next wait notices") {
    join_handle<int>* self = nullptr;
    bool noticed = false;
    auto body = [](join_handle<int>*& me, bool& refused) -> task<int> {
        co_await yield();
        me->cancel();
        me->cancel();
        const auto slept = co_await as_result(sleep_for(1h));
        refused = slept.error() == errc::cancelled;
        co_return 1;
    };
    auto handle = spawn(body, std::ref(self), std::ref(noticed));
    self = &handle;
    const int got = co_await handle;
    CHECK(got == 1);
    CHECK(noticed);
}

namespace {

/// A leaf that, when asked to stop, asks another chain to stop.
class domino final : public leaf {
public:
    explicit domino(join_handle<void>*& next) noexcept : next_(next) {}
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return wait(by.promise());
    }
    void await_resume() const { throw_error(errc::cancelled); }
    void describe(leaf_description&) const override {}

private:
    void cancel(cancel_reason why) noexcept override {
        if (next_) next_->cancel(why);
        resume();
    }
    join_handle<void>*& next_;
};

task<> stand(join_handle<void>*& next) {
    domino stone(next);
    co_await stone;
}

}  // namespace

OURO_TEST("a request may travel on from inside a leaf, in a circle, too") {
    join_handle<void>* of_a = nullptr;
    join_handle<void>* of_b = nullptr;
    auto a = spawn(stand, std::ref(of_b));
    auto b = spawn(stand, std::ref(of_a));
    of_a = &a;
    of_b = &b;
    co_await settle();
    a.cancel();
    const auto first = co_await as_result(a);
    const auto second = co_await as_result(b);
    CHECK(first.error() == errc::cancelled);
    CHECK(second.error() == errc::cancelled);
}

namespace {

task<> every_wait_is_refused(join_handle<int>& other, interval& beat,
                             async_generator<int>& numbers) {
    const auto cut = co_await as_result(sleep_for(1h));
    CHECK(cut.error() == errc::cancelled);
    const auto start = clock::now();
    const auto slept = co_await as_result(sleep_for(0ms));
    CHECK(slept.error() == errc::cancelled);
    const auto yielded = co_await as_result(yield());
    CHECK(yielded.error() == errc::cancelled);
    const auto joined = co_await as_result(other);
    CHECK(joined.error() == errc::cancelled);
    const auto all = co_await as_result(all_of(sleep_for(1h), yield()));
    CHECK(all.error() == errc::cancelled);
    const auto any = co_await as_result(any_of(sleep_for(1h), yield()));
    CHECK(any.error() == errc::cancelled);
    const auto limited = co_await as_result(timeout(1ms, sleep_for(1h)));
    CHECK(limited.error() == errc::cancelled);  // not timed out: that was not the reason
    const auto ticked = co_await as_result(beat.tick());
    CHECK(ticked.error() == errc::cancelled);
    const auto next = co_await as_result(numbers.next());
    CHECK(next.error() == errc::cancelled);
    const auto settled = co_await as_result(settle());
    CHECK(settled.error() == errc::cancelled);
    auto body = [](scope&) -> task<> { co_await sleep_for(1h); };
    const auto scoped = co_await as_result(with_scope(body));
    CHECK(scoped.error() == errc::cancelled);
    CHECK(clock::now() == start);
    CHECK(current_cancellation() == cancel_reason::user);
}

async_generator<int> one_number() { co_yield 1; }

}  // namespace

OURO_TEST("once cancelled, a chain is refused every wait") {
    auto other = spawn([]() -> task<int> {
        co_await sleep_for(1h);
        co_return 1;
    });
    interval beat(1ms);
    auto numbers = one_number();
    auto handle = spawn(every_wait_is_refused(other, beat, numbers));
    co_await settle();
    handle.cancel();
    co_await handle;
    CHECK_FALSE(other.finished());
}

OURO_TEST("a chain that waits on although it is refused gives way to others in between") {
    bool over = false;
    auto deaf = [](const bool& stop) -> task<int> {
        int refusals = 0;
        while (!stop) {
            static_cast<void>(co_await as_result(sleep_for(1h)));
            ++refusals;
        }
        co_return refusals;
    };
    auto handle = spawn(deaf, std::cref(over));
    co_await settle();
    handle.cancel();
    for (int i = 0; i < 3; ++i) co_await yield();  // would never come back
    over = true;
    const int refusals = co_await handle;
    CHECK(refusals > 100);
}

TEST_CASE("reasons have names") {
    for (const auto reason : {cancel_reason::none, cancel_reason::user, cancel_reason::timeout,
                              cancel_reason::shutdown, cancel_reason::sibling})
        CHECK(std::string_view(to_string(reason)) != "?");
}

OURO_TEST("misuse of a leaf asserts") {
    CHECK(asserts("chain_ &&", [] {
        lever idle;
        idle.pull();
    }));
    CHECK(asserts("reason != cancel_reason::none", [] {
        auto handle = spawn([]() -> task<> { co_return; });
        handle.cancel(cancel_reason::none);
    }));
    co_return;
}
