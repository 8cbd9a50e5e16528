#include <ouro/kv/redis/wire/resp.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/tests/kv/redis/random_reply.hpp>
#include <ouro/tests/kv/redis/resp_reading.hpp>

#include <doctest/doctest.h>

#include <malloc.h>

#include <array>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

using namespace ouro::redis;
using namespace std::literals;

namespace {

std::size_t bytes_allocated = 0;  // ever
std::size_t bytes_held = 0;       // now

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    void* const memory = std::malloc(size);
    if (!memory) throw std::bad_alloc();
    bytes_allocated += size;
    bytes_held += malloc_usable_size(memory);
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    bytes_held -= malloc_usable_size(memory);
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    ::operator delete(memory);
}

namespace {

struct vector {
    std::string bytes;
    std::string means;  // in `notation`
};

const std::vector<vector>& good() {
    static const std::vector<vector> vectors = {
        // RESP2
        {"+OK\r\n", R"(+"OK")"},
        {"+\r\n", R"(+"")"},
        {"+"s + "a\0b \xff\r\n"s, R"(+"a\x00b \xff")"},
        {"-ERR unknown command 'x'\r\n", R"(-"ERR unknown command 'x'")"},
        {"-\r\n", R"(-"")"},
        {":0\r\n", ":0"},
        {":-0\r\n", ":0"},
        {":+7\r\n", ":7"},
        {":0012\r\n", ":12"},
        {":1000\r\n", ":1000"},
        {":-1000\r\n", ":-1000"},
        {":9223372036854775807\r\n", ":9223372036854775807"},
        {":-9223372036854775808\r\n", ":-9223372036854775808"},
        {"$0\r\n\r\n", R"($"")"},
        {"$5\r\nhello\r\n", R"($"hello")"},
        {"$2\r\n\r\n\r\n", R"($"\x0d\x0a")"},
        {"$7\r\n$3\r\nabc\r\n", R"($"$3\x0d\x0aabc")"},
        {"$4\r\n\0\r\n\xff\r\n"s, R"($"\x00\x0d\x0a\xff")"},
        {"$12\r\nabcdefghijkl\r\n", R"($"abcdefghijkl")"},
        {"$-1\r\n", "_"},
        {"*-1\r\n", "_"},
        {"*0\r\n", "*[]"},
        {"*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n", R"(*[$"hello" $"world"])"},
        {"*3\r\n:1\r\n:2\r\n:3\r\n", "*[:1 :2 :3]"},
        {"*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n$5\r\nhello\r\n", R"(*[:1 :2 :3 :4 $"hello"])"},
        {"*3\r\n$5\r\nhello\r\n$-1\r\n*-1\r\n", R"(*[$"hello" _ _])"},
        {"*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*2\r\n+Hello\r\n-World\r\n",
         R"(*[*[:1 :2 :3] *[+"Hello" -"World"]])"},
        {"*2\r\n*0\r\n*1\r\n*0\r\n", "*[*[] *[*[]]]"},
        {"*3\r\n+OK\r\n-WRONGTYPE Operation\r\n:2\r\n", R"(*[+"OK" -"WRONGTYPE Operation" :2])"},
        // RESP3
        {"_\r\n", "_"},
        {"#t\r\n", "#t"},
        {"#f\r\n", "#f"},
        {",1.23\r\n", ",1.23"},
        {",-1.5\r\n", ",-1.5"},
        {",+1.5\r\n", ",1.5"},
        {",10\r\n", ",10"},
        {",1.5e3\r\n", ",1500"},
        {",1E-3\r\n", ",0.001"},
        {",-2.25E+2\r\n", ",-225"},
        {",3.1415926535897931\r\n", ",3.141592653589793"},
        {",1.7976931348623157e308\r\n", ",1.7976931348623157e+308"},
        {",-0\r\n", ",-0"},
        {",inf\r\n", ",inf"},
        {",+inf\r\n", ",inf"},
        {",-inf\r\n", ",-inf"},
        {",nan\r\n", ",nan"},
        {",-nan\r\n", ",nan"},
        {"(3492890328409238509324850943850943825024385\r\n",
         R"(("3492890328409238509324850943850943825024385")"},
        {"(-1\r\n", R"(("-1")"},
        {"(+12\r\n", R"(("+12")"},
        {"!21\r\nSYNTAX invalid syntax\r\n", R"(-"SYNTAX invalid syntax")"},
        {"!0\r\n\r\n", R"(-"")"},
        {"!3\r\na\r\n\r\n", R"(-"a\x0d\x0a")"},
        {"=15\r\ntxt:Some string\r\n", R"(=txt"Some string")"},
        {"=4\r\nmkd:\r\n", R"(=mkd"")"},
        {"=8\r\ntxt:\r\n::\r\n", R"(=txt"\x0d\x0a::")"},
        {"~0\r\n", "~[]"},
        {"~3\r\n+orange\r\n#t\r\n,2\r\n", R"(~[+"orange" #t ,2])"},
        {"%0\r\n", "%[]"},
        {"%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n", R"(%[+"first" :1 +"second" :2])"},
        {"%1\r\n$1\r\nk\r\n%1\r\n_\r\n*1\r\n#f\r\n", R"(%[$"k" %[_ *[#f]]])"},
        {"%1\r\n*2\r\n:1\r\n:2\r\n~1\r\n:3\r\n", "%[*[:1 :2] ~[:3]]"},
        {">3\r\n+message\r\n+somechannel\r\n+this is the message\r\n",
         R"(>[+"message" +"somechannel" +"this is the message"])"},
        {">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", R"(>[$"invalidate" *[$"a"]])"},
        {">0\r\n", ">[]"},
        // Attributes are no part of the reply, wherever they stand.
        {"|0\r\n:1\r\n", ":1"},
        {"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n", R"($"a")"},
        {"|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.1923\r\n$1\r\nb\r\n,0.0012\r\n"
         "*2\r\n:2039123\r\n:9543892\r\n",
         "*[:2039123 :9543892]"},
        {"*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n", "*[:1 :2 :3]"},
        {"*1\r\n|1\r\n+a\r\n:1\r\n*1\r\n|0\r\n+x\r\n", R"(*[*[+"x"]])"},
        {"*2\r\n|0\r\n:1\r\n|0\r\n:2\r\n", "*[:1 :2]"},
        {"|1\r\n+a\r\n:1\r\n|2\r\n+b\r\n:2\r\n+c\r\n:3\r\n+OK\r\n", R"(+"OK")"},
        {"|1\r\n|1\r\n+of\r\n+key\r\n+a\r\n|0\r\n:1\r\n+OK\r\n", R"(+"OK")"},
        {"|1\r\n+a\r\n*2\r\n|0\r\n:1\r\n%1\r\n+b\r\n|1\r\n+c\r\n_\r\n:4\r\n:5\r\n", ":5"},
        {"|1\r\n+a\r\n:1\r\n>1\r\n+message\r\n", R"(>[+"message"])"},
        {"%1\r\n|1\r\n+a\r\n:1\r\n+k\r\n|1\r\n+a\r\n:1\r\n+v\r\n", R"(%[+"k" +"v"])"},
        {"~2\r\n|1\r\n+a\r\n*0\r\n*0\r\n|0\r\n|0\r\n_\r\n", "~[*[] _]"},
        // All together
        {"*8\r\n_\r\n#t\r\n,0.5\r\n(9\r\n!1\r\ne\r\n=5\r\ntxt:v\r\n~1\r\n:1\r\n%1\r\n+k\r\n$"
         "1\r\nv\r\n",
         R"(*[_ #t ,0.5 ("9" -"e" =txt"v" ~[:1] %[+"k" $"v"]])"},
    };
    return vectors;
}

struct refused {
    std::string bytes;
    std::error_code why = errc::protocol_error;
};

const std::vector<refused>& bad() {
    static const std::vector<refused> vectors = {
        // Not RESP
        {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"},
        {"\r\n"},
        {"\n"},
        {"\0\r\n"s},
        {" +OK\r\n"},
        {"OK\r\n"},
        {"220 mail ready\r\n"},
        {"SSH-2.0-OpenSSH_9.2\r\n"},
        {"\x15\x03\x01\x00\x02"},
        {"\xff\r\n"},
        {".\r\n"},
        // Streamed strings and aggregates
        {"$?\r\n;4\r\nHell\r\n;0\r\n"},
        {"*?\r\n:1\r\n.\r\n"},
        {"%?\r\n+a\r\n:1\r\n.\r\n"},
        {"~?\r\n.\r\n"},
        {";4\r\nHell\r\n"},
        // Ends of lines
        {"+OK\n"s + "\r\n"},
        {"+O\rK\r\n"},
        {"+OK\r\r\n"},
        {":1\n"},
        {":1\r\r"},
        {"$1\na\r\n"},
        {"$1\r\nab\r\n"},
        {"$1\r\na\n\n"},
        {"$1\r\na\r\r"},
        {"*1\n:1\r\n"},
        {"!1\r\ne\nx"},
        // Numbers
        {":\r\n"},
        {":-\r\n"},
        {":+\r\n"},
        {":+-1\r\n"},
        {":--1\r\n"},
        {": 1\r\n"},
        {":1 \r\n"},
        {":1a\r\n"},
        {":0x10\r\n"},
        {":1.0\r\n"},
        {":9223372036854775808\r\n"},
        {":-9223372036854775809\r\n"},
        {":18446744073709551616\r\n"},
        {":99999999999999999999\r\n"},
        {":00000000000000000001\r\n"},
        // Lengths
        {"$\r\n\r\n"},
        {"$-2\r\n"},
        {"$-0\r\n\r\n"},
        {"$+1\r\na\r\n"},
        {"$1x\r\na\r\n"},
        {"$-9223372036854775808\r\n"},
        {"$9223372036854775808\r\n"},
        {"$18446744073709551615\r\n"},
        {"*\r\n"},
        {"*-2\r\n"},
        {"*-0\r\n"},
        {"*+1\r\n:1\r\n"},
        {"*a\r\n"},
        {"*9223372036854775808\r\n"},
        {"!-1\r\n"},
        {"=-1\r\n"},
        {"~-1\r\n"},
        {"%-1\r\n"},
        {"|-1\r\n"},
        {">-1\r\n"},
        // Types with a form of their own
        {"_x\r\n"},
        {"#\r\n"},
        {"#T\r\n"},
        {"#true\r\n"},
        {"#tt\r\n"},
        {",\r\n"},
        {",+\r\n"},
        {",+-1\r\n"},
        {",-+1\r\n"},
        {",abc\r\n"},
        {",1.5x\r\n"},
        {",1.5.5\r\n"},
        {",1e\r\n"},
        {",infinity\r\n"},
        {",INF\r\n"},
        {",nan(1)\r\n"},
        {",0x1p3\r\n"},
        {", 1\r\n"},
        {"(\r\n"},
        {"(-\r\n"},
        {"(12a\r\n"},
        {"(1.5\r\n"},
        {"=0\r\n\r\n"},
        {"=3\r\ntxt\r\n"},
        {"=5\r\ntxtSs\r\n"},
        {"=1\r\na\r\n:1\r\n"},
        // A push inside a reply
        {"*1\r\n>1\r\n+a\r\n"},
        {"%1\r\n+k\r\n>1\r\n+a\r\n"},
        {"|1\r\n+k\r\n>1\r\n+a\r\n"},
        {">1\r\n>0\r\n"},
        // Above every limit
        {"$536870913\r\n", ouro::errc::limit_exceeded},
        {"$9223372036854775807\r\n", ouro::errc::limit_exceeded},
        {"!9223372036854775807\r\n", ouro::errc::limit_exceeded},
        {"*16777216\r\n", ouro::errc::limit_exceeded},
        {"*9223372036854775807\r\n", ouro::errc::limit_exceeded},
        {"%4611686018427387904\r\n", ouro::errc::limit_exceeded},
        {"%9223372036854775807\r\n", ouro::errc::limit_exceeded},
        {"|9223372036854775807\r\n", ouro::errc::limit_exceeded},
    };
    return vectors;
}

// One reply, cut at every position: once, and in all pieces of one byte.
void check_every_split(std::string_view bytes, const parsed& wanted,
                       const resp_limits& limits = {}) {
    CAPTURE(escaped(bytes));
    CHECK(read_whole(bytes, limits) == wanted);
    CHECK(read_bytewise(bytes, limits) == wanted);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        REQUIRE(read_pieces(bytes, std::array{cut}, limits) == wanted);
    }
}

void check_limit(std::string_view at_limit, std::string_view above, const resp_limits& limits) {
    const parsed fits = read_whole(at_limit, limits);
    CHECK(fits.error == std::error_code());
    CHECK(fits.replies.size() == 1);
    CHECK(fits.used == at_limit.size());
    check_every_split(at_limit, fits, limits);
    check_every_split(above, {.error = ouro::errc::limit_exceeded}, limits);
}

std::string bulk(std::size_t size) {
    return "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n";
}

}  // namespace

