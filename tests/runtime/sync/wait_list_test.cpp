#include <ouro/runtime/sync/wait_list.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

// The smallest primitive there can be: numbers are drawn one by one, when there are any.
class numbers {
public:
    class draw_op;

    draw_op draw() noexcept;

    void add(int count) noexcept {
        left_ += count;
        for (; left_ > 0 && !waiters_.empty(); --left_) waiters_.wake_one();
    }
    void refuse_all() noexcept { waiters_.wake_all(errc::closed); }

    std::size_t waiting() const noexcept { return waiters_.size(); }
    int left() const noexcept { return left_; }
    int gone() const noexcept { return gone_; }

private:
    int left_ = 0;
    int gone_ = 0;  // cancelled ones
    wait_list waiters_;
};

class numbers::draw_op final : public sync_op<draw_op, int> {
public:
    explicit draw_op(numbers& of) noexcept : sync_op("numbers"), of_(of) {}

private:
    friend sync_op;

    bool attempt() noexcept {
        if (of_.left_ == 0) return false;
        if (of_.left_ > 0)
            --of_.left_;
        else
            fail(errc::overloaded);
        return true;
    }
    wait_list& queue() noexcept { return of_.waiters_; }
    int value() noexcept { return 7; }
    void left() noexcept override { ++of_.gone_; }

    numbers& of_;
};

numbers::draw_op numbers::draw() noexcept { return draw_op(*this); }

task<> draw_and_note(numbers& from, std::string& said, char name) {
    const auto drawn = co_await as_result(from.draw());
    if (drawn)
        said += name;
    else
        said += drawn.error() == errc::closed ? '#' : '-';
}

OURO_TEST("who waits is woken in the order of arrival") {
    numbers some;
    std::string said;
    for (char name : {'a', 'b', 'c'}) {
        spawn(draw_and_note, std::ref(some), std::ref(said), char(name)).detach();
        co_await settle();
    }
    CHECK(some.waiting() == 3);
    some.add(1);
    CHECK(some.waiting() == 2);
    co_await settle();
    CHECK(said == "a");
    some.add(1);
    co_await settle();
    CHECK(said == "ab");
    some.refuse_all();
    co_await settle();
    CHECK(said == "ab#");
}

OURO_TEST("an operation may fail at once") {
    numbers some;
    some.add(-1);
    const auto refused = co_await as_result(some.draw());
    CHECK(refused.error() == errc::overloaded);
    bool thrown = false;
    try {
        co_await some.draw();
    } catch (const std::system_error& error) {
        thrown = error.code() == errc::overloaded;
    }
    CHECK(thrown);
}

OURO_TEST("from the middle of the list, too, one leaves when cancelled") {
    numbers some;
    std::string said;
    auto a = spawn(draw_and_note, std::ref(some), std::ref(said), 'a');
    co_await settle();
    auto b = spawn(draw_and_note, std::ref(some), std::ref(said), 'b');
    co_await settle();
    auto c = spawn(draw_and_note, std::ref(some), std::ref(said), 'c');
    co_await settle();
    b.cancel();
    b.cancel();
    CHECK(some.gone() == 1);
    CHECK(some.waiting() == 2);
    co_await settle();
    CHECK(said == "-");
    some.add(2);
    c.cancel();  // woken already
    CHECK(some.gone() == 1);
    co_await settle();
    CHECK((said == "-ac" || said == "-ca"));
}

OURO_TEST("what is refused is neither attempted nor in a list") {
    numbers some;
    some.add(1);
    std::string said;
    auto a = spawn(draw_and_note, std::ref(some), std::ref(said), 'a');
    a.cancel();
    co_await settle();
    CHECK(said == "-");
    CHECK(some.left() == 1);
    CHECK(some.gone() == 0);
}

OURO_TEST("with the budget used up, the answer comes after everything that is ready") {
    numbers some;
    some.add(1'000'000);
    bool other_ran = false;
    auto other = spawn(
        [](bool& ran) -> task<> {
            ran = true;
            co_return;
        },
        std::ref(other_ran));
    int drawn = 0;
    for (; !other_ran && drawn < 1'000'000; ++drawn) {
        const int number = co_await some.draw();
        CHECK(number == 7);
    }
    CHECK(drawn < 1'000'000);
    CHECK(some.left() == 1'000'000 - drawn);
}

OURO_TEST("an answer that has to wait for its turn is kept through a cancellation") {
    numbers some;
    some.add(1'000'000);
    int drawn = 0;
    auto eager = spawn(
        [](numbers& some, int& drawn) -> task<> {
            for (;;) {
                co_await some.draw();
                ++drawn;
            }
        },
        std::ref(some), std::ref(drawn));
    while (drawn == 0) co_await yield();
    eager.cancel();  // it is ready, with a number in its hands
    co_await settle();
    CHECK(eager.failed());
    CHECK(some.left() == 1'000'000 - drawn);
}

OURO_TEST("inside a timeout and a shield it is the inner chain that counts") {
    numbers some;
    const auto late = co_await as_result(timeout(1s, some.draw()));
    CHECK(late.error() == errc::timed_out);
    CHECK(some.gone() == 1);
    some.add(1);
    const int number = co_await timeout(1s, some.draw());
    CHECK(number == 7);

    std::string said;
    auto shielded = spawn(
        [](numbers& some, std::string& said) -> task<> {
            co_await shield(some.draw());
            said += 's';
            const auto refused = co_await as_result(some.draw());
            said += refused ? '?' : '-';
        },
        std::ref(some), std::ref(said));
    shielded.cancel();
    co_await settle();
    CHECK(some.waiting() == 1);
    some.add(2);
    co_await settle();
    CHECK(said == "s-");
    CHECK(some.left() == 1);
}

task<> wait_and_sleep(numbers& some, std::string& said, std::atomic<bool>& waiting) {
    spawn(draw_and_note, std::ref(some), std::ref(said), 'a').detach();
    while (some.waiting() == 0) co_await yield();
    waiting = true;
    co_await sleep_for(1h);  // the other worker ends this program
}

task<> add_one(numbers& some) {
    some.add(1);
    co_return;
}

TEST_CASE("using a primitive from two workers is noticed") {
    const std::string said = dies([] {
        numbers some;
        std::string order;
        std::atomic<bool> waiting = false;
        std::thread other([&] { block_on(wait_and_sleep(some, order, waiting)); });
        while (!waiting) std::this_thread::yield();
        block_on(add_one(some));
    });
    CHECK(says(said, "used on another worker"));
}

}  // namespace
