#include <ouro/runtime/scope.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/bare_loop.hpp>
#include <ouro/tests/dies.hpp>

#include <optional>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> append_after(duration wait, std::string& into, char what) {
    co_await sleep_for(wait);
    into += what;
}

task<> fail_after(duration wait, std::string text) {
    co_await sleep_for(wait);
    throw std::runtime_error(text);
}

task<> note_cancellation(std::string& into, char what) {
    const auto slept = co_await as_result(sleep_for(1h));
    if (slept.error() == errc::cancelled) into += what;
    if (!slept) throw_error(slept.error());
}

task<> append_after_an_hour() { co_await sleep_for(1h); }

[[noreturn]] void throw_instead_of_a_task() { throw std::runtime_error("no task"); }

task<std::size_t> length_of(const std::string& text) {
    co_await sleep_for(1ms);
    co_return text.size();
}

}  // namespace

OURO_TEST("a scope ends after its children") {
    std::string order;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(append_after, 2ms, order, 'b');
        tasks.spawn(append_after, 1ms, order, 'a');
        CHECK(tasks.size() == 2);
        co_return;
    };
    co_await with_scope(body);
    CHECK(order == "ab");
}

OURO_TEST("a scope returns what its body returns") {
    auto body = [](scope& tasks) -> task<std::size_t> {
        // A temporary is kept for as long as the child runs.
        auto child = tasks.spawn(length_of, std::string("seven ."));
        const std::size_t got = co_await child;
        co_return got;
    };
    const std::size_t got = co_await with_scope(body);
    CHECK(got == 7);
}

OURO_TEST("the first failure cancels the siblings and is rethrown") {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        tasks.spawn(fail_after, 1ms, std::string("first"));
        tasks.spawn(fail_after, 2ms, std::string("second"));
        co_await note_cancellation(seen, 'y');
    };
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "first");
    CHECK(seen.size() == 2);
}

OURO_TEST("a failing body cancels the children") {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        co_await sleep_for(1ms);
        throw std::runtime_error("body");
    };
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "body");
    CHECK(seen == "x");
}

OURO_TEST("cancelling the children of a scope is no failure and spares the body") {
    std::string seen;
    bool body_went_on = false;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        co_await sleep_for(1ms);
        tasks.cancel();
        tasks.spawn(note_cancellation, seen, 'z');  // too late: refused at its first wait
        co_await sleep_for(1ms);
        body_went_on = true;
    };
    co_await with_scope(body);
    CHECK(seen == "xz");
    CHECK(body_went_on);
}

OURO_TEST("cancelling the chain cancels body and children, and waits for them") {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        co_await note_cancellation(seen, 'y');
    };
    const auto ended = co_await as_result(timeout(1ms, with_scope(body)));
    CHECK(ended.error() == errc::timed_out);
    CHECK(seen.size() == 2);
}

OURO_TEST("a cancelled chain still runs the cleanup of its children under a shield") {
    std::string seen;
    auto child = [](std::string& into) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        CHECK(slept.error() == errc::cancelled);
        co_await shield(append_after(5ms, into, 'c'));
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child, seen);
        co_return;
    };
    const auto ended = co_await as_result(timeout(1ms, with_scope(body)));
    CHECK((ended || ended.error() == errc::timed_out));
    CHECK(seen == "c");
}

OURO_TEST("scopes nest, and failures pass outwards") {
    auto inner = [](scope& tasks) -> task<> {
        tasks.spawn(fail_after, 1ms, std::string("deep"));
        co_await sleep_for(1h);
    };
    auto outer = [&](scope& tasks) -> task<> {
        auto nested = with_scope(inner);
        tasks.spawn(std::move(nested));
        co_await sleep_for(1h);
    };
    std::string what;
    try {
        co_await with_scope(outer);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "deep");
}

OURO_TEST("a body that is no coroutine may start children and return somebody's task") {
    std::string seen;
    auto body = [&](scope& tasks) {
        tasks.spawn(append_after, 1ms, seen, 'a');
        return append_after(2ms, seen, 'b');
    };
    co_await with_scope(body);
    CHECK(seen == "ab");
}

OURO_TEST("a body that throws before it returns a task cancels what it has started") {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        throw_instead_of_a_task();
    };
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "no task");
    CHECK(seen == "x");
}

OURO_TEST("a body that throws at once, with nothing started, ends the scope") {
    auto body = [](scope&) -> task<> { throw_instead_of_a_task(); };
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "no task");
}

OURO_TEST("what a child starts after the scope was cancelled is refused at its first wait") {
    std::string seen;
    auto child = [](scope& tasks, std::string& into) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        if (!slept) tasks.spawn(note_cancellation, into, 'n');
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child, tasks, seen);
        co_return;
    };
    const auto start = clock::now();
    const auto ended = co_await as_result(timeout(1ms, with_scope(body)));
    CHECK(ended.error() == errc::timed_out);
    CHECK(clock::now() - start == 1ms);
    CHECK(seen == "n");
}

OURO_TEST("what a child starts after a sibling has failed is refused at its first wait") {
    std::string seen;
    auto child = [](scope& tasks, std::string& into) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        if (!slept) tasks.spawn(note_cancellation, into, 'n');
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child, tasks, seen);
        tasks.spawn(fail_after, 1ms, std::string("first"));
        co_return;
    };
    const auto start = clock::now();
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "first");
    CHECK(clock::now() - start == 1ms);
    CHECK(seen == "n");
}

