#include <ouro/runtime/engine/turn_end.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// Collects letters during a turn and hands them over at its end.
class batch final : public flusher {
public:
    void add(char what) {
        pending_ += what;
        executor::current().at_turn_end(*this);
    }
    void flush() noexcept override {
        sent += std::exchange(pending_, {}) + '|';
        if (again > 0) {
            --again;
            executor::current().at_turn_end(*this);
        }
    }

    std::string sent;
    int again = 0;

private:
    std::string pending_;
};

task<> add(batch& to, char what) {
    to.add(what);
    co_return;
}

}  // namespace

OURO_TEST("what all ready tasks of a turn collect is handed over once") {
    batch out;
    for (const char what : {'a', 'b', 'c'}) spawn(add, std::ref(out), what).detach();
    co_await settle();
    CHECK(out.sent == "abc|");
    out.add('d');
    CHECK(out.sent == "abc|");  // not before the end of the turn
    co_await settle();
    CHECK(out.sent == "abc|d|");
}

OURO_TEST("a flusher that schedules itself runs again in the next turn, not in this one") {
    batch out;
    out.again = 2;
    out.add('a');
    const auto turns = executor::current().stats().turns.value();
    while (out.sent.size() < 4) co_await yield();
    CHECK(out.sent == "a|||");
    CHECK(executor::current().stats().turns.value() - turns >= 3);
}

namespace {

/// Wakes a task when it is flushed.
class waker final : public flusher {
public:
    explicit waker(bool& done) noexcept : done_(done) {}
    void flush() noexcept override {
        spawn(
            [](bool& done) -> task<> {
                done = true;
                co_return;
            },
            std::ref(done_))
            .detach();
    }

private:
    bool& done_;
};

}  // namespace

OURO_TEST("a flusher may start tasks, and the loop does not sleep over them") {
    bool done = false;
    waker wake(done);
    executor::current().at_turn_end(wake);
    const auto before = clock::now();
    co_await sleep_for(1h);
    CHECK(done);
    CHECK(clock::now() - before == 1h);
}

OURO_TEST("a flusher that goes away in time does not run") {
    batch kept;
    {
        batch gone;
        gone.add('x');
        kept.add('y');
        gone.unlink();
    }
    co_await settle();
    CHECK(kept.sent == "y|");
}

namespace {

/// Takes another flusher off the list of the same turn.
class remover final : public flusher {
public:
    explicit remover(batch& victim) noexcept : victim_(victim) {}
    void flush() noexcept override { victim_.unlink(); }

private:
    batch& victim_;
};

}  // namespace

OURO_TEST("a flusher may take another one off the list") {
    batch victim;
    batch other;
    remover first(victim);
    executor::current().at_turn_end(first);
    victim.add('x');
    other.add('y');
    co_await settle();
    CHECK(victim.sent.empty());
    CHECK(other.sent == "y|");
}
