#include <ouro/runtime/check.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;

namespace {

template <int A, int B>
constexpr int sum = A + B;

}  // namespace

TEST_CASE("an assertion that holds evaluates its expression once") {
    int count = 0;
    OURO_ASSERT(++count == 1);
    CHECK(count == 1);
}

TEST_CASE("an expression may contain commas and an explanation") {
    OURO_ASSERT(sum<1, 2> == 3);
    OURO_ASSERT(sum<1, 2> == 3 && "one and two are three");
    CHECK(true);
}

TEST_CASE("a failed assertion prints expression, file and line, and aborts") {
    const int line = __LINE__ + 1;
    const auto wrong = [] { OURO_ASSERT(sum<1, 2> == 4 && "arithmetic"); };
    const ending how = in_child([&] {
        wrong();
        return 0;
    });
    CHECK(how.signal == SIGABRT);
    const std::string place = "check_test.cpp:" + std::to_string(line) + ")\n";
    CHECK(how.said.starts_with("assertion failed: sum<1, 2> == 4 && \"arithmetic\" ("));
    CHECK(how.said.ends_with(place));
}