TEST_CASE("every kind of reply is read, wherever its bytes are cut") {
    for (const vector& each : good())
        check_every_split(each.bytes, {.replies = {each.means}, .used = each.bytes.size()});
}

TEST_CASE("what is no RESP is refused, wherever its bytes are cut") {
    for (const refused& each : bad()) check_every_split(each.bytes, {.error = each.why});
}

TEST_CASE("no part of a reply is a reply, and none is taken for an error") {
    for (const vector& each : good())
        for (std::size_t size = 0; size < each.bytes.size(); ++size)
            CHECK(read_whole(std::string_view(each.bytes).substr(0, size)) == parsed{});
}

TEST_CASE("replies behind each other are read one by one, wherever their bytes are cut") {
    std::string bytes;
    parsed wanted;
    for (const vector& each : good()) {
        bytes += each.bytes;
        wanted.replies.push_back(each.means);
    }
    wanted.used = bytes.size();
    check_every_split(bytes, wanted);
}

TEST_CASE("replies before garbage are read, wherever their bytes are cut") {
    for (const refused& each : bad()) {
        const std::string bytes = "*1\r\n$2\r\nhi\r\n+OK\r\n" + each.bytes;
        check_every_split(bytes, {.replies = {R"(*[$"hi"])", R"(+"OK")"},
                                  .used = bytes.size() - each.bytes.size(),
                                  .error = each.why});
    }
}

