#include <ouro/runtime/histogram.hpp>

#include <doctest/doctest.h>

#include <cstdint>

using ouro::histogram;

TEST_CASE("an empty histogram answers zero") {
    const histogram empty;
    CHECK(empty.count() == 0);
    CHECK(empty.percentile(50) == 0);
    CHECK(empty.min() == 0);
    CHECK(empty.mean() == 0);
}

TEST_CASE("small values are exact") {
    histogram values;
    for (std::uint64_t i = 0; i < 64; ++i) values.record(i);
    CHECK(values.percentile(50) == 31);
    CHECK(values.percentile(100) == 63);
    CHECK(values.percentile(0) == 0);
}

TEST_CASE("a reported value is never below the true one and at most 3.2 % above") {
    for (int bit = 0; bit < 64; ++bit) {
        for (std::int64_t offset : {-1, 0, 1, 12345}) {
            const std::uint64_t value =
                (std::uint64_t{1} << bit) + static_cast<std::uint64_t>(offset);
            histogram one;
            one.record(value);
            one.record(UINT64_MAX);  // so that the maximum does not hide the bucket's width
            const std::uint64_t got = one.percentile(50);
            CHECK(got >= value);
            CHECK(static_cast<double>(got - value) <= 0.032 * static_cast<double>(value));
        }
    }
}

TEST_CASE("percentiles of a uniform distribution come out in order") {
    histogram values;
    for (std::uint64_t i = 1; i <= 100'000; ++i) values.record(i);
    CHECK(values.percentile(50) == doctest::Approx(50'000).epsilon(0.035));
    CHECK(values.percentile(99) == doctest::Approx(99'000).epsilon(0.035));
    CHECK(values.percentile(100) == 100'000);
    CHECK(values.mean() == doctest::Approx(50'000.5));
    CHECK(values.min() == 1);
    CHECK(values.count_between(1, 64) == 63);
    CHECK(values.count_between(0, UINT64_MAX) == 100'000);
    CHECK(values.count_between(5, 5) == 0);
}

TEST_CASE("merging is the same as recording everything in one") {
    histogram a, b, all;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        (i % 3 ? a : b).record(i * i);
        all.record(i * i);
    }
    a.merge(b);
    CHECK(a.count() == all.count());
    CHECK(a.max() == all.max());
    for (double p : {1.0, 25.0, 50.0, 90.0, 99.9}) CHECK(a.percentile(p) == all.percentile(p));
    a.clear();
    CHECK(a.count() == 0);
}
