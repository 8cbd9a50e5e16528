#include <ouro/kv/memcached/server.hpp>

#include <ouro/kv/memcached/error.hpp>

#include <doctest/doctest.h>

#include <ostream>

namespace ouro::memcached {
namespace {

std::string read(std::string_view text) { return to_string(parse_address(text)); }

std::string refusal(std::string_view text) {
    try {
        return "read as " + read(text);
    } catch (const error& failure) {
        CHECK(failure.code() == ouro::errc::bad_address);
        return failure.words();
    }
}

TEST_CASE("names, addresses, ports and sockets") {
    CHECK(read("localhost") == "localhost:11211");
    CHECK(read("10.0.0.7:11300") == "10.0.0.7:11300");
    CHECK(read("[::1]:11300") == "[::1]:11300");
    CHECK(read("[2001:db8::7]") == "[2001:db8::7]:11211");
    CHECK(read("2001:db8::7") == "[2001:db8::7]:11211");
    CHECK(read("unix:/run/memcached.sock") == "unix:/run/memcached.sock");
    CHECK(read("unix:@name") == "unix:@name");
    CHECK(parse_address("[::1]:7").host == "::1");
    CHECK(parse_address("unix:/a").port == 0);
}

TEST_CASE("what is no server is quoted with what is wrong") {
    CHECK(refusal("") == "\"\" names no host");
    CHECK(refusal(":11211") == "\":11211\" names no host");
    CHECK(refusal("host:") == "\"host:\" has no port of 1 to 65535");
    CHECK(refusal("host:0") == "\"host:0\" has no port of 1 to 65535");
    CHECK(refusal("host:65536") == "\"host:65536\" has no port of 1 to 65535");
    CHECK(refusal("host:11x") == "\"host:11x\" has no port of 1 to 65535");
    CHECK(refusal("[::1") == "\"[::1\" has no closing bracket");
    CHECK(refusal("[::1]x") == "\"[::1]x\" has something behind its bracket");
    CHECK(refusal("[::1]:") == "\"[::1]:\" has no port of 1 to 65535");
    CHECK(refusal("unix:") == "\"unix:\" names no socket");
    for (const char* bad : {"memcached://host", "user@host", "a b", "host\r\n", "/run/socket"})
        CHECK(refusal(bad).find("is no server") != std::string::npos);
}

}  // namespace
}  // namespace ouro::memcached
