#include <ouro/kv/redis/value.hpp>

#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/tests/kv/redis/resp_reading.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>

using namespace ouro::redis;
using namespace std::literals;

namespace {

reply read(std::string_view bytes) {
    resp_parser parser;
    const auto size = parser.parse(std::as_bytes(std::span(bytes)));
    REQUIRE(*size == bytes.size());
    return reply(parser.root());
}

const std::string everything =
    "*14\r\n$3\r\na\"b\r\n+OK\r\n-ERR no\r\n:-7\r\n,2.5\r\n#t\r\n(123\r\n=7\r\ntxt:abc\r\n_\r\n"
    "*2\r\n:1\r\n*1\r\n:2\r\n~1\r\n+x\r\n%1\r\n+k\r\n+v\r\n$0\r\n\r\n*0\r\n";
const std::string_view everything_means =
    R"(*[$"a\x22b" +"OK" -"ERR no" :-7 ,2.5 #t ("123" =txt"abc" _ *[:1 *[:2]] ~[+"x"] )"
    R"(%[+"k" +"v"] $"" *[]])";

}  // namespace

TEST_CASE("a new reply is null") {
    const reply empty;
    CHECK(empty.is_null());
    CHECK(empty.size() == 0);
    CHECK(empty.begin() == empty.end());
    CHECK(notation(empty) == "_");
}

TEST_CASE("a reply is a copy of everything") {
    const reply copy = read(everything);
    CHECK(notation(copy) == everything_means);
    CHECK(copy.size() == 14);
    CHECK(copy[7].format() == "txt");
    CHECK(copy[9][1][0].integer() == 2);
}

TEST_CASE("a reply is copied and moved; what was moved from is null") {
    reply one = read(everything);
    reply two = one;
    const reply three = std::move(one);
    CHECK(notation(two) == everything_means);
    CHECK(notation(three) == everything_means);
    CHECK(one.is_null());
    two = read(":5\r\n");
    CHECK(two.integer() == 5);
    two = reply();
    CHECK(two.is_null());
}

TEST_CASE("a reply of a part holds that part only") {
    const reply all = read(everything);
    CHECK(notation(reply(all[9])) == "*[:1 *[:2]]");
    CHECK(notation(reply(all[7])) == R"(=txt"abc")");
    CHECK(notation(reply(all[11])) == R"(%[+"k" +"v"])");
}

TEST_CASE("assign replaces what was there, also by a part of it") {
    reply all = read(everything);
    all.assign(all);
    CHECK(notation(all) == everything_means);
    all.assign(all[7]);
    CHECK(notation(all) == R"(=txt"abc")");
    all.assign(read("*2\r\n:1\r\n*1\r\n:2\r\n"));
    CHECK(notation(all) == "*[:1 *[:2]]");
    all.assign(all[1]);
    CHECK(notation(all) == "*[:2]");
    all.assign(all[0]);
    CHECK(notation(all) == ":2");
    all.assign(reply());
    CHECK(all.is_null());
    all.assign(all);
    CHECK(all.is_null());
}

TEST_CASE("elements are walked in order") {
    const reply nested = read("*3\r\n*2\r\n:1\r\n:2\r\n:3\r\n*0\r\n");
    std::string seen;
    for (const value& element : nested) seen += notation(element) + ";";
    CHECK(seen == "*[:1 :2];:3;*[];");
    auto at = nested.begin();
    CHECK(notation(*at++) == "*[:1 :2]");
    CHECK(notation(*at) == ":3");
    CHECK(notation(*++at) == "*[]");
    CHECK(++at == nested.end());
    const reply plain = read(":3\r\n");
    CHECK(plain.begin() == plain.end());
}

TEST_CASE("people see it like redis-cli, on one line") {
    CHECK(to_text(read(everything)) ==
          R"(["a\"b" OK (error) ERR no -7 2.5 true 123 "abc" (nil) [1 [2]] {x} {k v} "" []])");
    CHECK(to_text(read("$5\r\n\\\r\n\0\x7f\r\n"s)) == R"("\\\x0d\x0a\x00\x7f")");
    CHECK(to_text(read("!6\r\na\r\n\x1b[1\r\n")) == R"((error) a\x0d\x0a\x1b[1)");
    CHECK(to_text(read(",-inf\r\n")) == "-inf");
    CHECK(to_text(read("$2\r\n\xc3\xa4\r\n")) == "\"\xc3\xa4\"");
}

TEST_CASE("long replies are cut for people") {
    const reply list = read("*3\r\n$3\r\nabc\r\n:1\r\n*1\r\n:2\r\n");
    const std::string whole = to_text(list);
    CHECK(whole == R"(["abc" 1 [2]])");
    CHECK(to_text(list, whole.size()) == whole);
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(to_text(list, size) == whole.substr(0, size) + "...");
    CHECK(to_text(read("$9\r\n\n\n\n\n\n\n\n\n\n\r\n"), 6) == R"("\x0a\...)");
}

TEST_CASE("every type has a name") {
    CHECK(to_string(type::null) == "null"s);
    CHECK(to_string(type::real) == "double"s);
    for (auto kind = type::null; kind <= type::push;
         kind = static_cast<type>(static_cast<int>(kind) + 1))
        CHECK(to_string(kind) != "unknown"s);
}
