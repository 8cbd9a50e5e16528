#include <ouro/kv/memcached/expiry.hpp>

#include <doctest/doctest.h>

#include <ostream>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;
using wall = std::chrono::system_clock;

const wall::time_point now{std::chrono::seconds(1'700'000'000)};
constexpr std::int64_t month = 60 * 60 * 24 * 30;

std::int32_t wire(expiry when) { return when.on_wire(now); }

TEST_CASE("never is zero, and so is a length of zero") {
    CHECK(wire({}) == 0);
    CHECK(expiry().never());
    CHECK(wire(0s) == 0);
    CHECK(expiry(0ms).never());
    CHECK_FALSE(expiry(1s).never());
}

TEST_CASE("lengths are whole seconds, rounded up") {
    CHECK(wire(1s) == 1);
    CHECK(wire(1ms) == 1);
    CHECK(wire(1001ms) == 2);
    CHECK(wire(5min) == 300);
    CHECK(wire(1h) == 3600);
}

TEST_CASE("thirty days are a length, and one second more is a date") {
    CHECK(wire(std::chrono::seconds(month)) == month);
    CHECK(wire(std::chrono::seconds(month + 1)) == 1'700'000'000 + month + 1);
}

TEST_CASE("what is negative has expired") {
    CHECK(wire(-1s) == -1);
    CHECK(wire(-1h) == -1);
    CHECK(wire(std::chrono::seconds::min()) == -1);
}

TEST_CASE("dates are Unix time; those a server would take for a length have expired") {
    CHECK(wire(expiry::at(now)) == 1'700'000'000);
    CHECK(wire(expiry::at(now + 500ms)) == 1'700'000'001);
    CHECK(wire(expiry::at(wall::time_point{})) == -1);
    CHECK_FALSE(expiry::at(wall::time_point{}).never());
    CHECK(wire(expiry::at(wall::time_point{std::chrono::seconds(month)})) == -1);
    CHECK(wire(expiry::at(wall::time_point{std::chrono::seconds(month + 1)})) == month + 1);
}

TEST_CASE("nothing is kept beyond what the server's number can say") {
    constexpr std::int32_t last = 2'147'483'647;
    CHECK(wire(std::chrono::seconds(last - 1'700'000'000)) == last);
    CHECK(wire(std::chrono::seconds(last - 1'700'000'000 + 1)) == last);
    CHECK(wire(std::chrono::seconds::max()) == last);
    CHECK(wire(expiry::at(wall::time_point{std::chrono::seconds(last)} + 1h)) == last);
}

}  // namespace
}  // namespace ouro::memcached
