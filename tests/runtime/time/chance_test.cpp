#include <ouro/runtime/time/chance.hpp>

#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>

#include <set>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<std::vector<std::uint64_t>> three_draws() {
    chance random;
    co_await yield();
    std::vector<std::uint64_t> drawn;
    for (int i = 0; i < 3; ++i) drawn.push_back(random.bits());
    co_return drawn;
}

TEST_CASE("the same seed draws the same numbers, and another one others") {
    chance a(7), b(7), c(8);
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t drawn = a.bits();
        CHECK(drawn == b.bits());
        CHECK(drawn != c.bits());
    }
}

TEST_CASE("without a seed, two runs of one simulation draw the same numbers") {
    const auto first = run_simulated(three_draws(), {.seed = 3});
    const auto second = run_simulated(three_draws(), {.seed = 3});
    CHECK(first == second);
    CHECK(std::set(first.begin(), first.end()).size() == 3);
}

TEST_CASE("without a seed, two of them on a real clock draw different numbers") {
    // Each seed reads the clock, which goes on within a microsecond.
    std::set<std::uint64_t> drawn;
    for (const auto end = clock::exact_now() + 1ms; clock::exact_now() < end;)
        drawn.insert(chance().bits());
    CHECK(drawn.size() > 10);
}

TEST_CASE("below stays below its bound and reaches every number") {
    chance random(1);
    std::set<std::uint64_t> drawn;
    for (int i = 0; i < 1000; ++i) drawn.insert(random.below(5));
    CHECK(drawn == std::set<std::uint64_t>{0, 1, 2, 3, 4});
    CHECK(random.below(1) == 0);
    CHECK(random.below(0) == 0);
}

TEST_CASE("between includes both ends") {
    chance random(1);
    std::set<duration> drawn;
    for (int i = 0; i < 1000; ++i) drawn.insert(random.between(-1ns, 2ns));
    CHECK(drawn == std::set<duration>{-1ns, 0ns, 1ns, 2ns});
    CHECK(random.between(5ns, 5ns) == 5ns);
    CHECK(random.between(5ns, 4ns) == 5ns);
    for (int i = 0; i < 10; ++i) CHECK(random.between(0ns, duration::max()) >= 0ns);
    (void)random.between(duration::min(), duration::max());
}

}  // namespace
