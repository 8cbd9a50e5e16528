#include <ouro/kv/redis/url.hpp>

#include <ouro/kv/redis/error.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;
using redis::to_string;
using redis::url;

namespace {

/// "user:password@where/database", or "bad".
std::string parts(std::string_view text) {
    const result<url> read = url::parse(text);
    if (!read) {
        CHECK(read.error() == redis::errc::bad_url);
        return "bad";
    }
    return read->user + ":" + read->password + "@" + to_string(read->where) + "/" +
           std::to_string(read->database);
}

TEST_CASE("every part of a URL may be left out") {
    CHECK(parts("redis://") == ":@127.0.0.1:6379/0");
    CHECK(parts("redis:///") == ":@127.0.0.1:6379/0");
    CHECK(parts("redis://db.example") == ":@db.example:6379/0");
    CHECK(parts("redis://:7000") == ":@127.0.0.1:7000/0");
    CHECK(parts("redis://:7000/15") == ":@127.0.0.1:7000/15");
    CHECK(parts("redis:///3") == ":@127.0.0.1:6379/3");
    CHECK(parts("redis://db.example:7000/15") == ":@db.example:7000/15");
    CHECK(parts("redis://:secret@db.example") == ":secret@db.example:6379/0");
    CHECK(parts("redis://alice@db.example") == "alice:@db.example:6379/0");
    CHECK(parts("redis://alice:secret@db.example:7000/15") == "alice:secret@db.example:7000/15");
    CHECK(parts("redis://alice:secret@") == "alice:secret@127.0.0.1:6379/0");
}

TEST_CASE("without a scheme it is host, port and database") {
    CHECK(parts("") == ":@127.0.0.1:6379/0");
    CHECK(parts("localhost") == ":@localhost:6379/0");
    CHECK(parts("localhost:7000") == ":@localhost:7000/0");
    CHECK(parts("10.0.0.1:7000/2") == ":@10.0.0.1:7000/2");
}

TEST_CASE("IPv6 addresses stand in brackets, and are written in them") {
    CHECK(parts("redis://[::1]") == ":@[::1]:6379/0");
    CHECK(parts("redis://[::1]:7000/1") == ":@[::1]:7000/1");
    CHECK(parts("[fe80::1]:7000") == ":@[fe80::1]:7000/0");
    CHECK(url::parse("redis://[::1]")->where.host == "::1");
    for (const std::string wrong : {"redis://::1", "redis://::1:7000", "redis://[::1", "redis://[]",
                                    "redis://[::1]7000", "redis://[::1]:", "redis://[::1 ]"})
        CHECK_MESSAGE(parts(wrong) == "bad", wrong);
}

TEST_CASE("Unix sockets have a path, and may have a database") {
    CHECK(parts("unix:/run/redis.sock") == ":@unix:/run/redis.sock/0");
    CHECK(parts("unix:///run/redis.sock") == ":@unix:/run/redis.sock/0");
    CHECK(parts("unix:///run/redis.sock?db=4") == ":@unix:/run/redis.sock/4");
    CHECK(parts("redis+unix:///run/redis.sock") == ":@unix:/run/redis.sock/0");
    CHECK(parts("redis-socket:///run/redis.sock") == ":@unix:/run/redis.sock/0");
    CHECK(parts("unix://alice:secret@/run/redis.sock?db=4") ==
          "alice:secret@unix:/run/redis.sock/4");
    CHECK(parts("unix:/run/a%20b") == ":@unix:/run/a b/0");
    for (const std::string wrong : {"unix:", "unix://", "unix:/run/r?db=", "unix:/run/r?db=x",
                                    "unix:/run/r?db=-1", "unix:/run/r?database=1", "unix:/run/%00"})
        CHECK_MESSAGE(parts(wrong) == "bad", wrong);
}

TEST_CASE("user and password may hold any byte, in per cent") {
    CHECK(parts("redis://a%40b:c%3Ad%2fe@h") == "a@b:c:d/e@h:6379/0");
    CHECK(parts("redis://:a:b@h") == ":a:b@h:6379/0");
    CHECK(parts("redis://:a@b@h") == ":a@b@h:6379/0");  // the last '@' ends the login
    CHECK(url::parse("redis://:%00%ff@h")->password == std::string("\0\xff", 2));
    for (const std::string wrong :
         {"redis://:%@h", "redis://:%4@h", "redis://:%4g@h", "redis://%zz:a@h"})
        CHECK_MESSAGE(parts(wrong) == "bad", wrong);
}

TEST_CASE("what is no URL of Redis is refused") {
    for (const std::string wrong :
         {"http://localhost:6379",   "REDIS://localhost",      "://localhost",
          "redis://localhost:0",     "redis://localhost:",     "redis://localhost:65536",
          "redis://localhost:-1",    "redis://localhost:+1",   "redis://localhost:6379x",
          "redis://localhost: 6379", "redis://localhost/x",    "redis://localhost/1x",
          "redis://localhost/-1",    "redis://localhost/1/2",  "redis://localhost/4294967296",
          "redis://local host",      "redis://localhost?db=1", "redis://localhost#1",
          "redis://localhost\r\n",   "redis://a%00b",          "redis://a%0ab",
          " redis://localhost"})
        CHECK_MESSAGE(parts(wrong) == "bad", wrong);
    CHECK(url::parse("rediss://localhost").error() == redis::errc::no_tls);
    CHECK(parts(std::string_view("redis://localhost\0", 18)) == "bad");
    CHECK(parts("redis://localhost:65535/4294967295") == ":@localhost:65535/4294967295");
}

TEST_CASE("addresses are equal when all their parts are") {
    CHECK(url::parse("redis://a:1")->where == url::parse("a:1/7")->where);
    CHECK(url::parse("redis://a:1")->where != url::parse("redis://a:2")->where);
}

}  // namespace