OURO_TEST("a child may start children after the body has ended") {
    std::string seen;
    auto child = [](scope& tasks, std::string& into) -> task<> {
        co_await sleep_for(1ms);
        tasks.spawn(append_after, 1ms, into, 'b');
        into += 'a';
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child, tasks, seen);
        co_return;
    };
    co_await with_scope(body);
    CHECK(seen == "ab");
}

OURO_TEST("a child may cancel the scope, itself included") {
    std::string seen;
    auto child = [](scope& tasks, std::string& into) -> task<> {
        co_await sleep_for(1ms);
        tasks.cancel();
        const auto slept = co_await as_result(sleep_for(1h));
        if (slept.error() == errc::cancelled) into += 's';
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(note_cancellation, seen, 'x');
        tasks.spawn(child, tasks, seen);
        co_return;
    };
    co_await with_scope(body);
    CHECK(seen.size() == 2);
}

OURO_TEST("a child that is cancelled through its handle is no failure") {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(append_after, 2ms, seen, 'a');
        auto one = tasks.spawn(note_cancellation, seen, 'x');
        co_await sleep_for(1ms);
        one.cancel();
    };
    co_await with_scope(body);
    CHECK(seen == "xa");
}

OURO_TEST("a child that ends as cancelled although nobody asked it has failed") {
    auto child = []() -> task<> {
        auto other = spawn(append_after_an_hour());
        other.cancel();
        co_await other;  // rethrows what the other task ended with
    };
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(child);
        co_await sleep_for(1h);
    };
    const auto start = clock::now();
    const auto ended = co_await as_result(with_scope(body));
    CHECK(ended.error() == errc::cancelled);
    CHECK(clock::now() == start);
}

OURO_TEST("a child's handle may outlive the scope and still has the value") {
    std::optional<join_handle<std::size_t>> kept;
    auto body = [&](scope& tasks) -> task<> {
        kept.emplace(tasks.spawn(length_of, std::string("four")));
        co_return;
    };
    co_await with_scope(body);
    CHECK(kept->finished());
    const std::size_t got = co_await *kept;
    CHECK(got == 4);
}

OURO_TEST("a failure that the body joins cancels the scope all the same") {
    std::string caught;
    auto body = [&](scope& tasks) -> task<> {
        auto child = tasks.spawn(fail_after, 1ms, std::string("joined"));
        try {
            co_await child;
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    };
    std::string what;
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(caught == "joined");
    CHECK(what == "joined");
    CHECK(executor::current().stats().failed_detached == 0);
}

OURO_TEST("children inherit the deadline of the scope, not of the moment they are started in") {
    time_point in_child;
    auto child = [](time_point& into) -> task<> {
        into = current_deadline();
        co_return;
    };
    auto start_child = [&](scope& tasks) -> task<> {
        CHECK(current_deadline() < time_point::max());
        tasks.spawn(child, in_child);
        co_return;
    };
    auto body = [&](scope& tasks) -> task<> { co_await timeout(1ms, start_child(tasks)); };
    co_await with_scope(body);
    CHECK(in_child == time_point::max());
}

OURO_TEST("a scope can hand out a reference, and a thousand children") {
    int sum = 0;
    auto add = [](int& to, int what) -> task<> {
        co_await sleep_for(std::chrono::microseconds(what));
        to += what;
    };
    auto body = [&](scope& tasks) -> task<int&> {
        for (int i = 0; i < 1000; ++i) tasks.spawn(add, sum, i);
        CHECK(tasks.size() == 1000);
        co_await sleep_for(500us);
        CHECK(tasks.size() < 1000);
        co_return sum;
    };
    int& same = co_await with_scope(body);
    CHECK(&same == &sum);
    CHECK(sum == 499'500);
}

OURO_TEST("a scope in a chain that was cancelled before runs its body to the first wait") {
    std::string seen;
    auto with_late_scope = [](std::string& into) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        CHECK_FALSE(slept);
        auto body = [&](scope& tasks) -> task<> {
            tasks.spawn(note_cancellation, into, 'x');
            into += 'b';
            co_return;
        };
        co_await with_scope(body);
    };
    auto handle = spawn(with_late_scope, std::ref(seen));
    co_await settle();
    handle.cancel();
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
    CHECK(seen.size() == 2);
}

TEST_CASE("starting a task in a scope that has ended asserts") {
    auto too_late = []() -> task<> {
        scope* kept = nullptr;
        auto body = [&](scope& tasks) -> task<> {
            kept = &tasks;
            co_return;
        };
        auto intruder = [](scope*& into) -> task<> {
            while (!into) co_await yield();
            into->spawn(append_after_an_hour());  // the body has ended, with_scope is ready
        };
        auto handle = spawn(intruder, std::ref(kept));
        co_await with_scope(body);
        co_await handle;
    };
    CHECK(asserts("the scope has ended", [&] { bare_loop().run(too_late()); }));
}

namespace {

task<> scope_scenario() {
    std::string seen;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(append_after, 1ms, seen, 'a');
        tasks.spawn(append_after, 2ms, seen, 'b');
        co_await sleep_for(1ms);
        auto inner = [&](scope& more) -> task<> {
            more.spawn(append_after, 3ms, seen, 'c');
            co_await yield();
        };
        co_await with_scope(inner);
    };
    co_await with_scope(body);
}

}  // namespace

TEST_CASE("a scope may be cancelled at every suspension") {
    CHECK(cancel_everywhere(scope_scenario).complaints == "");
}
