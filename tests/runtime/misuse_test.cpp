#include <ouro/runtime/abandonable.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/fs/file.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/io/accept.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/channel.hpp>
#include <ouro/runtime/sync/condition.hpp>
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/bare_loop.hpp>
#include <ouro/tests/dies.hpp>

#include <array>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

template <class Made>
void forget(Made&&) {}

// --- what an assertion says ------------------------------------------------------------------

int line_of_mistake = 0;
int line_of_await = 0;

task<> make_mistake() {
    line_of_mistake = __LINE__ + 1;
    co_await yield();
    OURO_ASSERT(false && "cup: it is broken: take another");
}

task<> await_mistake() {
    line_of_await = __LINE__ + 1;
    co_await make_mistake();
}

std::string place(int line) { return "misuse_test.cpp:" + std::to_string(line) + "\n"; }

}  // namespace

TEST_CASE("an assertion names the task and where it and those above it await") {
    const std::string said = dies([] {
        bare_loop loop;
        auto handle = spawn(await_mistake());
        handle.set_name("drinker");
        loop.run_out();
    });
    CHECK(says(said, "cup: it is broken: take another"));
    CHECK(says(said, "in task 1 \"drinker\"\n"));
    CHECK(says(said, "at or after "));
    CHECK(says(said, "awaited at "));
}

TEST_CASE("the places are those of the user's awaits, innermost first") {
    const ending how = in_child([] {
        bare_loop loop;
        auto tell = []() -> task<> {
            spawn(await_mistake()).detach();
            co_await yield();
            std::fprintf(stderr, "%s%s", place(line_of_mistake).c_str(),
                         place(line_of_await).c_str());
        };
        loop.run(tell());
        loop.run_out();
        return 0;
    });
    CHECK(how.signal == SIGABRT);
    const std::size_t printed = how.said.find("assertion failed");
    REQUIRE(printed != std::string::npos);
    const std::string lines = how.said.substr(0, printed);
    const std::string inner = lines.substr(0, lines.find('\n') + 1);
    const std::string outer = lines.substr(lines.find('\n') + 1);
    const std::size_t first = how.said.find("at or after", printed);
    CHECK(how.said.find(inner, first) != std::string::npos);
    CHECK(how.said.find(outer, how.said.find("awaited at", first)) != std::string::npos);
}

TEST_CASE("outside of a task an assertion is one line") {
    const std::string said = dies([] { OURO_ASSERT(false && "alone"); });
    CHECK(said.find('\n') == said.size() - 1);
}

// --- what nobody awaits ----------------------------------------------------------------------

namespace {

/// True when making an operation and dropping it dies with words that begin with `name`.
template <class Make>
bool unawaited(const char* name, Make make) {
    const std::string words =
        std::string(name) + ": an operation was made and never awaited, so it did nothing";
    return asserts(words.c_str(), [&] {
        bare_loop loop;
        auto body = [](Make act) -> task<> {
            act();
            co_return;
        };
        loop.run(body(make));
    });
}

}  // namespace

TEST_CASE("an operation that dies without having been awaited is an assertion") {
    CHECK(unawaited("mutex", [] {
        mutex lock;
        forget(lock.lock());
    }));
    CHECK(unawaited("channel recv", [] {
        channel<int> numbers(1);
        forget(numbers.recv());
    }));
    CHECK(unawaited("shared_channel recv", [] {
        shared_channel<int> numbers(1);
        forget(numbers.recv());
    }));
    CHECK(unawaited("condition", [] {
        mutex lock;
        condition changed;
        auto held = lock.try_lock();
        forget(changed.wait(held));
    }));
    CHECK(unawaited("sleep", [] { forget(sleep_for(1s)); }));
    CHECK(unawaited("timeout", [] { forget(timeout(1s, yield())); }));
    CHECK(unawaited("shield", [] { forget(shield(yield())); }));
    CHECK(unawaited("all_of", [] { forget(all_of(yield())); }));
    CHECK(unawaited("any_of", [] { forget(any_of(yield())); }));
    CHECK(unawaited("blocking", [] { forget(blocking([] {})); }));
    CHECK(unawaited("abandonable", [] { forget(abandonable(blocking_lane::calls, [] {})); }));
    CHECK(unawaited("generator", [] {
        auto numbers = [](int n) -> async_generator<int> { co_yield n; };
        auto some = numbers(1);
        forget(some.next());
    }));
    CHECK(unawaited("recv", [] {
        descriptor none;
        std::array<std::byte, 1> space;
        forget(recv_op(none, space));
    }));
    CHECK(unawaited("accept", [] {
        acceptor none;
        forget(none.accept());
    }));
    CHECK(unawaited("size", [] {
        file none;
        forget(none.size());
    }));
}

