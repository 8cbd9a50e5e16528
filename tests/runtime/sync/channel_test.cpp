#include <ouro/runtime/sync/channel.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <functional>
#include <memory>
#include <string>

using namespace ouro;

namespace {

using strings = channel<std::string>;

// Sends one value and notes how it went: its name, '#' for closed, '-' for cancelled.
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

task<> receive_all(strings& from, std::string& said) {
    while (auto got = co_await from.recv()) said += *got;
    said += '$';
}

OURO_TEST("values come out in the order in which they went in") {
    strings line(3);
    CHECK(line.capacity() == 3);
    co_await line.send("a");
    const std::string b = "b";
    co_await line.send(b);  // a copy
    CHECK(b == "b");
    std::string c = "c";
    co_await line.send(std::move(c));
    CHECK(line.size() == 3);
    std::string said;
    for (int i = 0; i < 3; ++i) {
        auto got = co_await line.recv();
        said += *got;
    }
    CHECK(said == "abc");
    CHECK(line.empty());
}

OURO_TEST("a sender waits for a slot, a receiver for a value") {
    strings line(1);
    std::string sent;
    std::string got;
    co_await line.send("a");
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    CHECK(sent.empty());
    CHECK(waits_for(sender) == "channel send");
    auto first = co_await line.recv();
    CHECK(*first == "a");
    CHECK(line.size() == 1);  // b is in already
    co_await settle();
    CHECK(sent == "s");
    auto second = co_await line.recv();
    CHECK(*second == "b");

    auto receiver = spawn(receive, std::ref(line), std::ref(got));
    co_await settle();
    CHECK(waits_for(receiver) == "channel recv");
    co_await line.send("c");
    CHECK(line.empty());  // handed over
    co_await settle();
    CHECK(got == "c");
}

OURO_TEST("senders are served in the order of their arrival") {
    strings line(1);
    std::string sent;
    co_await line.send("0");
    auto a = spawn(send, std::ref(line), std::ref(sent), "1");
    co_await settle();
    auto b = spawn(send, std::ref(line), std::ref(sent), "2");
    co_await settle();
    std::string got;
    for (int i = 0; i < 3; ++i) {
        CHECK(line.try_send("x").error() == errc::overloaded);  // nobody overtakes
        auto value = co_await line.recv();
        got += *value;
        co_await settle();
    }
    CHECK(got == "012");
    CHECK(sent == "ss");
}

OURO_TEST("receivers are served in the order of their arrival") {
    strings line(2);
    std::string first;
    std::string second;
    auto a = spawn(receive, std::ref(line), std::ref(first));
    co_await settle();
    auto b = spawn(receive, std::ref(line), std::ref(second));
    co_await settle();
    co_await line.send("1");
    CHECK_FALSE(line.try_recv());  // it is for a
    co_await line.send("2");
    co_await settle();
    CHECK(first == "1");
    CHECK(second == "2");
}

OURO_TEST("nothing waits in try_send and try_recv") {
    strings line(1);
    CHECK_FALSE(line.try_recv());
    CHECK(line.try_send("a"));
    std::string kept = "b";
    CHECK(line.try_send(std::move(kept)).error() == errc::overloaded);
    CHECK(kept == "b");
    CHECK(line.try_recv() == "a");
    line.close();
    CHECK(line.try_send(kept).error() == errc::closed);
    CHECK(line.closed());
    co_return;
}

OURO_TEST("after close, receivers get what is there and then the end") {
    strings line(2);
    co_await line.send("a");
    co_await line.send("b");
    line.close();
    line.close();
    std::string said;
    co_await receive_all(line, said);
    co_await receive_all(line, said);
    CHECK(said == "ab$$");
    const auto refused = co_await as_result(line.send("c"));
    CHECK(refused.error() == errc::closed);
    bool thrown = false;
    try {
        co_await line.send("c");
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::closed;
    }
    CHECK(thrown);
}

OURO_TEST("close tells who waits: senders keep their value, receivers see the end") {
    strings full(1);
    std::string sent;
    co_await full.send("a");
    auto sender = spawn(send, std::ref(full), std::ref(sent), "b");
    strings empty(1);
    std::string got;
    auto one = spawn(receive, std::ref(empty), std::ref(got));
    auto two = spawn(receive, std::ref(empty), std::ref(got));
    co_await settle();
    full.close();
    empty.close();
    co_await settle();
    CHECK(sent == "#");
    CHECK(got == "$$");
    CHECK(full.try_recv() == "a");
}

OURO_TEST("a cancelled sender has sent nothing, a cancelled receiver has taken nothing") {
    strings line(1);
    std::string sent;
    std::string got;
    auto receiver = spawn(receive, std::ref(line), std::ref(got));
    co_await settle();
    receiver.cancel();
    co_await line.send("a");
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    sender.cancel();
    auto a = co_await line.recv();
    CHECK(*a == "a");
    co_await settle();
    CHECK(sent == "-");
    CHECK(got == "-");
    CHECK(line.empty());
}

OURO_TEST("a value handed over before the cancellation is delivered") {
    strings line(1);
    std::string got;
    auto receiver = spawn(receive, std::ref(line), std::ref(got));
    co_await settle();
    co_await line.send("a");
    receiver.cancel();
    co_await settle();
    CHECK(got == "a");

    co_await line.send("b");
    std::string sent;
    auto sender = spawn(send, std::ref(line), std::ref(sent), "c");
    co_await settle();
    CHECK(line.try_recv() == "b");
    sender.cancel();  // too late: c is in the channel
    co_await settle();
    CHECK(sent == "s");
    CHECK(line.try_recv() == "c");
}

OURO_TEST("a chain that was asked to stop is refused where it could go on") {
    strings line(2);
    std::string sent;
    std::string got;
    co_await line.send("a");
    auto sender = spawn(send, std::ref(line), std::ref(sent), "b");
    auto receiver = spawn(receive, std::ref(line), std::ref(got));
    sender.cancel();
    receiver.cancel();
    co_await settle();
    CHECK(sent == "-");
    CHECK(got == "-");
    CHECK(line.size() == 1);
}

OURO_TEST("a send that timed out has not moved its value") {
    strings line(1);
    co_await line.send("a");
    std::string job = "job";
    const auto late =
        co_await as_result(timeout(std::chrono::seconds(1), line.send(std::move(job))));
    CHECK(late.error() == errc::timed_out);
    CHECK(job == "job");
}

OURO_TEST("a permit keeps a slot for a value to come") {
    strings line(2);
    auto permit = co_await line.reserve();
    CHECK(permit);
    co_await line.send("a");
    CHECK(line.size() == 1);
    CHECK(line.try_send("b").error() == errc::overloaded);
    CHECK_FALSE(line.try_reserve());
    permit.send("p");
    CHECK_FALSE(permit);
    CHECK(line.size() == 2);
    CHECK(line.try_recv() == "a");
    CHECK(line.try_recv() == "p");
}

OURO_TEST("a permit that dies unused gives its slot to the next sender") {
    strings line(1);
    std::string sent;
    auto permit = line.try_reserve();
    CHECK(permit);
    auto sender = spawn(send, std::ref(line), std::ref(sent), "a");
    co_await settle();
    CHECK(sent.empty());
    permit = strings::permit();
    CHECK(line.size() == 1);
    co_await settle();
    CHECK(sent == "s");
    CHECK(line.try_recv() == "a");
}

task<> reserve_and_send(strings& to, std::string& said, std::string value) {
    auto permit = co_await as_result(to.reserve());
    if (!permit) {
        said += permit.error() == errc::closed ? '#' : '-';
        co_return;
    }
    said += 'p';
    permit->send(std::move(value));
}

OURO_TEST("reserving waits its turn among the senders, and is cancelled and closed like them") {
    strings line(1);
    std::string said;
    co_await line.send("0");
    auto a = spawn(reserve_and_send, std::ref(line), std::ref(said), "1");
    co_await settle();
    CHECK(waits_for(a) == "channel reserve");
    auto b = spawn(send, std::ref(line), std::ref(said), "2");
    co_await settle();
    CHECK(line.try_recv() == "0");
    CHECK(line.empty());  // the slot is a's
    co_await settle();
    CHECK(said == "p");
    CHECK(line.try_recv() == "1");
    co_await settle();
    CHECK(said == "ps");

    auto cancelled = spawn(reserve_and_send, std::ref(line), std::ref(said), "x");
    co_await settle();
    cancelled.cancel();
    co_await settle();
    auto closed = spawn(reserve_and_send, std::ref(line), std::ref(said), "x");
    co_await settle();
    line.close();
    co_await settle();
    CHECK(said == "ps-#");
    const auto late = co_await as_result(line.reserve());
    CHECK(late.error() == errc::closed);
    CHECK_FALSE(line.try_reserve());
}

OURO_TEST("a permit granted before the cancellation is a permit") {
    strings line(1);
    std::string said;
    co_await line.send("0");
    auto a = spawn(reserve_and_send, std::ref(line), std::ref(said), "1");
    co_await settle();
    CHECK(line.try_recv() == "0");
    a.cancel();
    co_await settle();
    CHECK(said == "p");
    CHECK(line.try_recv() == "1");
}

OURO_TEST("a permit sends also after close, and the end comes after it") {
    strings line(2);
    auto used = co_await line.reserve();
    auto unused = co_await line.reserve();
    std::string one;
    std::string two;
    auto a = spawn(receive, std::ref(line), std::ref(one));
    co_await settle();
    auto b = spawn(receive, std::ref(line), std::ref(two));
    co_await settle();
    line.close();
    co_await settle();
    CHECK((one.empty() && two.empty()));  // something may still come
    used.send("last");
    co_await settle();
    CHECK(one == "last");
    CHECK(two.empty());
    unused = strings::permit();
    co_await settle();
    CHECK(two == "$");
}

OURO_TEST("without capacity a sender meets its receiver") {
    strings line(0);
    std::string sent;
    CHECK(line.try_send("x").error() == errc::overloaded);
    CHECK_FALSE(line.try_recv());
    auto a = spawn(send, std::ref(line), std::ref(sent), "a");
    co_await settle();
    auto b = spawn(send, std::ref(line), std::ref(sent), "b");
    co_await settle();
    CHECK(sent.empty());
    auto got = co_await line.recv();
    CHECK(*got == "a");
    co_await settle();
    CHECK(sent == "s");
    CHECK(line.try_recv() == "b");

    std::string received;
    auto c = spawn(receive, std::ref(line), std::ref(received));
    co_await settle();
    CHECK(line.try_send("c"));
    co_await settle();
    CHECK(received == "c");

    auto last = spawn(receive, std::ref(line), std::ref(received));
    auto refused = spawn(send, std::ref(line), std::ref(sent), "d");
    last.cancel();
    co_await settle();
    line.close();
    co_await settle();
    CHECK(received == "c-");
    CHECK(sent == "ss#");
}

OURO_TEST("what nobody took is destroyed with the channel, and values may be move-only") {
    auto counted = std::make_shared<int>(0);
    {
        channel<std::shared_ptr<int>> shared(4);
        co_await shared.send(counted);
        co_await shared.send(counted);
        CHECK(counted.use_count() == 3);
    }
    CHECK(counted.use_count() == 1);
    channel<std::unique_ptr<int>> unique(1);
    co_await unique.send(std::make_unique<int>(7));
    auto got = co_await unique.recv();
    CHECK(**got == 7);
}

task<> produce(channel<int>& to, int& produced, const bool& stop) {
    while (!stop && produced < 100'000) {
        co_await to.send(int(produced));
        ++produced;
    }
    to.close();
}

task<> consume(channel<int>& from, int& sum) {
    int expected = 0;
    while (auto value = co_await from.recv()) {
        if (*value != expected++) sum = -1'000'000'000;
        sum += 1;
    }
}

OURO_TEST("a producer and a consumer do not keep the others from running") {
    for (std::size_t capacity : {0, 1, 2, 1000}) {
        channel<int> numbers(capacity);
        bool stop = false;
        int produced = 0;
        int consumed = 0;
        auto consumer = spawn(consume, std::ref(numbers), std::ref(consumed));
        auto producer = spawn(produce, std::ref(numbers), std::ref(produced), std::cref(stop));
        while (produced == 0) co_await yield();
        stop = true;
        co_await producer;
        co_await consumer;
        CHECK(produced < 100'000);
        CHECK(consumed == produced);
    }
}

OURO_TEST("several producers and consumers pass on every value once") {
    channel<int> numbers(3);
    int sum = 0;
    co_await with_scope([&](scope& consumers) -> task<> {
        auto add = [](channel<int>& from, int& sum) -> task<> {
            while (auto value = co_await from.recv()) {
                sum += *value;
                if (*value % 3 == 0) co_await yield();
            }
        };
        for (int i = 0; i < 3; ++i) consumers.spawn(add, numbers, sum);
        co_await with_scope([&](scope& producers) -> task<> {
            auto count = [](channel<int>& to, int from) -> task<> {
                for (int value = from; value < 100; value += 4) {
                    co_await to.send(int(value));
                    if (value % 5 == 0) co_await yield();
                }
            };
            for (int i = 0; i < 4; ++i) producers.spawn(count, numbers, int(i));
            co_await yield();
        });
        numbers.close();
    });
    CHECK(sum == 4950);
}

// Counts what is sent and what is received; whatever is cancelled, the channel has the difference.
template <std::size_t Capacity, bool Reserving>
task<> pass_on() {
    channel<int> numbers(Capacity);
    int sent = 0;
    int received = 0;
    auto producer = [](channel<int>& to, int& sent) -> task<> {
        for (int i = 0; i < 3; ++i) {
            if constexpr (Reserving) {
                auto permit = co_await to.reserve();
                co_await yield();
                permit.send(1);
            } else {
                co_await to.send(1);
            }
            ++sent;
        }
    };
    auto consumer = [](channel<int>& from, int& received) -> task<> {
        while (auto value = co_await from.recv()) received += *value;
    };
    const auto ended = co_await as_result(with_scope([&](scope& consumers) -> task<> {
        consumers.spawn(consumer, numbers, received);
        consumers.spawn(consumer, numbers, received);
        co_await with_scope([&](scope& producers) -> task<> {
            producers.spawn(producer, numbers, sent);
            producers.spawn(producer, numbers, sent);
            co_await yield();
        });
        numbers.close();
    }));
    CHECK(sent == received + static_cast<int>(numbers.size()));
    ended.value();
    CHECK(received == 6);
}

TEST_CASE("cancelled anywhere, no value is lost or doubled") {
    for (const auto scenario : {&pass_on<0, false>, &pass_on<1, false>, &pass_on<8, false>,
                                &pass_on<1, true>, &pass_on<2, true>}) {
        const sweep_report report = cancel_everywhere(scenario);
        CHECK_MESSAGE(report.clean(), report.complaints);
        CHECK(report.points > 5);
    }
}

OURO_TEST("destroying a channel is the end for who waits") {
    auto empty = std::make_unique<channel<int>>(1);
    auto full = std::make_unique<channel<int>>(1);
    full->try_send(1).value();
    auto take = [](channel<int>& from) -> task<bool> {
        const auto got = co_await from.recv();
        co_return got.has_value();
    };
    auto give = [](channel<int>& to) -> task<> { co_await to.send(2); };
    auto reserve = [](channel<int>& of) -> task<> { static_cast<void>(co_await of.reserve()); };
    auto taker = spawn(take, std::ref(*empty));
    auto giver = spawn(give, std::ref(*full));
    auto reserver = spawn(reserve, std::ref(*full));
    co_await settle();
    empty.reset();
    full.reset();
    CHECK_FALSE(co_await taker);
    const auto given = co_await as_result(giver);
    CHECK(given.error() == errc::closed);
    const auto reserved = co_await as_result(reserver);
    CHECK(reserved.error() == errc::closed);
}

}  // namespace
