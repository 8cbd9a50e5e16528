#include <ouro/net/session/inbox.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using net::inbox_options;
using net::slow_policy;

namespace {

struct letter {
    std::string text;
    std::uint64_t missing = 0;  // of a notice
    bool is_news = false;

    std::size_t bytes() const noexcept { return text.size(); }
};

/// Says nothing in the stream of what is missing.
struct silent_box final : net::inbox<letter> {
    using inbox::inbox;
};

struct telling_box final : net::inbox<letter> {
    using inbox::inbox;
    bool make_notice(std::uint64_t missing, std::optional<letter>& into) noexcept override {
        if (!may_tell) return false;
        into = letter{.missing = missing};
        return true;
    }
    bool is_kept(const letter& one) const noexcept override { return one.is_news; }
    void taken() noexcept override { ++takes; }

    bool may_tell = true;
    int takes = 0;
};

inbox_options at_most(std::size_t messages, std::size_t bytes = 1000) {
    inbox_options limits;
    limits.messages_max = messages;
    limits.bytes_max = bytes;
    return limits;
}

task<std::string> next_of(net::inbox<letter>& box) {
    const auto got = co_await as_result(box.next());
    if (!got) co_return "!" + got.error().message();
    if (!*got) co_return "(end)";
    if ((*got)->missing > 0) co_return "-" + std::to_string((*got)->missing);
    co_return (*got)->text;
}

task<std::string> all_of_it(net::inbox<letter>& box) {
    std::string all;
    while (box.size() > 0) {
        const std::string one = co_await next_of(box);
        all += one;
    }
    co_return all;
}

OURO_TEST("letters come in their order, each to one who waits") {
    silent_box box(at_most(100));
    auto first = spawn(next_of(box));
    auto second = spawn(next_of(box));
    co_await settle();
    for (const char* text : {"a", "b", "c", "d"}) box.put({text});
    CHECK(co_await first == "a");
    CHECK(co_await second == "b");
    CHECK(box.size() == 2);
    CHECK(box.bytes() == 2);
    CHECK(co_await all_of_it(box) == "cd");
    CHECK(box.bytes() == 0);
}

OURO_TEST("above the number the oldest are dropped, and told at the place where they are missing") {
    telling_box box(at_most(3));
    for (char c = 'a'; c <= 'g'; ++c) box.put({std::string(1, c)});
    CHECK(box.dropped() == 4);
    CHECK(co_await next_of(box) == "-4");
    CHECK(co_await next_of(box) == "e");
    for (char c = 'h'; c <= 'j'; ++c) box.put({std::string(1, c)});
    CHECK(co_await next_of(box) == "-2");
    CHECK(co_await all_of_it(box) == "hij");
    CHECK(box.dropped() == 6);
}

OURO_TEST("above the bytes, too; but the newest stays, however large it is") {
    telling_box box(at_most(100, 10));
    box.put({"1234567890"});
    CHECK(box.dropped() == 0);
    box.put({"x"});
    CHECK(box.dropped() == 1);
    box.put({std::string(50, 'y')});
    CHECK(box.size() == 1);
    CHECK(box.bytes() == 50);
    CHECK(co_await next_of(box) == "-2");
}

OURO_TEST("what cannot be told now is told later, and what never can is counted") {
    telling_box box(at_most(1));
    box.may_tell = false;
    box.put({"a"});
    box.put({"b"});
    CHECK(co_await next_of(box) == "b");
    box.may_tell = true;
    box.put({"c"});
    CHECK(co_await next_of(box) == "-1");
    CHECK(co_await next_of(box) == "c");

    silent_box quiet(at_most(1));
    quiet.put({"a"});
    quiet.put({"b"});
    CHECK(co_await next_of(quiet) == "b");
    CHECK(quiet.dropped() == 1);
}

OURO_TEST("news is not dropped though it is the oldest") {
    telling_box box(at_most(1));
    box.put({.text = "news", .is_news = true});
    box.put({"a"});
    box.put({"b"});
    CHECK(co_await next_of(box) == "-1");
    CHECK(co_await next_of(box) == "news");
    CHECK(co_await next_of(box) == "b");
}

OURO_TEST("with the policy to block nothing is dropped, and it says when to go on") {
    inbox_options limits = at_most(4);
    limits.when_full = slow_policy::block;
    telling_box box(limits);
    for (const char* text : {"a", "b", "c"}) box.put({text});
    CHECK(!box.full());
    box.put({"d"});
    CHECK(box.full());
    box.put({"e"});  // what was on its way already
    CHECK(box.dropped() == 0);
    for (int i = 0; i < 2; ++i) static_cast<void>(co_await next_of(box));
    CHECK(!box.has_room());
    static_cast<void>(co_await next_of(box));
    CHECK(box.has_room());
    CHECK(box.takes == 3);
}

OURO_TEST("finished, it gives what waits, and then its reason") {
    silent_box box(at_most(10));
    box.put({"a"});
    box.finish(std::make_error_code(std::errc::connection_reset));
    box.put({"too late"});
    CHECK(box.has_ended());
    CHECK(co_await next_of(box) == "a");
    const std::string reason = std::make_error_code(std::errc::connection_reset).message();
    CHECK(co_await next_of(box) == "!" + reason);
    CHECK(co_await next_of(box) == "!" + reason);  // and again
    bool thrown = false;
    try {
        static_cast<void>(co_await box.next());
    } catch (const std::system_error& failure) {
        thrown = failure.code() == std::errc::connection_reset;
    }
    CHECK(thrown);
}

OURO_TEST("ended, it drops what waits, and everybody who waits gets the end") {
    silent_box box(at_most(10));
    auto one = spawn(next_of(box));
    auto two = spawn(next_of(box));
    co_await settle();
    box.end();
    CHECK(co_await one == "(end)");
    CHECK(co_await two == "(end)");

    telling_box full(at_most(2));
    for (int i = 0; i < 5; ++i) full.put({"x"});
    full.end();
    CHECK(full.size() == 0);
    CHECK(full.bytes() == 0);
    CHECK(full.takes == 1);  // whoever was held back may go on
    CHECK(co_await next_of(full) == "(end)");
}

task<> append_next(net::inbox<letter>& from, std::string& taken) {
    const std::optional<letter> got = co_await from.next();
    taken += got->text;
}

/// Every letter is taken once, or is still there.
task<> take_some() {
    silent_box box(at_most(10));
    std::string put, taken;
    std::exception_ptr failure;
    auto body = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 3; ++i) tasks.spawn(append_next, box, taken);
        for (const char* text : {"a", "b", "c", "d"}) {
            co_await yield();
            box.put({text});
            put += text;
        }
        co_await append_next(box, taken);
    };
    try {
        co_await with_scope(body);
    } catch (...) {
        failure = std::current_exception();
    }
    while (box.size() > 0) {
        auto next = box.next();
        const std::optional<letter> left = co_await shield(next);
        taken += left->text;
    }
    std::sort(taken.begin(), taken.end());
    CHECK(taken == put);
    if (failure) std::rethrow_exception(failure);
}

TEST_CASE("a cancelled task has taken nothing") {
    const auto report = cancel_everywhere(take_some);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

}  // namespace
