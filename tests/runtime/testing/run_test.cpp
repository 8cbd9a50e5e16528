#include <ouro/runtime/testing/run.hpp>

#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <set>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<std::string> answer() {
    co_await sleep_for(1h);
    co_return "forty-two";
}

task<> fail() {
    co_await yield();
    throw std::runtime_error("no");
}

struct never final : leaf {
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return wait(by.promise());
    }
    void await_resume() const { throw_error(errc::cancelled); }
    void describe(leaf_description& into) const override { into.text("never"); }

private:
    void cancel(cancel_reason) noexcept override { resume(); }
};

task<> deadlock() {
    never wakes;
    co_await wakes;
}

TEST_CASE("run_simulated returns what the task returns and throws what it throws") {
    CHECK(run_simulated(answer()) == "forty-two");
    CHECK_THROWS_WITH(run_simulated(fail()), "no");
}

TEST_CASE("run_simulated throws errc::deadlock instead of hanging") {
    try {
        run_simulated(deadlock());
        FAIL("it returned");
    } catch (const std::system_error& error) {
        CHECK(error.code() == errc::deadlock);
    }
}

task<> append(std::string& order, char what) {
    co_await settle();
    co_await sleep_for(1ms);
    order += what;
}

task<std::string> ten_at_once() {
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (char what = '0'; what <= '9'; ++what) tasks.spawn(append, order, char(what));
        co_return;
    });
    co_return order;
}

TEST_CASE("the same seed tells the same story") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::uint64_t first = 0;
        std::uint64_t second = 0;
        const std::string order =
            run_simulated(ten_at_once(), {.seed = seed, .trace_hash = &first});
        CHECK(run_simulated(ten_at_once(), {.seed = seed, .trace_hash = &second}) == order);
        CHECK(first == second);
    }
}

TEST_CASE("different seeds tell different stories") {
    std::set<std::string> orders;
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::uint64_t hash = 0;
        orders.insert(run_simulated(ten_at_once(), {.seed = seed, .trace_hash = &hash}));
        hashes.insert(hash);
    }
    CHECK(orders.size() > 15);
    CHECK(hashes.size() == 20);
}

task<std::uint64_t> seed_of_the_world() { co_return sim::world::current().seed(); }

TEST_CASE("the options choose the seed") {
    CHECK(run_simulated(seed_of_the_world(), {.seed = 123}) == 123);
    CHECK(run_simulated(seed_of_the_world()) == 1);
}

TEST_CASE("outside of a simulation there is no world") {
    CHECK(sim::world::current_or_null() == nullptr);
}

}  // namespace
