#include <ouro/runtime/task.hpp>

#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/bare_loop.hpp>
#include <ouro/tests/dies.hpp>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

using namespace ouro;

namespace {

task<int> one() { co_return 1; }

task<int> deep(int levels) {
    if (levels == 0) co_return 0;
    const int below = co_await deep(levels - 1);
    co_return below + 1;
}

task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

task<int&> reference_to(int& value) { co_return value; }

task<> fails_at_once() {
    throw std::runtime_error("broken");
    co_return;
}

task<int> fails_after_yield() {
    co_await yield();
    throw std::runtime_error("broken later");
}

task<> note(std::string& into, char what) {
    into += what;
    co_return;
}

task<int> fails_deep_down(int levels) {
    if (levels == 0) throw std::runtime_error("from the bottom");
    const int below = co_await fails_deep_down(levels - 1);
    co_return below;
}

/// Writes a letter when it ends; `loud` ones throw as well.
class last_letter {
public:
    last_letter(std::string& into, char what, bool loud = false)
        : into_(&into), what_(what), loud_(loud) {}
    last_letter(last_letter&& other) noexcept
        : into_(std::exchange(other.into_, nullptr)), what_(other.what_), loud_(other.loud_) {}
    ~last_letter() noexcept(false) {
        if (!into_) return;
        *into_ += what_;
        if (loud_) throw std::runtime_error("from a destructor");
    }

private:
    std::string* into_;
    char what_;
    bool loud_;
};

task<> with_locals(std::string& into) {
    const last_letter local(into, 'l');
    co_await yield();
    into += 'b';
}

task<last_letter> value_and_loud_local(std::string& into) {
    const last_letter local(into, 'l', true);
    co_return last_letter(into, 'v');
}

struct no_default {
    explicit no_default(int n) : number(n) {}
    int number;
};

struct point {
    int x = 0;
    int y = 0;
};

task<no_default> made_of(int number) { co_return no_default(number); }
task<std::string> converted() { co_return "a literal"; }
task<std::optional<int>> nothing() { co_return {}; }
task<point> braces() { co_return {1, 2}; }
task<const std::string&> reference_to_text(const std::string& text) { co_return text; }

}  // namespace

OURO_TEST("a task starts when it is awaited, not before") {
    std::string order;
    auto later = note(order, 'b');
    order += 'a';
    co_await std::move(later);
    order += 'c';
    CHECK(order == "abc");
}

OURO_TEST("a task that is never awaited frees its frame") {
    [[maybe_unused]] auto unused = one();
    const auto live = frame_pool::stats().live;
    {
        [[maybe_unused]] auto another = one();
        CHECK(frame_pool::stats().live == live + 1);
        another = one();
        CHECK(frame_pool::stats().live == live + 1);
    }
    CHECK(frame_pool::stats().live == live);
    co_return;
}

OURO_TEST("a million awaits of ready tasks do not grow the stack") {
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        const int got = co_await one();
        sum += got;
    }
    CHECK(sum == 1'000'000);
}

OURO_TEST("a chain of a hundred thousand tasks unwinds without growing the stack") {
    const int levels = co_await deep(100'000);
    CHECK(levels == 100'000);
}

OURO_TEST("a task moves its value out") {
    const auto box = co_await boxed(7);
    CHECK(*box == 7);
}

OURO_TEST("a task can return a reference") {
    int value = 1;
    int& same = co_await reference_to(value);
    CHECK(&same == &value);
}

OURO_TEST("an exception reaches the one who awaits") {
    std::string what;
    try {
        co_await fails_after_yield();
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "broken later");
}

OURO_TEST("an exception before the first wait reaches the one who awaits, too") {
    bool caught = false;
    try {
        co_await fails_at_once();
    } catch (const std::runtime_error&) {
        caught = true;
    }
    CHECK(caught);
}

OURO_TEST("an exception climbs a thousand tasks") {
    std::string what;
    try {
        co_await fails_deep_down(1000);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "from the bottom");
}

OURO_TEST("locals end before the one who awaits goes on") {
    std::string order;
    co_await with_locals(order);
    order += 'a';
    CHECK(order == "bla");
}

OURO_TEST("a destructor that throws after co_return replaces the value") {
    std::string order;
    std::string what;
    try {
        const auto value = co_await value_and_loud_local(order);
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "from a destructor");
    CHECK(order == "lv");  // and the value is not lost
}

OURO_TEST("a task returns what has no default, converts, and takes braces") {
    const auto made = co_await made_of(3);
    CHECK(made.number == 3);
    const auto text = co_await converted();
    CHECK(text == "a literal");
    const auto none = co_await nothing();
    CHECK_FALSE(none);
    const auto at = co_await braces();
    CHECK(at.y == 2);
}

OURO_TEST("a reference to a constant stays one") {
    const std::string text = "same";
    const std::string& same = co_await reference_to_text(text);
    CHECK(&same == &text);
}

OURO_TEST("a task can be kept and awaited later, elsewhere") {
    std::map<int, task<int>> later;
    for (int i = 0; i < 3; ++i) later.emplace(i, deep(i));
    auto second = later.extract(1);
    const int got = co_await std::move(second.mapped());
    CHECK(got == 1);
    auto await_it = [](task<int> given) -> task<int> { co_return co_await std::move(given); };
    const int other = co_await await_it(std::move(later.at(2)));
    CHECK(other == 2);
}

TEST_CASE("awaiting a task twice, or one that was given away, asserts") {
    auto twice = []() -> task<> {
        auto once = one();
        co_await std::move(once);
        co_await std::move(once);
    };
    auto nobody = []() -> task<> {
        auto given = one();
        [[maybe_unused]] auto taker = std::move(given);
        co_await std::move(given);
    };
    CHECK(asserts("a task is awaited once", [&] { bare_loop().run(twice()); }));
    CHECK(asserts("frame", [&] { bare_loop().run(nobody()); }));
}
