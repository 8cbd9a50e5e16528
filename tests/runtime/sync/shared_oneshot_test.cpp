#include <ouro/runtime/sync/shared_oneshot.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <string>
#include <thread>

using namespace ouro;

namespace {

using value = std::unique_ptr<int>;

task<> receive(shared_oneshot_receiver<value>& from, std::string& said) {
    auto got = co_await as_result(from.recv());
    if (got)
        said += std::to_string(**got);
    else
        said += got.error() == errc::closed ? '#' : '-';
}

OURO_TEST("a value sent before it is asked for is there") {
    auto ends = shared_oneshot<value>();
    CHECK_FALSE(ends.receiver.try_recv());
    CHECK(ends.sender.send(std::make_unique<int>(4)));
    CHECK(ends.sender.is_closed());
    value got = co_await ends.receiver.recv();
    CHECK(*got == 4);
    auto again = co_await as_result(ends.receiver.recv());
    CHECK(again.error() == errc::closed);
}

OURO_TEST("a receiver waits for the value") {
    auto ends = shared_oneshot<value>();
    std::string said;
    auto receiver = spawn(receive, std::ref(ends.receiver), std::ref(said));
    co_await settle();
    CHECK(waits_for(receiver) == "shared_oneshot");
    CHECK_FALSE(ends.sender.is_closed());
    CHECK(ends.sender.send(std::make_unique<int>(4)));
    co_await settle();
    CHECK(said == "4");
}

OURO_TEST("a sender that goes without a word closes") {
    auto ends = shared_oneshot<value>();
    std::string said;
    auto receiver = spawn(receive, std::ref(ends.receiver), std::ref(said));
    co_await settle();
    ends.sender = {};
    co_await settle();
    CHECK(said == "#");

    auto others = shared_oneshot<value>();
    others.sender = {};
    auto got = co_await as_result(others.receiver.recv());
    CHECK(got.error() == errc::closed);
}

OURO_TEST("a receiver that is gone is noticed, and the value is destroyed") {
    auto ends = shared_oneshot<std::shared_ptr<int>>();
    auto kept = std::make_shared<int>(1);
    ends.receiver = {};
    CHECK(ends.sender.is_closed());
    CHECK_FALSE(ends.sender.send(kept));
    CHECK(kept.use_count() == 1);

    auto others = shared_oneshot<std::shared_ptr<int>>();
    CHECK(others.sender.send(kept));
    CHECK(kept.use_count() == 2);
    others.receiver = {};
    CHECK(kept.use_count() == 1);
    co_return;
}

OURO_TEST("a receiver that is cancelled may ask again") {
    auto ends = shared_oneshot<value>();
    std::string said;
    auto receiver = spawn(receive, std::ref(ends.receiver), std::ref(said));
    co_await settle();
    receiver.cancel();
    co_await settle();
    CHECK(said == "-");
    CHECK(ends.sender.send(std::make_unique<int>(5)));
    value got = co_await ends.receiver.recv();
    CHECK(*got == 5);
}

OURO_TEST("a value that met the receiver is delivered although its task is cancelled then") {
    auto ends = shared_oneshot<value>();
    std::string said;
    auto receiver = spawn(receive, std::ref(ends.receiver), std::ref(said));
    co_await settle();
    CHECK(ends.sender.send(std::make_unique<int>(6)));
    receiver.cancel();
    co_await settle();
    CHECK(said == "6");
}

task<> send_later(shared_oneshot_sender<value> to) {
    co_await yield();
    to.send(std::make_unique<int>(1));
}

task<> scenario() {
    auto ends = shared_oneshot<value>();
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(send_later(std::move(ends.sender)));
        value got = co_await ends.receiver.recv();
        CHECK(*got == 1);
    };
    co_await with_scope(body);
}

TEST_CASE("it can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

TEST_CASE("a thread answers a task, whoever is first, and may outlive the run") {
    for (int i = 0; i < 300; ++i) {
        auto ends = shared_oneshot<value>();
        std::thread thread(
            [to = std::move(ends.sender), i]() mutable { to.send(std::make_unique<int>(i)); });
        auto body = [](shared_oneshot_receiver<value> from) -> task<int> {
            value got = co_await from.recv();
            co_return *got;
        };
        CHECK(block_on(body(std::move(ends.receiver))) == i);
        thread.join();
    }
}

TEST_CASE("a task answers a thread") {
    auto ends = shared_oneshot<value>();
    int got = 0;
    std::thread thread([&] { got = **ends.receiver.recv_blocking(); });
    auto body = [&]() -> task<> {
        CHECK(ends.sender.send(std::make_unique<int>(9)));
        co_return;
    };
    block_on(body());
    thread.join();
    CHECK(got == 9);

    auto closed = shared_oneshot<value>();
    std::thread other([&] { CHECK_FALSE(closed.receiver.recv_blocking()); });
    closed.sender = {};
    other.join();
}

// The receiver gives up about when the answer comes: it has it, or may ask once more.
task<> give_up_about_then(int round) {
    auto ends = shared_oneshot<value>();
    std::thread thread(
        [to = std::move(ends.sender), round]() mutable { to.send(std::make_unique<int>(round)); });
    auto got = co_await as_result(timeout(std::chrono::microseconds(20), ends.receiver.recv()));
    if (!got) {
        CHECK(got.error() == errc::timed_out);
        got = co_await ends.receiver.recv();
    }
    CHECK(**got == round);
    thread.join();
}

TEST_CASE("giving up races with the answer and loses nothing") {
    auto body = []() -> task<> {
        for (int i = 0; i < 500; ++i) co_await give_up_about_then(i);
    };
    block_on(body());
}

}  // namespace