TEST_CASE("garbage inside a reply is refused, wherever its bytes are cut") {
    for (const refused& each : bad())
        check_every_split("*3\r\n:1\r\n" + each.bytes, {.error = each.why});
}

TEST_CASE("three pieces are as good as one") {
    const std::string bytes =
        "|1\r\n+a\r\n*1\r\n$-1\r\n*3\r\n$4\r\n\r\n\r\n\r\n=6\r\ntxt:ab\r\n%1\r\n,-inf\r\n!"
        "1\r\ne\r\n";
    const parsed wanted{.replies = {R"(*[$"\x0d\x0a\x0d\x0a" =txt"ab" %[,-inf -"e"]])"},
                        .used = bytes.size()};
    for (std::size_t first = 0; first <= bytes.size(); ++first)
        for (std::size_t second = first; second <= bytes.size(); ++second)
            CHECK(read_pieces(bytes, std::array{first, second}) == wanted);
}

TEST_CASE("a bulk string may be as long as its limit") {
    check_limit(bulk(9), bulk(10), {.bulk_bytes_max = 9});
    check_limit("*2\r\n" + bulk(9) + bulk(9), "*2\r\n" + bulk(9) + bulk(10), {.bulk_bytes_max = 9});
    check_limit("!3\r\nabc\r\n", "!4\r\nabcd\r\n", {.bulk_bytes_max = 3});
    check_limit("=5\r\ntxt:a\r\n", "=6\r\ntxt:ab\r\n", {.bulk_bytes_max = 5});
    check_limit("$0\r\n\r\n", "$1\r\na\r\n", {.bulk_bytes_max = 0});
}

