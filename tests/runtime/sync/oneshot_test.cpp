#include <ouro/runtime/sync/oneshot.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <memory>
#include <string>

using namespace ouro;

namespace {

task<> receive(oneshot_receiver<std::string>& answer, std::string& got) {
    auto value = co_await as_result(answer.recv());
    if (value)
        got += *value;
    else
        got += value.error() == errc::closed ? '#' : '-';
}

OURO_TEST("a value sent before is received at once") {
    auto [reply, answer] = oneshot<std::string>();
    CHECK_FALSE(reply.is_closed());
    CHECK(reply.send("hello"));
    CHECK(reply.is_closed());
    CHECK_FALSE(answer.is_closed());
    const std::string got = co_await answer.recv();
    CHECK(got == "hello");
    CHECK(answer.is_closed());
}

OURO_TEST("a receiver waits for the value") {
    auto [reply, answer] = oneshot<std::string>();
    std::string got;
    auto waiting = spawn(receive, std::ref(answer), std::ref(got));
    co_await settle();
    CHECK(waits_for(waiting) == "oneshot");
    CHECK(reply.send("late"));
    CHECK(got.empty());
    co_await settle();
    CHECK(got == "late");
}

OURO_TEST("a sender that goes without a value is noticed, before and while waiting") {
    auto [reply, answer] = oneshot<std::string>();
    std::string got;
    auto waiting = spawn(receive, std::ref(answer), std::ref(got));
    co_await settle();
    {
        auto gone = std::move(reply);
    }
    co_await settle();
    CHECK(got == "#");
    const auto again = co_await as_result(answer.recv());
    CHECK(again.error() == errc::closed);
    bool thrown = false;
    try {
        co_await answer.recv();
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::closed;
    }
    CHECK(thrown);
}

OURO_TEST("a value survives its sender, and is there once") {
    auto ends = oneshot<std::string>();
    {
        auto reply = std::move(ends.sender);
        reply.send("kept");
    }
    CHECK(ends.receiver.try_recv() == "kept");
    CHECK_FALSE(ends.receiver.try_recv());
    const auto again = co_await as_result(ends.receiver.recv());
    CHECK(again.error() == errc::closed);
}

OURO_TEST("a receiver that goes is noticed by the sender") {
    auto [reply, answer] = oneshot<std::string>();
    bool noticed = false;
    auto watching = spawn(
        [](oneshot_sender<std::string>& reply, bool& noticed) -> task<> {
            co_await reply.closed();
            noticed = true;
        },
        std::ref(reply), std::ref(noticed));
    co_await settle();
    CHECK(waits_for(watching) == "oneshot closed");
    CHECK_FALSE(noticed);
    {
        auto gone = std::move(answer);
    }
    co_await settle();
    CHECK(noticed);
    CHECK(reply.is_closed());
    CHECK_FALSE(reply.send("in vain"));
}

OURO_TEST("waiting for the receiver to go can be cancelled") {
    auto [reply, answer] = oneshot<std::string>();
    auto watching =
        spawn([](oneshot_sender<std::string>& reply) -> task<> { co_await reply.closed(); },
              std::ref(reply));
    co_await settle();
    watching.cancel();
    co_await settle();
    CHECK(watching.failed());
    CHECK(reply.send("still works"));
    CHECK(answer.try_recv() == "still works");
}

OURO_TEST("both ends move, with the value inside, too") {
    auto ends = oneshot<std::unique_ptr<int>>();
    oneshot_sender<std::unique_ptr<int>> reply;
    CHECK(reply.is_closed());
    reply = std::move(ends.sender);
    oneshot_receiver<std::unique_ptr<int>> answer;
    CHECK(answer.is_closed());
    answer = std::move(ends.receiver);
    CHECK(reply.send(std::make_unique<int>(7)));
    auto moved = std::move(answer);
    const std::unique_ptr<int> got = co_await moved.recv();
    CHECK(*got == 7);
}

OURO_TEST("an end that is assigned to lets go of its former peer") {
    auto first = oneshot<int>();
    auto second = oneshot<int>();
    first.sender = std::move(second.sender);
    CHECK(first.receiver.is_closed());
    CHECK(first.sender.send(2));
    CHECK(second.receiver.try_recv() == 2);

    auto third = oneshot<int>();
    auto fourth = oneshot<int>();
    third.receiver = std::move(fourth.receiver);
    CHECK(third.sender.is_closed());
    CHECK(fourth.sender.send(4));
    CHECK(third.receiver.try_recv() == 4);
    co_return;
}

OURO_TEST("a cancelled receiver takes nothing; the value waits for the next call") {
    auto [reply, answer] = oneshot<std::string>();
    std::string got;
    auto waiting = spawn(receive, std::ref(answer), std::ref(got));
    co_await settle();
    waiting.cancel();
    reply.send("value");
    co_await settle();
    CHECK(got == "-");
    const std::string again = co_await answer.recv();
    CHECK(again == "value");
}

OURO_TEST("a value handed over before the cancellation is delivered") {
    auto [reply, answer] = oneshot<std::string>();
    std::string got;
    auto waiting = spawn(receive, std::ref(answer), std::ref(got));
    co_await settle();
    reply.send("value");
    waiting.cancel();
    co_await settle();
    CHECK(got == "value");
}

OURO_TEST("a chain that was asked to stop is refused, and the value stays") {
    auto [reply, answer] = oneshot<std::string>();
    reply.send("value");
    std::string got;
    auto refused = spawn(receive, std::ref(answer), std::ref(got));
    refused.cancel();
    co_await settle();
    CHECK(got == "-");
    CHECK(answer.try_recv() == "value");
}

task<> reply_late(oneshot_sender<int> reply) {
    co_await yield();
    reply.send(1);
}

task<> ask() {
    auto ends = oneshot<int>();
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(reply_late, std::move(ends.sender));
        const auto got = co_await as_result(ends.receiver.recv());
        if (!got) CHECK((got.error() == errc::cancelled || got.error() == errc::closed));
        if (!got) throw_error(got.error());
    });
}

TEST_CASE("cancelled anywhere, nothing is left") {
    const sweep_report report = cancel_everywhere(ask);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 2);
}

TEST_CASE("destroying or moving a receiver that is waited on is noticed") {
    const std::string destroyed = dies([] {
        run_simulated([]() -> task<> {
            std::string got;
            auto waiting = [&]() -> task<> {
                auto ends = oneshot<std::string>();
                spawn(receive, std::ref(ends.receiver), std::ref(got)).detach();
                co_await settle();
            };
            co_await waiting();
        }());
    });
    CHECK(says(destroyed, "destroyed while somebody waits on it"));
    const std::string moved = dies([] {
        run_simulated([]() -> task<> {
            std::string got;
            auto ends = oneshot<std::string>();
            auto waiting = spawn(receive, std::ref(ends.receiver), std::ref(got));
            co_await settle();
            auto elsewhere = std::move(ends.receiver);
        }());
    });
    CHECK(says(moved, "moved while somebody waits on it"));
}

}  // namespace
