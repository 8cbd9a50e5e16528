#include <ouro/runtime/sync/broadcast.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <functional>
#include <memory>
#include <string>

using namespace ouro;

namespace {

using strings = broadcast<std::string>;

// Notes one value: '$' for the end, '!' for a lag, '-' for cancelled.
task<> receive(strings::receiver& at, std::string& said) {
    auto got = co_await as_result(at.recv());
    if (!got)
        said += got.error() == errc::lagged ? '!' : '-';
    else
        said += *got ? **got : "$";
}

task<> receive_all(strings& from, std::string& said) {
    auto mine = from.subscribe();
    while (auto got = co_await mine.recv()) said += *got;
    said += '$';
}

OURO_TEST("every receiver sees every value, and then the end") {
    strings feed(4);
    std::string one;
    std::string two;
    auto a = spawn(receive_all, std::ref(feed), std::ref(one));
    auto b = spawn(receive_all, std::ref(feed), std::ref(two));
    co_await settle();
    CHECK(feed.receivers() == 2);
    CHECK(waits_for(a) == "broadcast");
    CHECK(feed.send("a") == 2);
    CHECK(feed.send("b") == 2);
    co_await settle();
    CHECK(feed.send("c") == 2);
    feed.close();
    co_await settle();
    CHECK(one == "abc$");
    CHECK(two == "abc$");
    CHECK(feed.receivers() == 0);
    CHECK(feed.closed());
}

OURO_TEST("a receiver sees what is sent after it has subscribed") {
    strings feed(4);
    CHECK(feed.send("nobody") == 0);
    auto early = feed.subscribe();
    feed.send("a");
    auto late = feed.subscribe();
    feed.send("b");
    CHECK(early.pending() == 2);
    CHECK(late.pending() == 1);
    auto twin = early.clone();
    std::string said;
    co_await receive(early, said);
    co_await receive(early, said);
    co_await receive(late, said);
    co_await receive(twin, said);
    co_await receive(twin, said);
    CHECK(said == "abbab");
    CHECK_FALSE(*twin.try_recv());
}

OURO_TEST("who is overtaken is told by how many values, and goes on with the oldest kept") {
    strings feed(2);
    auto slow = feed.subscribe();
    auto fast = feed.subscribe();
    std::string said;
    for (const char* value : {"a", "b", "c", "d", "e"}) {
        feed.send(value);
        co_await receive(fast, said);
    }
    CHECK(said == "abcde");
    CHECK(slow.pending() == 2);
    std::uint64_t missed = 0;
    try {
        co_await slow.recv();
    } catch (const lagged_error& error) {
        missed = error.missed();
        CHECK(error.code() == errc::lagged);
    }
    CHECK(missed == 3);
    said.clear();
    co_await receive(slow, said);
    co_await receive(slow, said);
    CHECK(said == "de");
    for (const char* value : {"f", "g", "h"}) feed.send(value);
    co_await receive(slow, said);
    CHECK(slow.missed() == 1);
    CHECK(fast.try_recv().error() == errc::lagged);
    CHECK(fast.missed() == 1);
    co_await receive(slow, said);
    CHECK(said == "de!g");
}

OURO_TEST("exactly as many as are kept is no lag, one more is") {
    strings feed(3);
    auto receiver = feed.subscribe();
    for (const char* value : {"a", "b", "c"}) feed.send(value);
    std::string said;
    co_await receive(receiver, said);
    CHECK(said == "a");
    for (const char* value : {"d", "e"}) feed.send(value);
    co_await receive(receiver, said);
    CHECK(said == "a!");
    CHECK(receiver.missed() == 1);
}

OURO_TEST("who was woken and then overtaken before it ran is told") {
    strings feed(1);
    std::string said;
    auto mine = feed.subscribe();
    auto waiting = spawn(receive, std::ref(mine), std::ref(said));
    co_await settle();
    feed.send("a");
    feed.send("b");
    co_await settle();
    CHECK(said == "!");
    CHECK(mine.missed() == 1);
    co_await receive(mine, said);
    CHECK(said == "!b");
}

OURO_TEST("a value is destroyed when everybody has read it, has gone, or it is overwritten") {
    broadcast<std::shared_ptr<int>> feed(2);
    auto value = std::make_shared<int>(1);
    auto one = feed.subscribe();
    {
        auto two = feed.subscribe();
        auto three = two.clone();
        feed.send(value);
        CHECK(value.use_count() == 2);
        co_await one.recv();
        CHECK(value.use_count() == 2);
        co_await three.recv();
        CHECK(value.use_count() == 2);
    }
    CHECK(value.use_count() == 1);
    feed.send(value);
    feed.send(nullptr);
    CHECK(value.use_count() == 2);
    feed.send(nullptr);
    CHECK(value.use_count() == 1);
}

OURO_TEST("a receiver moves with its place") {
    strings feed(4);
    auto first = feed.subscribe();
    feed.send("a");
    auto second = std::move(first);
    CHECK(feed.receivers() == 1);
    auto third = feed.subscribe();
    third = std::move(second);
    CHECK(feed.receivers() == 1);
    std::string said;
    co_await receive(third, said);
    CHECK(said == "a");
}

OURO_TEST("a cancelled receiver misses nothing") {
    strings feed(4);
    auto mine = feed.subscribe();
    std::string said;
    auto waiting = spawn(receive, std::ref(mine), std::ref(said));
    co_await settle();
    waiting.cancel();
    feed.send("a");
    co_await settle();
    auto refused = spawn(receive, std::ref(mine), std::ref(said));
    refused.cancel();
    co_await settle();
    CHECK(said == "--");
    co_await receive(mine, said);
    CHECK(said == "--a");

    auto woken = spawn(receive, std::ref(mine), std::ref(said));
    co_await settle();
    feed.send("b");
    woken.cancel();
    co_await settle();
    CHECK(said == "--ab");
}

OURO_TEST("a receiver with much to read lets the others run") {
    broadcast<int> feed(100'000);
    auto mine = feed.subscribe();
    for (int i = 0; i < 100'000; ++i) feed.send(i);
    int reads = 0;
    bool stop = false;
    auto reader = spawn(
        [](broadcast<int>::receiver& at, int& reads, const bool& stop) -> task<> {
            for (; !stop && reads < 100'000; ++reads) co_await at.recv();
        },
        std::ref(mine), std::ref(reads), std::cref(stop));
    while (reads == 0) co_await yield();
    stop = true;
    co_await reader;
    CHECK(reads < 100'000);
}

task<> publish() {
    strings feed(2);
    std::string one;
    std::string two;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(receive_all, feed, one);
        tasks.spawn(receive_all, feed, two);
        co_await yield();
        while (feed.receivers() < 2) co_await yield();
        for (const char* value : {"a", "b", "c"}) {
            feed.send(value);
            while (one.size() + two.size() < 2 * (value[0] - 'a' + 1u)) co_await yield();
        }
        feed.close();
    });
    CHECK(one == "abc$");
    CHECK(two == "abc$");
}

TEST_CASE("cancelled anywhere, nobody stays subscribed") {
    const sweep_report report = cancel_everywhere(publish);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 5);
}

OURO_TEST("destroying a broadcast is the end for its receivers") {
    auto feed = std::make_unique<strings>(2);
    auto mine = feed->subscribe();
    auto moved = feed->subscribe();
    auto follow = [](strings::receiver at) -> task<bool> {
        const auto item = co_await at.recv();
        co_return item.has_value();
    };
    auto waiting = spawn(follow, std::move(moved));
    co_await settle();
    feed.reset();
    CHECK_FALSE(co_await waiting);
    const auto later = co_await mine.recv();
    CHECK_FALSE(later);
    CHECK(mine.pending() == 0);
}

}  // namespace