TEST_CASE("a line may be as long as its limit") {
    check_limit("+12345678\r\n", "+123456789\r\n", {.line_bytes_max = 8});
    check_limit("-12345678\r\n", "-123456789\r\n", {.line_bytes_max = 8});
    check_limit("(12345678\r\n", "(123456789\r\n", {.line_bytes_max = 8});
    check_limit(",1.000000\r\n", ",1.0000000\r\n", {.line_bytes_max = 8});
    check_limit("*1\r\n+1234\r\n", "*1\r\n+12345\r\n", {.line_bytes_max = 4});
    check_limit("_\r\n", "+a\r\n", {.line_bytes_max = 0});
}

TEST_CASE("a line that never ends is refused when it is longer than its limit") {
    const std::string endless(9, 'x');
    check_every_split("+" + endless, {.error = ouro::errc::limit_exceeded}, {.line_bytes_max = 8});
    CHECK(read_bytewise("+" + endless.substr(1), {.line_bytes_max = 8}) == parsed{});
}

TEST_CASE("a reply may have as many elements as its limit, aggregates among them") {
    check_limit("*2\r\n:1\r\n:2\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", {.elements_max = 3});
    check_limit("*1\r\n*1\r\n:1\r\n", "*1\r\n*2\r\n:1\r\n:2\r\n", {.elements_max = 3});
    check_limit("*1\r\n*1\r\n:1\r\n", "*2\r\n*1\r\n:1\r\n:2\r\n", {.elements_max = 3});
    check_limit("%1\r\n:1\r\n:2\r\n", "%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", {.elements_max = 3});
    check_limit("*1\r\n*1\r\n*0\r\n", "*1\r\n*1\r\n*1\r\n*0\r\n", {.elements_max = 3});
    check_limit(":1\r\n", "*1\r\n:1\r\n", {.elements_max = 1});
    check_limit("*0\r\n", "%1\r\n:1\r\n:2\r\n", {.elements_max = 1});
    check_limit("|1\r\n:1\r\n:2\r\n*2\r\n:1\r\n:2\r\n", "|2\r\n:1\r\n:2\r\n:1\r\n:2\r\n:3\r\n",
                {.elements_max = 3});
}