OURO_TEST("what is thrown before an operation is awaited is no misuse") {
    mutex lock;
    auto fail = []() -> int { throw std::runtime_error("no"); };
    auto both = [](mutex::lock_op&&, int) {};
    CHECK_THROWS_AS(both(lock.lock(), fail()), std::runtime_error);
    co_return;
}

OURO_TEST("an operation that is refused, since its chain was cancelled, counts as awaited") {
    mutex lock;
    auto ask = [](mutex& at) -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        CHECK(slept.error() == errc::cancelled);
        const auto got = co_await as_result(at.lock());
        CHECK(got.error() == errc::cancelled);
        try {
            co_await any_of(at.lock(), sleep_for(1h));
            CHECK(false);
        } catch (const std::system_error& error) {
            CHECK(error.code() == errc::cancelled);
        }
    };
    auto asked = spawn(ask, std::ref(lock));
    co_await settle();
    asked.cancel();
    co_await asked;
}

OURO_TEST("what a group that is refused would have awaited counts as awaited") {
    mutex lock;
    auto ask = [](mutex& at) -> task<> {
        CHECK((co_await as_result(sleep_for(1h))).error() == errc::cancelled);
        const auto all = co_await as_result(
            all_of(as_result(at.lock()), timeout(1h, at.lock()), shield(at.lock())));
        CHECK(all.error() == errc::cancelled);
        const auto any = co_await as_result(any_of(timeout(1h, as_result(at.lock()))));
        CHECK(any.error() == errc::cancelled);
    };
    auto asked = spawn(ask, std::ref(lock));
    co_await settle();
    asked.cancel();
    co_await asked;
}

// --- what is kept ----------------------------------------------------------------------------

namespace {

task<std::string> slowly(std::string text) {
    co_await sleep_for(1h);
    co_return text;
}

task<std::string> at_once(std::string text) {
    co_await yield();
    co_return text;
}

}  // namespace

OURO_TEST("timeout, shield and as_result own the task they are given") {
    const std::string text = "long enough to be on the heap";
    auto limited = timeout(10ms, slowly(text));
    const auto late = co_await as_result(limited);
    CHECK(late.error() == errc::timed_out);
    auto quick = timeout(10ms, at_once(text));
    CHECK(co_await quick == text);
    auto safe = shield(at_once(text));
    CHECK(co_await safe == text);
    auto value = as_result(at_once(text));
    CHECK(*co_await value == text);
    auto both = all_of(at_once(text), at_once(text));
    const auto got = co_await both;
    CHECK(std::get<1>(got) == text);
}

OURO_TEST("a task that timeout owns and nobody awaits is freed") {
    auto owned = std::make_shared<int>(1);
    auto hold = [](std::shared_ptr<int> what) -> task<> {
        co_await yield();
        CHECK(what);
    };
    {
        const auto kept = as_result(hold(owned));
        CHECK(owned.use_count() == 2);
        static_cast<void>(kept);
    }
    CHECK(owned.use_count() == 1);
    co_return;
}

TEST_CASE("the task of a lambda with captures is not spawned, but the lambda is") {
    CHECK(asserts("give spawn the lambda, without ()", [] {
        bare_loop loop;
        int x = 3;
        spawn([x]() -> task<> {
            static_cast<void>(x);
            co_return;
        }())
            .detach();
        loop.run_out();
    }));
    bare_loop loop;
    int seen = 0;
    int x = 3;
    spawn([x, &seen]() -> task<> {
        seen = x;
        co_return;
    }).detach();
    spawn([](int& into) -> task<> {
        into += 1;
        co_return;
    }(seen))
        .detach();
    loop.run_out();
    CHECK(seen == 4);
}

namespace {

/// True when a scope whose body calls `start(scope&, 3)` dies for the captures of what it starts.
template <class Start>
bool loses_captures(Start start) {
    return asserts(
        "a lambda's captures end before its task: give spawn the lambda, without ()", [&] {
            bare_loop loop;
            auto body = [](scope& tasks, Start& act) -> task<> {
                act(tasks, 3);
                co_await yield();
            };
            auto all = [&](Start& act) -> task<> {
                co_await with_scope([&](scope& tasks) -> task<> { return body(tasks, act); });
            };
            loop.run(all(start));
        });
}

}  // namespace

