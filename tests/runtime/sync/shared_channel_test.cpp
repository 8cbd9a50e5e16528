#include <ouro/runtime/sync/shared_channel.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;

namespace {

using strings = shared_channel<std::string>;
using numbers = shared_channel<int>;

// Sends one value and notes how it went: 's', '#' for closed, '-' for cancelled.
task<> send(strings& to, std::string& said, std::string value) {
    const auto sent = co_await as_result(to.send(std::move(value)));
    if (sent)
        said += 's';
    else
        said += sent.error() == errc::closed ? '#' : '-';
    if (!sent) CHECK_FALSE(value.empty());  // still ours
}

// Receives one value and notes it: '$' for the end, '-' for cancelled.
task<> receive(strings& from, std::string& said) {
    auto got = co_await as_result(from.recv());
    if (!got)
        said += '-';
    else
        said += *got ? **got : "$";
}

OURO_TEST("values come out in the order in which they went in") {
    strings line(3);
    CHECK(line.capacity() == 3);
    co_await line.send("a");
    const std::string b = "b";
    co_await line.send(b);  // a copy
    CHECK(b == "b");
    co_await line.send("c");
    CHECK(line.size() == 3);
    std::string said;
    for (int i = 0; i < 3; ++i) {
        auto got = co_await line.recv();
        said += *got;
    }
    CHECK(said == "abc");
    CHECK(line.size() == 0);
}

OURO_TEST("a sender waits for room, a receiver for a value") {
    strings line(1);
    std::string sent;
    std::string got;
    co_await line.send("a");
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    CHECK(sent.empty());
    CHECK(waits_for(sender) == "shared_channel send");
    auto first = co_await line.recv();
    CHECK(*first == "a");
    CHECK(line.size() == 1);  // b is in already
    co_await settle();
    CHECK(sent == "s");
    auto second = line.try_recv();
    CHECK(*second == "b");

    auto receiver = spawn(receive, std::ref(line), std::ref(got));
    co_await settle();
    CHECK(waits_for(receiver) == "shared_channel recv");
    CHECK(line.try_send("c"));
    CHECK(line.size() == 0);  // handed over
    co_await settle();
    CHECK(got == "c");
}

OURO_TEST("waiting receivers are served in the order of their arrival") {
    strings line(4);
    std::string said;
    auto first = spawn(receive, std::ref(line), std::ref(said));
    co_await settle();
    auto second = spawn(receive, std::ref(line), std::ref(said));
    co_await settle();
    CHECK(line.try_send("1"));
    co_await settle();
    CHECK(line.try_send("2"));
    co_await settle();
    CHECK(said == "12");
}

OURO_TEST("with no capacity every send waits for the receiver that takes the value") {
    strings line(0);
    std::string sent;
    CHECK(line.try_send("x").error() == errc::overloaded);
    auto sender = spawn(send, std::ref(line), std::ref(sent), "a");
    co_await settle();
    CHECK(sent.empty());
    auto got = co_await line.recv();
    CHECK(*got == "a");
    co_await settle();
    CHECK(sent == "s");

    std::string received;
    auto receiver = spawn(receive, std::ref(line), std::ref(received));
    co_await settle();
    CHECK(line.try_send("b"));
    co_await settle();
    CHECK(received == "b");
}

OURO_TEST("what does not fit is refused, one beyond the capacity") {
    strings line(2);
    CHECK(line.try_send("1"));
    CHECK(line.try_send("2"));
    std::string third = "3";
    CHECK(line.try_send(std::move(third)).error() == errc::overloaded);
    CHECK(third == "3");
    CHECK(line.try_recv() == "1");
    CHECK(line.try_send(std::move(third)));
    CHECK(line.try_recv() == "2");
    CHECK(line.try_recv() == "3");
    CHECK_FALSE(line.try_recv());
    co_return;
}

OURO_TEST("after close receivers get what is left and then the end; senders are told") {
    strings line(1);
    std::string sent;
    co_await line.send("a");
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    line.close();
    CHECK(line.closed());
    co_await settle();
    CHECK(sent == "#");
    CHECK(line.try_send("c").error() == errc::closed);
    const auto refused = co_await as_result(line.send("d"));
    CHECK(refused.error() == errc::closed);
    auto left = co_await line.recv();
    CHECK(*left == "a");
    auto end = co_await line.recv();
    CHECK_FALSE(end);
}

OURO_TEST("close wakes the receivers that wait") {
    strings line(1);
    std::string said;
    auto first = spawn(receive, std::ref(line), std::ref(said));
    auto second = spawn(receive, std::ref(line), std::ref(said));
    co_await settle();
    line.close();
    co_await settle();
    CHECK(said == "$$");
}

OURO_TEST("who is cancelled while waiting leaves without a trace") {
    strings line(1);
    std::string said;
    auto gone = spawn(receive, std::ref(line), std::ref(said));
    co_await settle();
    gone.cancel();
    co_await settle();
    CHECK(said == "-");
    CHECK(line.try_send("a"));
    CHECK(line.size() == 1);  // nobody took it

    std::string sent;
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    sender.cancel();
    co_await settle();
    CHECK(sent == "-");
    CHECK(line.try_recv() == "a");
    CHECK_FALSE(line.try_recv());
}

OURO_TEST("a value that met a receiver is delivered although its task is cancelled then") {
    strings line(1);
    std::string said;
    auto receiver = spawn(receive, std::ref(line), std::ref(said));
    co_await settle();
    CHECK(line.try_send("a"));
    receiver.cancel();
    co_await settle();
    CHECK(said == "a");
}

task<> scenario() {
    strings line(1);
    auto body = [&](scope& tasks) -> task<> {
        std::string ignored;
        tasks.spawn(send, line, ignored, "a");
        tasks.spawn(send, line, ignored, "b");
        tasks.spawn(receive, line, ignored);
        auto got = co_await line.recv();
        line.close();
        tasks.spawn(receive, line, ignored);
    };
    co_await with_scope(body);
}

TEST_CASE("it can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

OURO_TEST("a task that always finds a value lets others run") {
    numbers line(1000);
    for (int i = 0; i < 1000; ++i) co_await line.send(i);
    bool other_ran = false;
    auto body = [&]() -> task<> {
        other_ran = true;
        co_return;
    };
    auto other = spawn(body);
    for (int i = 0; i < 1000; ++i) {
        auto got = co_await line.recv();
        CHECK(*got == i);
    }
    CHECK(other_ran);
}

// --- across workers -------------------------------------------------------------------------

constexpr int per_sender = 2000;

task<> send_many(numbers& to, int first) {
    for (int i = 0; i < per_sender; ++i) co_await to.send(first + i);
}

task<> receive_many(numbers& from, std::vector<std::atomic<int>>& seen) {
    while (auto got = co_await from.recv()) seen[static_cast<std::size_t>(*got)].fetch_add(1);
}

task<> many_to_many(std::size_t capacity) {
    numbers line(capacity);
    std::vector<std::atomic<int>> seen(4 * per_sender);
    std::vector<task<>> receivers;
    std::vector<task<>> senders;
    for (unsigned worker = 0; worker < worker_count(); ++worker) {
        auto receive_here = [&] { return receive_many(line, seen); };
        receivers.push_back(call_on_as_task(worker, receive_here));
        const int first = static_cast<int>(worker) * per_sender;
        auto send_here = [&line, first] { return send_many(line, first); };
        senders.push_back(call_on_as_task(worker, send_here));
    }
    auto body = [&](scope& tasks) -> task<> {
        for (auto& receiver : receivers) tasks.spawn(std::move(receiver));
        co_await all_of(std::move(senders));
        line.close();
    };
    co_await with_scope(body);
    int wrong = 0;
    for (auto& count : seen) wrong += count.load() != 1;
    CHECK(wrong == 0);
}

TEST_CASE("four workers send to four: every value arrives once") {
    for (const std::size_t capacity : {0, 1, 16}) {
        CAPTURE(capacity);
        block_on(many_to_many(capacity), {.workers = 4});
    }
}

TEST_CASE("a plain thread sends, a task receives in order") {
    auto body = []() -> task<> {
        numbers line(2);
        std::thread thread([&] {
            for (int i = 0; i < 5000; ++i) CHECK(line.send_blocking(i));
            line.close();
        });
        int expected = 0;
        while (auto got = co_await line.recv()) CHECK(*got == expected++);
        CHECK(expected == 5000);
        thread.join();
    };
    block_on(body());
}

TEST_CASE("a task sends, a plain thread receives in order") {
    auto body = []() -> task<> {
        numbers line(2);
        int expected = 0;
        std::thread thread([&] {
            while (auto got = line.recv_blocking()) CHECK(*got == expected++);
        });
        for (int i = 0; i < 5000; ++i) co_await line.send(i);
        line.close();
        thread.join();
        CHECK(expected == 5000);
    };
    block_on(body());
}

TEST_CASE("the receiver may destroy the channel as soon as it has the value") {
    auto body = []() -> task<> {
        for (int i = 0; i < 300; ++i) {
            auto line = std::make_unique<numbers>(0);
            std::thread thread([to = line.get()] { CHECK(to->send_blocking(7)); });
            auto got = co_await line->recv();
            CHECK(*got == 7);
            thread.join();
            line.reset();
        }
    };
    block_on(body());
}

TEST_CASE("a run may end while the thread that woke its last task is still inside the call") {
    for (int i = 0; i < 200; ++i) {
        auto line = std::make_shared<numbers>(1);
        std::thread thread([line] { static_cast<void>(line->try_send(1)); });
        auto body = [](std::shared_ptr<numbers> from) -> task<> {
            auto got = co_await from->recv();
            CHECK(*got == 1);
        };
        block_on(body(line));
        thread.join();
    }
}

task<> cancelled_receiver(numbers& line, std::atomic<int>& taken) {
    for (;;) {
        auto got = co_await as_result(timeout(std::chrono::microseconds(50), line.recv()));
        if (!got && got.error() == errc::timed_out) continue;
        if (!got || !*got) co_return;
        taken.fetch_add(1);
    }
}

TEST_CASE("receivers that give up again and again lose nothing") {
    auto body = []() -> task<> {
        numbers line(1);
        std::atomic<int> taken = 0;
        std::thread thread([&] {
            for (int i = 0; i < 3000; ++i) CHECK(line.send_blocking(i));
            line.close();
        });
        auto receive_here = [&] { return cancelled_receiver(line, taken); };
        co_await on_each_worker(receive_here);
        thread.join();
        CHECK(taken.load() == 3000);
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("blocking a worker is refused") {
    const auto mistake = [] {
        auto body = []() -> task<> {
            numbers line(1);
            static_cast<void>(line.recv_blocking());
            co_return;
        };
        block_on(body());
    };
    CHECK(says(dies(mistake), "a worker must not block"));
}

}  // namespace
