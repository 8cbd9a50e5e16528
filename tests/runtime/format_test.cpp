#include <ouro/runtime/format.hpp>

#include <ouro/runtime/testing/doctest.hpp>

using namespace ouro;
using namespace std::chrono_literals;

TEST_CASE("errors, reasons and levels are printed as words") {
    CHECK(fmt::format("{}", errc::timed_out) == make_error_code(errc::timed_out).message());
    CHECK(fmt::format("{}", cancel_reason::sibling) == "sibling");
    CHECK(fmt::format("{}", log_level::warning) == "warning");
    const auto refused = std::make_error_code(std::errc::connection_refused);
    CHECK(fmt::format("{}", in_words(refused)) == "Connection refused");
    CHECK(fmt::format("{}", in_words(errc::closed)) == make_error_code(errc::closed).message());
}

TEST_CASE("lengths of time are printed for people") {
    CHECK(fmt::format("after {}", in_words(250ms)) == "after 250 ms");
    CHECK(fmt::format("{}", in_words(90min)) == "1.5 h");
    CHECK(fmt::format("{}", in_words(duration::max())) == "for ever");
}

OURO_TEST("points in time are printed as seen from now") {
    CHECK(fmt::format("{}", clock::now() + 3s) == "in 3 s");
    CHECK(fmt::format("{}", clock::now() - 20ms) == "20 ms ago");
    CHECK(fmt::format("{}", clock::now()) == "now");
    CHECK(fmt::format("{}", time_point::max()) == "never");
    CHECK(fmt::format("{:>8}", clock::now() + 3s) == "  in 3 s");
    co_return;
}

TEST_CASE("width, fill, alignment and precision are those of a string") {
    CHECK(fmt::format("{:*>9}", cancel_reason::user) == "*****user");
    CHECK(fmt::format("{:*<9}", in_words(3s)) == "3 s******");
    CHECK(fmt::format("{:^9}", log_level::info) == "  info   ");
    CHECK(fmt::format("{:.4}", log_level::warning) == "warn");
}