// Not written inside of CHECK: all that a macro is given stands at one place of the source.
namespace {

void spawn_temporary(scope& tasks, int x) {
    tasks.spawn([x]() -> task<> {
        static_cast<void>(x);
        co_return;
    }());
}

void spawn_temporary_below(scope& tasks, int x) {
    tasks.spawn(  //
        [x](int y) -> task<> {
            static_cast<void>(x + y);
            co_return;
        }(1));
}

}  // namespace

TEST_CASE("a scope refuses the task of a temporary lambda with captures") {
    CHECK(loses_captures(spawn_temporary));
    CHECK(loses_captures(spawn_temporary_below));
}

#ifndef __clang__  // which does not tell the promise of a lambda's coroutine where the lambda is
TEST_CASE("a scope refuses the task of a lambda that its caller takes along") {
    CHECK(loses_captures([](scope& tasks, int x) {
        const auto gone_soon = [x]() -> task<> {
            static_cast<void>(x);
            co_return;
        };
        tasks.spawn(gone_soon());
    }));
}

TEST_CASE("a group that is kept refuses the task of a temporary lambda") {
    auto lose = [](auto keep) {
        return asserts("a lambda's captures end before its task", [&] {
            bare_loop loop;
            loop.run(keep());
        });
    };
    CHECK(lose([]() -> task<> {
        int x = 3;
        auto both = all_of([x]() -> task<int> { co_return x; }());
        co_await both;
    }));
    CHECK(lose([]() -> task<> {
        int x = 3;
        auto limited = timeout(1h, [x]() -> task<int> { co_return x; }());
        co_await limited;
    }));
    CHECK(lose([]() -> task<> {
        int x = 3;
        auto kept = [x]() -> task<int> { co_return x; }();
        co_await std::move(kept);
    }));
}
#endif

OURO_TEST("the tasks of a lambda that lives longer than its scope are welcome in it") {
    int sum = 0;
    auto add = [&sum](int n) -> task<> {
        co_await yield();
        sum += n;
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int n = 1; n <= 3; ++n) tasks.spawn(add(n));
        tasks.spawn(
            [&sum](int n) -> task<> {
                co_await yield();
                sum += n;
            },
            10);
        co_await yield();
    });
    CHECK(sum == 16);
    int x = 3;
    const auto both = co_await all_of([x]() -> task<int> { co_return x; }(),
                                      timeout(1h, [x]() -> task<int> { co_return x + 1; }()));
    CHECK(std::get<0>(both) + std::get<1>(both) == 7);
}

// --- what is closed --------------------------------------------------------------------------

OURO_TEST_IO("what is asked of a closed or moved-from descriptor or acceptor is an error") {
    descriptor none;
    acceptor nobody;
    std::array<std::byte, 1> byte{};
    for (int i = 0; i < 2; ++i) {
        const auto received = co_await as_result(recv_op(none, byte));
        CHECK(received.error() == std::errc::bad_file_descriptor);
        const auto lent = co_await as_result(leased_recv_op(none));
        CHECK(lent.error() == std::errc::bad_file_descriptor);
        const auto sent = co_await as_result(send_op(none, byte));
        CHECK(sent.error() == std::errc::bad_file_descriptor);
        const auto taken = co_await as_result(nobody.accept());
        CHECK(taken.error() == std::errc::bad_file_descriptor);
    }
    CHECK_FALSE(nobody.paused());
    nobody.pause();
    nobody.resume();
}

OURO_TEST_IO("what is asked of a closed or moved-from file is an error") {
    file none;
    std::array<std::byte, 1> byte{};
    const auto read = co_await as_result(none.read_at(byte, 0));
    CHECK(read.error() == std::errc::bad_file_descriptor);
    const auto written = co_await as_result(none.write_at(byte, 0));
    CHECK(written.error() == std::errc::bad_file_descriptor);
    const auto size = co_await as_result(none.size());
    CHECK(size.error() == std::errc::bad_file_descriptor);
    const auto synced = co_await as_result(none.sync());
    CHECK(synced.error() == std::errc::bad_file_descriptor);
    const auto closed = co_await as_result(none.close());
    CHECK(closed.error() == std::errc::bad_file_descriptor);
}
