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
    CHECK(parts("unix:/run/r?database=1") == ":@unix:/run/r/1");
    CHECK(parts("unix:@name") == ":@unix:@name/0");
    CHECK(parts("UNIX:/run/r") == ":@unix:/run/r/0");
    CHECK(parts("unix:/run/a%20b") == ":@unix:/run/a b/0");
    for (const std::string wrong : {"unix:", "unix://", "unix:/run/r?db=", "unix:/run/r?db=x",
                                    "unix:/run/r?db=-1", "unix:/run/r?base=1", "unix:/run/%00"})
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
         {"http://localhost:6379",   "redis:localhost",       "://localhost",
          "redis://localhost:0",     "redis://localhost:",    "redis://localhost:65536",
          "redis://localhost:-1",    "redis://localhost:+1",  "redis://localhost:6379x",
          "redis://localhost: 6379", "redis://localhost/x",   "redis://localhost/1x",
          "redis://localhost/-1",    "redis://localhost/1/2", "redis://localhost/4294967296",
          "redis://local host",      "redis://localhost?1",   "redis://localhost#1",
          "redis://localhost\r\n",   "redis://a%00b",         "redis://a%0ab",
          " redis://localhost"})
        CHECK_MESSAGE(parts(wrong) == "bad", wrong);
    CHECK(parts(std::string_view("redis://localhost\0", 18)) == "bad");
    CHECK(parts("redis://localhost:65535/4294967295") == ":@localhost:65535/4294967295");
}

/// What a refusal says.
std::string why(std::string_view text) {
    std::string said;
    const result<url> read = url::parse(text, said);
    CHECK(!read);
    return said;
}

TEST_CASE("valkey is redis, and capitals in a scheme do not count") {
    CHECK(parts("valkey://:secret@db.example:7000/15") == ":secret@db.example:7000/15");
    CHECK(parts("REDIS://db.example") == ":@db.example:6379/0");
    CHECK(parts("Valkey://db.example") == ":@db.example:6379/0");
    CHECK(why("redis2://h") == "the scheme is not redis, rediss, valkey, valkeys or unix");
}

TEST_CASE("a scheme asks for TLS, and nothing else is different") {
    for (const std::string scheme : {"rediss://", "valkeys://", "REDISS://", "ValkeyS://"}) {
        const auto read = url::parse(scheme + "alice:secret@db.example:7000/15");
        REQUIRE_MESSAGE(read, scheme);
        CHECK(read->tls);
        CHECK(parts(scheme + "alice:secret@db.example:7000/15") ==
              "alice:secret@db.example:7000/15");
        CHECK(parts(scheme + "db.example") == ":@db.example:6379/0");
        CHECK(parts(scheme + "db.example:x") == "bad");
    }
    for (const std::string text : {"redis://h", "valkey://h", "h:7000", "unix:/s", "unix:///s"})
        CHECK_MESSAGE(!url::parse(text)->tls, text);
}

TEST_CASE("parameters say what other clients' URLs say with them") {
    using namespace std::chrono_literals;
    CHECK(parts("redis://h?db=2") == ":@h:6379/2");
    CHECK(parts("redis://h/?database=2") == ":@h:6379/2");
    CHECK(parts("redis://h/2?db=2") == ":@h:6379/2");
    CHECK(parts("h:7000?db=2&user=alice&password=a%26b") == "alice:a&b@h:7000/2");
    CHECK(parts("redis://h?") == ":@h:6379/0");
    const url all = *url::parse(
        "redis://h/0?protocol=3&client_name=me%20too&dial_timeout=250ms&read_timeout=2.5");
    CHECK(all.protocol == 3);
    CHECK(all.client_name == "me too");
    CHECK(all.connect_timeout == 250ms);
    CHECK(all.request_timeout == 2500ms);
    CHECK(url::parse("redis://h?protocol=RESP2")->protocol == 2);
    CHECK(url::parse("redis://h?clientName=me@work")->client_name == "me@work");
    CHECK(url::parse("redis://h?timeout=1m&socket_timeout=60s")->request_timeout == 1min);
    CHECK(url::parse("redis://h?timeout=0")->request_timeout == 0s);
    CHECK(!url::parse("redis://h")->request_timeout);
    for (const std::string wrong :
         {"db", "db=", "db=1&db=2", "protocol=4", "protocol=", "timeout=-1", "timeout=x",
          "timeout=1d", "timeout=nan", "timeout=inf", "timeout=1e300", "connect_timeout=0", "max=1",
          "=1", "client_name=%4", "timeout=1&timeout=2"})
        CHECK_MESSAGE(parts("redis://h?" + wrong) == "bad", wrong);
    CHECK(parts("redis://h/1?db=2") == "bad");
    CHECK(parts("redis://:a@h?password=b") == "bad");
}

TEST_CASE("a refusal says which part it is about, and why, and quotes nothing") {
    CHECK(why("http://h") == "the scheme is not redis, rediss, valkey, valkeys or unix");
    CHECK(why("redis://h:0") == "the port is not a number from 1 to 65535");
    CHECK(why("redis://[::1]7000") == "the port is not separated by a colon");
    CHECK(why("redis://::1") == "the host has several colons: an IPv6 address stands in brackets");
    CHECK(why("redis://h\n") == "the host has a blank or a control character");
    CHECK(why("redis://h/one") == "the database is not a number");
    CHECK(why("redis://h//") == "the database is not a number");
    CHECK(why("redis://h/1?db=2") == "the database is said twice");
    CHECK(why("redis://:%zz@h") == "the password has a '%' that is not followed by two hex digits");
    CHECK(why("unix:") == "the path is missing");
    CHECK(why("redis://h?ssl=1").starts_with("a parameter is not one of db, "));
    for (const char* raw : {"redis://u:sec/ret@h", "redis://u:sec?ret@h", "redis://u:1#sec@h",
                            "redis://:1/sec@h/0", "redis://u:1?sec=ret@h"})
        CHECK(why(raw) ==
              "the user or the password holds a '/', '?' or '#', which is written %2F, %3F, %23");
    try {
        url::read("redis://u:sec/ret@h");
        FAIL("it was read");
    } catch (const redis::error& refused) {
        CHECK(refused.code() == redis::errc::bad_url);
        CHECK(refused.words().starts_with("the user or the password holds"));
        CHECK(std::string(refused.what()).find("ret") == std::string::npos);
    }
}

TEST_CASE("addresses are equal when all their parts are") {
    CHECK(url::parse("redis://a:1")->where == url::parse("a:1/7")->where);
    CHECK(url::parse("redis://a:1")->where != url::parse("redis://a:2")->where);
}

}  // namespace