TEST_CASE("a reply may be as deep as its limit") {
    check_limit("*1\r\n*1\r\n:1\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n", {.depth_max = 2});
    check_limit("*2\r\n*0\r\n%0\r\n", "*1\r\n*1\r\n*0\r\n", {.depth_max = 2});
    check_limit("*1\r\n|1\r\n:1\r\n:2\r\n*0\r\n", "*1\r\n|1\r\n:1\r\n*0\r\n:3\r\n",
                {.depth_max = 2});
    check_limit(":1\r\n", "*0\r\n", {.depth_max = 0});
    check_limit(":1\r\n", "|0\r\n:1\r\n", {.depth_max = 0});

    std::string deep, deeper = "*1\r\n";
    for (int level = 0; level < 64; ++level) deep += "*1\r\n";
    deeper += deep;
    check_limit(deep + ":1\r\n", deeper + ":1\r\n", {});
}

TEST_CASE("a reply may have as many bytes as its limit, attributes among them") {
    check_limit(bulk(5), bulk(6), {.reply_bytes_max = 11});
    check_limit("+12345678\r\n", "+123456789\r\n", {.reply_bytes_max = 11});
    check_limit(":12345678\r\n", ":123456789\r\n", {.reply_bytes_max = 11});
    check_limit("*2\r\n_\r\n:2\r\n", "*2\r\n:1\r\n:2\r\n", {.reply_bytes_max = 11});
    check_limit("|0\r\n" + bulk(1), "|0\r\n" + bulk(2), {.reply_bytes_max = 11});
    check_limit("*1\r\n*0\r\n", "*1\r\n*10\r\n", {.reply_bytes_max = 8});
}

TEST_CASE("a string that would make its reply too long is refused before it arrives") {
    const parsed refusal{.error = ouro::errc::limit_exceeded};
    CHECK(read_whole("$6\r\n", {.reply_bytes_max = 12}) == parsed{});
    CHECK(read_whole("$7\r\n", {.reply_bytes_max = 12}) == refusal);
    CHECK(read_whole("$7\r\n", {.bulk_bytes_max = 6}) == refusal);
    CHECK(read_whole("*1\r\n$7\r\n", {.reply_bytes_max = 16}) == refusal);
}

