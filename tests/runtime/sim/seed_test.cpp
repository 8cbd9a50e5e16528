#include <ouro/runtime/sim/seed.hpp>

#include <doctest/doctest.h>

#include <array>

using namespace ouro;

namespace {

TEST_CASE("a seed draws the same numbers everywhere") {
    sim::dice chance(1);
    CHECK(chance.bits() == 0xb3f2af6d0fc710c5);
    CHECK(chance.bits() == 0x853b559647364cea);
    CHECK(chance.below(1000) == 900);
    CHECK(chance.between(-5, 5) == 5);
}

TEST_CASE("different seeds draw different numbers") {
    for (std::uint64_t seed = 0; seed < 100; ++seed)
        CHECK(sim::dice(seed).bits() != sim::dice(seed + 1).bits());
}

TEST_CASE("what is drawn stays within its bounds and reaches them") {
    sim::dice chance(7);
    std::array<int, 6> drawn{};
    for (int i = 0; i < 6000; ++i) ++drawn[chance.below(6)];
    for (const int count : drawn) {
        CHECK(count > 850);
        CHECK(count < 1150);
    }
    for (int i = 0; i < 100; ++i) {
        const std::int64_t one = chance.between(-1, 1);
        CHECK(-1 <= one);
        CHECK(one <= 1);
    }
    CHECK(chance.below(1) == 0);
    CHECK(chance.between(9, 9) == 9);
}

TEST_CASE("the whole range of 64 bits can be drawn from") {
    sim::dice chance(7);
    bool negative = false;
    bool positive = false;
    for (int i = 0; i < 64; ++i) {
        const std::int64_t one = chance.between(INT64_MIN, INT64_MAX);
        (one < 0 ? negative : positive) = true;
    }
    CHECK(negative);
    CHECK(positive);
}

TEST_CASE("a trace hashes values and their order") {
    sim::trace one;
    sim::trace two;
    one.add(1);
    one.add(2);
    two.add(2);
    two.add(1);
    CHECK(one.hash() != two.hash());
    CHECK(one.size() == 2);

    sim::trace same;
    same.add(1);
    same.add(2);
    CHECK(same.hash() == one.hash());
    same.add(0);
    CHECK(same.hash() != one.hash());
}

}  // namespace
