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
    for (const char* bad : {"a b", "host\r\n", "/run/socket"})
        CHECK(refusal(bad).find("is no server") != std::string::npos);
}

TEST_CASE("what may hold a password is not quoted") {
    for (const char* bad : {"user:secret@host", "memcached://secret", "secret@", "@secret",
                            "memcached://user:secret@host:11211/"}) {
        const std::string words = refusal(bad);
        CHECK(words.find("no scheme and no '@'") != std::string::npos);
        CHECK(words.find("secret") == std::string::npos);
    }
    for (const char* list :
         {"10.0.0.1, user:secret@host", "user:sec,ret@host", "a:sec, b:r, c@d"}) {
        std::string words;
        try {
            parse_servers(list);
        } catch (const error& failure) {
            words = failure.what();
        }
        CHECK(words.find("no scheme and no '@'") != std::string::npos);
        CHECK(words.find("sec") == std::string::npos);
    }
    CHECK(parse_servers("10.0.0.1 , unix:@name,c:7").size() == 3);
    CHECK(parse_servers("10.0.0.1 , unix:@name,c:7")[1].at == "unix:@name");
}

}  // namespace
}  // namespace ouro::memcached