TEST_CASE("each reply is measured by itself") {
    const resp_limits limits{.elements_max = 3, .reply_bytes_max = 12};
    std::string bytes;
    parsed wanted;
    for (int reply = 0; reply < 100; ++reply) {
        bytes += "*2\r\n:1\r\n:2\r\n";
        wanted.replies.push_back("*[:1 :2]");
    }
    wanted.used = bytes.size();
    CHECK(read_whole(bytes, limits) == wanted);
    CHECK(read_bytewise(bytes, limits) == wanted);
}

TEST_CASE("what is announced is believed when it has arrived") {
    for (const std::string_view head :
         {"*16777215\r\n"sv, "$536870912\r\n"sv, "*1\r\n~16777213\r\n"sv,
          "%8388607\r\n:1\r\n|8388600\r\n"sv}) {
        resp_parser parser;
        const std::size_t before = bytes_allocated;
        CHECK(*parser.parse(std::as_bytes(std::span(head))) == 0);
        CHECK(bytes_allocated - before < 1000);
    }
}

TEST_CASE("a reply allocates nothing once the parser is warm") {
    resp_parser parser;
    const std::string_view bytes =
        "*3\r\n$5\r\nhello\r\n%1\r\n+k\r\n:1\r\n|1\r\n+a\r\n+b\r\n,1.5\r\n";
    const auto arrived = std::as_bytes(std::span(bytes));
    REQUIRE(*parser.parse(arrived) == bytes.size());
    const std::size_t before = bytes_allocated;
    std::size_t used = 0;
    for (int reply = 0; reply < 100; ++reply) used += *parser.parse(arrived);
    const std::size_t allocated = bytes_allocated - before;
    CHECK(allocated == 0);
    CHECK(used == 100 * bytes.size());
}

TEST_CASE("what a huge reply took is given back after it") {
    const std::size_t count = 100'000;
    std::string huge = "*" + std::to_string(count) + "\r\n";
    for (std::size_t element = 0; element < count; ++element) huge += "_\r\n";
    resp_parser parser;
    const std::size_t before = bytes_held;
    CHECK(*parser.parse(std::as_bytes(std::span(huge))) == huge.size());
    CHECK(bytes_held - before > count * sizeof(node));
    CHECK(*parser.parse(std::as_bytes(std::span(":1\r\n", 4))) == 4);
    CHECK(bytes_held - before < 1000);
}

TEST_CASE("an error is final until reset") {
    resp_parser parser;
    const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
    CHECK(parser.parse(bytes("*2\r\n:1\r\n?")).error() == errc::protocol_error);
    CHECK(parser.parse(bytes("*2\r\n:1\r\n?\r\n")).error() == errc::protocol_error);
    CHECK(parser.parse(bytes("+OK\r\n")).error() == errc::protocol_error);
    parser.reset();
    CHECK(*parser.parse(bytes("+OK\r\n")) == 5);
    CHECK(notation(parser.root()) == R"(+"OK")");
}

TEST_CASE("reset forgets half a reply") {
    for (const vector& each : good()) {
        for (std::size_t size = 0; size <= each.bytes.size(); ++size) {
            resp_parser parser;
            read_pieces(parser, std::string_view(each.bytes).substr(0, size), {});
            parser.reset();
            CHECK(read_pieces(parser, "*1\r\n:5\r\n", {}).replies == std::vector{"*[:5]"s});
        }
    }
}

TEST_CASE("nothing has arrived is no error") {
    resp_parser parser;
    CHECK(*parser.parse({}) == 0);
    CHECK(*parser.parse({}) == 0);
    CHECK(read_pieces(parser, ":1\r\n", {}).replies == std::vector{":1"s});
    CHECK(*parser.parse({}) == 0);
}

