#include <ouro/runtime/sync/watch.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <memory>
#include <string>

using namespace ouro;

namespace {

// Notes the value after a change, '#' for closed, '-' for cancelled.
task<> follow_once(watch<char>::receiver& at, std::string& said) {
    const auto changed = co_await as_result(at.changed());
    if (changed)
        said += at.get();
    else
        said += changed.error() == errc::closed ? '#' : '-';
}

OURO_TEST("a change wakes all who follow, and the latest value counts") {
    watch<char> letter('a');
    CHECK(letter.get() == 'a');
    auto one = letter.subscribe();
    auto two = letter.subscribe();
    CHECK(letter.receivers() == 2);
    std::string said;
    auto a = spawn(follow_once, std::ref(one), std::ref(said));
    auto b = spawn(follow_once, std::ref(two), std::ref(said));
    co_await settle();
    CHECK(said.empty());
    CHECK(waits_for(a) == "watch");
    letter.set('b');
    letter.modify([](char& value) { ++value; });
    co_await settle();
    CHECK(said == "cc");
    CHECK_FALSE(one.has_changed());
}

OURO_TEST("a change that came before is seen at once, and once") {
    watch<char> letter('a');
    auto mine = letter.subscribe();
    CHECK_FALSE(mine.has_changed());
    letter.set('b');
    CHECK(mine.has_changed());
    auto copy = mine;
    CHECK(letter.receivers() == 2);
    co_await mine.changed();
    CHECK_FALSE(mine.has_changed());
    CHECK(copy.has_changed());
    copy.mark_seen();
    CHECK_FALSE(copy.has_changed());
    std::string said;
    auto waiting = spawn(follow_once, std::ref(mine), std::ref(said));
    co_await settle();
    CHECK(said.empty());
    letter.set('b');  // the same value, but set anew
    co_await settle();
    CHECK(said == "b");
}

OURO_TEST("a receiver that subscribes late has seen the present value") {
    watch<char> letter('a');
    letter.set('b');
    auto late = letter.subscribe();
    CHECK_FALSE(late.has_changed());
    CHECK(late.get() == 'b');
    auto moved = std::move(late);
    CHECK(letter.receivers() == 1);
    co_return;
}

OURO_TEST("after close the last change is seen, and then that there are no more") {
    watch<char> letter('a');
    auto behind = letter.subscribe();
    letter.set('b');
    auto waiting = letter.subscribe();
    std::string said;
    auto w = spawn(follow_once, std::ref(waiting), std::ref(said));
    co_await settle();
    letter.close();
    CHECK(letter.closed());
    co_await settle();
    CHECK(said == "#");
    co_await follow_once(behind, said);
    co_await follow_once(behind, said);
    CHECK(said == "#b#");
    bool thrown = false;
    try {
        co_await behind.changed();
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::closed;
    }
    CHECK(thrown);
    CHECK(behind.get() == 'b');
}

OURO_TEST("a cancelled wait has seen nothing, a woken one has") {
    watch<char> letter('a');
    auto mine = letter.subscribe();
    std::string said;
    auto cancelled = spawn(follow_once, std::ref(mine), std::ref(said));
    co_await settle();
    cancelled.cancel();
    letter.set('b');
    co_await settle();
    CHECK(said == "-");
    CHECK(mine.has_changed());
    auto refused = spawn(follow_once, std::ref(mine), std::ref(said));
    refused.cancel();
    co_await settle();
    CHECK(said == "--");
    CHECK(mine.has_changed());
    mine.mark_seen();
    auto woken = spawn(follow_once, std::ref(mine), std::ref(said));
    co_await settle();
    letter.set('c');
    woken.cancel();
    co_await settle();
    CHECK(said == "--c");
    CHECK_FALSE(mine.has_changed());
}

task<> wait_for_letter(watch<char>& letter, char wanted) {
    auto mine = letter.subscribe();
    auto is_wanted = [wanted](char value) { return value >= wanted; };
    co_await mine.wait_for(is_wanted);
}

OURO_TEST("one can wait for a certain value") {
    watch<char> letter('a');
    auto waiting = spawn(wait_for_letter, std::ref(letter), 'c');
    for (char value = 'b'; value < 'e'; ++value) {
        co_await settle();
        CHECK(waiting.finished() == (value > 'c'));
        letter.set(value);
    }
    co_await wait_for_letter(letter, 'c');
    auto refused = spawn(wait_for_letter, std::ref(letter), 'c');
    refused.cancel();
    co_await settle();
    CHECK(refused.failed());
    auto in_vain = spawn(wait_for_letter, std::ref(letter), 'x');
    co_await settle();
    letter.close();
    co_await settle();
    CHECK(in_vain.failed());
}

OURO_TEST("two that set and follow each other let the others run") {
    watch<int> number(0);
    bool stop = false;
    auto mine = number.subscribe();
    int rounds = 0;
    auto eager = spawn(
        [](watch<int>& number, watch<int>::receiver& mine, const bool& stop,
           int& rounds) -> task<> {
            for (; !stop && rounds < 100'000; ++rounds) {
                number.set(rounds);
                co_await mine.changed();
            }
        },
        std::ref(number), std::ref(mine), std::cref(stop), std::ref(rounds));
    while (rounds == 0) co_await yield();
    stop = true;
    co_await eager;
    CHECK(rounds < 100'000);
}

task<> follow_to_the_end() {
    watch<char> letter('a');
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(wait_for_letter, letter, 'c');
        tasks.spawn(wait_for_letter, letter, 'd');
        for (char value = 'b'; value < 'e'; ++value) {
            co_await yield();
            letter.set(value);
        }
    });
    CHECK(letter.receivers() == 0);
}

TEST_CASE("cancelled anywhere, nobody stays subscribed") {
    const sweep_report report = cancel_everywhere(follow_to_the_end);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

OURO_TEST("destroying a watch tells its receivers that there will be no change") {
    auto letter = std::make_unique<watch<char>>('a');
    auto mine = letter->subscribe();
    auto waiting = spawn([](watch<char>::receiver at) -> task<> { co_await at.changed(); }, mine);
    co_await settle();
    letter.reset();
    const auto ended = co_await as_result(waiting);
    CHECK(ended.error() == errc::closed);
    const auto later = co_await as_result(mine.changed());
    CHECK(later.error() == errc::closed);
    CHECK_FALSE(mine.has_changed());
    CHECK(asserts("the watch of this receiver is gone", [&] { mine.get(); }));
}

}  // namespace
