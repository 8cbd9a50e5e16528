#include <ouro/net/format.hpp>

#include <ouro/runtime/testing/doctest.hpp>

using namespace ouro;
using net::endpoint;

TEST_CASE("an endpoint is printed as it is written") {
    CHECK(fmt::format("{}", endpoint("127.0.0.1", 80)) == "127.0.0.1:80");
    CHECK(fmt::format("{}", endpoint("::1", 80)) == "[::1]:80");
    CHECK(fmt::format("{}", endpoint("unix:/run/x")) == "unix:/run/x");
    CHECK(fmt::format("{:_>14}", endpoint("127.0.0.1", 80)) == "__127.0.0.1:80");
}

TEST_CASE("how far a request has come is printed as words") {
    CHECK(fmt::format("{}", net::fate::unanswered) == "sent and unanswered");
    CHECK(fmt::format("{:.>10}", net::fate::unsent) == "..not sent");
}