TEST_CASE("what was understood is not read again") {
    // Were it read again, the pieces that are different the second time would be found wrong.
    const std::pair<std::string, std::string> arrivals[] = {
        {"+aaaa", "+\r\r\r\rb\r\n"},
        {"+aaaa\r", "+\r\r\r\r\r\n"},
        {"*3\r\n:1\r\n", "????????:2\r\n:3\r\n"},
        {"*2\r\n$2\r\nab\r\n+c", "????????????+?\r\n"},
        {"|1\r\n+a\r\n:1", "????????:1\r\n_\r\n"},
    };
    for (const auto& [first, second] : arrivals) {
        CAPTURE(escaped(first));
        resp_parser parser;
        REQUIRE(*parser.parse(std::as_bytes(std::span(first))) == 0);
        CHECK(parser.parse(std::as_bytes(std::span(second))).value_or(0) == second.size());
    }
}

TEST_CASE("a long reply arrives in small pieces") {
    const std::size_t size = 1024 * 1024;
    for (const std::string& bytes : {"+" + std::string(size, 'a') + "\r\n", bulk(size)}) {
        resp_parser parser({.line_bytes_max = size});
        std::size_t arrived = 0, used = 0;
        while (used == 0) {
            arrived = std::min(arrived + 8, bytes.size());
            used = *parser.parse(std::as_bytes(std::span(bytes).first(arrived)));
            REQUIRE((used != 0) == (arrived == bytes.size()));
        }
        CHECK(used == bytes.size());
        CHECK(parser.root().text().size() == size);
    }
}

TEST_CASE("a view reaches every element of a reply") {
    const std::string_view bytes = "*3\r\n%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n*0\r\n=6\r\nmkd:*a\r\n";
    resp_parser parser;
    REQUIRE(*parser.parse(std::as_bytes(std::span(bytes))) == bytes.size());
    const value root = parser.root();
    REQUIRE(root.size() == 3);
    CHECK(root[0].kind() == type::map);
    CHECK(root[0].size() == 2);
    CHECK(root[0][0].text() == "k");
    CHECK(root[0][1][1].integer() == 2);
    CHECK(root[1].empty());
    CHECK(root[1].begin() == root[1].end());
    CHECK(root[2].text() == "*a");
    CHECK(root[2].format() == "mkd");
    // Texts are where they arrived.
    CHECK(root[2].text().data() == bytes.data() + bytes.size() - 4);
}

TEST_CASE("random replies in random pieces are read as they were meant") {
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        CAPTURE(seed);
        reply_writer writer(seed);
        parsed wanted;
        for (std::size_t replies = 1 + writer.draw(4); replies > 0; --replies) {
            writer.means.clear();
            writer.write();
            wanted.replies.push_back(writer.means);
        }
        const std::string& bytes = writer.bytes;
        wanted.used = bytes.size();
        std::vector<std::size_t> cuts;
        for (std::size_t pieces = writer.draw(10); pieces > 0; --pieces)
            cuts.push_back(writer.draw(bytes.size() + 1));
        std::ranges::sort(cuts);
        REQUIRE(read_pieces(bytes, cuts) == wanted);
        REQUIRE(read_whole(bytes) == wanted);
        if (bytes.size() < 500) REQUIRE(read_bytewise(bytes) == wanted);
    }
}

TEST_CASE("random replies with a wrong byte do the same in whatever pieces they arrive") {
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        CAPTURE(seed);
        reply_writer writer(seed);
        writer.write();
        std::string bytes = writer.bytes.substr(0, 400);
        for (std::size_t wrong = 1 + writer.draw(3); wrong > 0; --wrong)
            bytes[writer.draw(bytes.size())] = "\r\n$*:+-_#,(!=~%>|0123456789a"[writer.draw(28)];
        const parsed whole = read_whole(bytes);
        REQUIRE(read_bytewise(bytes) == whole);
        REQUIRE(read_pieces(bytes, std::array{writer.draw(bytes.size())}) == whole);
    }
}

TEST_CASE("what was read and encoded again is read as the same") {
    for (const vector& each : good()) {
        resp_parser parser;
        REQUIRE(*parser.parse(std::as_bytes(std::span(each.bytes))) == each.bytes.size());
        CHECK(read_whole(encoded(parser.root())).replies == std::vector{each.means});
    }
}
