#include <ouro/runtime/result.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

using namespace ouro;

namespace {

result<int> half(int of) {
    if (of % 2 != 0) return errc::limit_exceeded;
    return of / 2;
}

struct no_default {
    explicit no_default(int n) : number(n) {}
    int number;
};

/// Counts how many of its kind live.
struct counted {
    explicit counted(int& alive) : alive_(&alive) { ++alive; }
    counted(const counted& other) : alive_(other.alive_) { ++*alive_; }
    ~counted() { --*alive_; }
    int* alive_;
};

std::error_code thrown_by(auto&& act) {
    try {
        act();
    } catch (const std::system_error& error) {
        return error.code();
    }
    return {};
}

}  // namespace

TEST_CASE("a result holds a value or the reason why there is none") {
    const auto good = half(6);
    CHECK(good.has_value());
    CHECK(good);
    CHECK(*good == 3);
    CHECK(good.value() == 3);
    CHECK(good.error() == std::error_code());
    const auto bad = half(5);
    CHECK_FALSE(bad.has_value());
    CHECK_FALSE(bad);
    CHECK(bad.error() == errc::limit_exceeded);
    CHECK(thrown_by([&] { static_cast<void>(bad.value()); }) == errc::limit_exceeded);
    CHECK(good.value_or(9) == 3);
    CHECK(bad.value_or(9) == 9);
    CHECK(half(5).value_or(9) == 9);
}

TEST_CASE("a result can be made of the system's errors") {
    const result<int> got = std::make_error_code(std::errc::connection_reset);
    CHECK(got.error() == std::errc::connection_reset);
}

TEST_CASE("a result holds what cannot be copied or made from nothing") {
    result<std::unique_ptr<int>> box = std::make_unique<int>(4);
    CHECK(**box == 4);
    std::unique_ptr<int> taken = *std::move(box);
    CHECK(*taken == 4);
    result<std::unique_ptr<int>> other = std::move(taken);
    taken = std::move(other).value();
    CHECK(*taken == 4);
    const result<no_default> made = no_default(8);
    CHECK(made->number == 8);
    const result<no_default> none = errc::closed;
    CHECK(none.error() == errc::closed);
}

TEST_CASE("what cannot be copied says so") {
    static_assert(!std::is_copy_constructible_v<result<std::unique_ptr<int>>>);
    static_assert(std::is_nothrow_move_constructible_v<result<std::unique_ptr<int>>>);
    static_assert(std::is_copy_constructible_v<result<std::string>>);
    static_assert(std::is_copy_assignable_v<result<std::string>>);
    std::vector<result<std::unique_ptr<int>>> many;
    for (int i = 0; i < 20; ++i) many.emplace_back(std::make_unique<int>(i));
    CHECK(**many[19] == 19);
}

TEST_CASE("copying, moving and assigning keep exactly one value alive each") {
    int alive = 0;
    {
        result<counted> a = counted(alive);
        CHECK(alive == 1);
        result<counted> b = a;
        CHECK(alive == 2);
        result<counted> none = errc::closed;
        b = none;
        CHECK(alive == 1);
        CHECK(b.error() == errc::closed);
        b = a;
        CHECK(alive == 2);
        b = std::move(a);
        CHECK(alive == 2);  // what was moved from still is a value
        auto& same = b;
        b = same;
        CHECK(b);
        none = std::move(b);
        CHECK(none);
    }
    CHECK(alive == 0);
}

TEST_CASE("a result of a reference refers") {
    int number = 1;
    const result<int&> there = number;
    CHECK(there);
    *there = 2;
    CHECK(number == 2);
    CHECK(&there.value() == &number);
    const result<int&> gone = errc::closed;
    CHECK_FALSE(gone);
    CHECK(gone.error() == errc::closed);
    CHECK(thrown_by([&] { static_cast<void>(gone.value()); }) == errc::closed);
}

TEST_CASE("a result without a value is success or the error") {
    const result<void> good;
    CHECK(good);
    good.value();
    const result<void> fine = std::error_code();
    CHECK(fine.has_value());
    const result<void> bad = errc::timed_out;
    CHECK_FALSE(bad);
    CHECK(bad.error() == std::errc::timed_out);
    CHECK(thrown_by([&] { bad.value(); }) == errc::timed_out);
}

TEST_CASE("asking the wrong side asserts") {
    CHECK(asserts("ok_", [] { static_cast<void>(*half(5)); }));
    CHECK(asserts("error", [] { static_cast<void>(result<int>(std::error_code())); }));
    CHECK(asserts("value_ != nullptr", [] {
        const result<int&> gone = errc::closed;
        static_cast<void>(*gone);
    }));
}

TEST_CASE("a failure without an exception has the words of its code, and one with, those of it") {
    const result<int> plain = errc::closed;
    CHECK(plain.error_text() == "closed by the other side");
    CHECK_THROWS_WITH(plain.value(), "closed by the other side");
    const result<int> good = 3;
    CHECK(good.error_text().empty());
    CHECK_FALSE(good.why());

    const auto thrown = std::make_exception_ptr(std::system_error(errc::closed, "no more tea"));
    const result<int> worded = failure_cause(errc::closed, thrown);
    CHECK(worded.error() == errc::closed);
    CHECK(worded.error_text() == "no more tea: closed by the other side");
    CHECK_THROWS_WITH(worded.value(), "no more tea: closed by the other side");

    result<void> copied = worded.why();
    CHECK(copied.error_text() == worded.error_text());
    const result<void> moved = std::move(copied);
    CHECK_THROWS_WITH(moved.value(), "no more tea: closed by the other side");
    int there = 0;
    result<int&> reference = worded.why();
    CHECK(reference.error_text() == worded.error_text());
    reference = there;
    CHECK(reference.error_text().empty());
}
