#include <ouro/kv/redis/wire/decode.hpp>

#include <ouro/kv/redis/short_text.hpp>
#include <ouro/kv/redis/wire/resp.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

using namespace ouro::redis;
using namespace std::literals;
using ouro::result;

namespace {

reply read(std::string_view bytes) {
    resp_parser parser;
    const auto size = parser.parse(std::as_bytes(std::span(bytes)));
    REQUIRE(*size == bytes.size());
    return reply(parser.root());
}

// What the bytes of a reply are as a T.
template <class T>
T as(std::string_view bytes) {
    T made = blank<T>::make();
    CAPTURE(bytes);
    CHECK(decode(read(bytes), made) == std::error_code());
    return made;
}

// Why the bytes of a reply are no T.
template <class T>
std::error_code why_no(std::string_view bytes) {
    T made = blank<T>::make();
    return decode(read(bytes), made);
}

const std::string_view wrong_type = "-WRONGTYPE Operation against a key\r\n";
const std::string_view wrong_type_bulk = "!33\r\nWRONGTYPE Operation against a key\r\n";
const std::string_view every_null[] = {"$-1\r\n", "*-1\r\n", "_\r\n"};

struct user {
    std::string name;
    std::optional<int> age;
    double score = 0.5;

    bool operator==(const user&) const = default;
    static constexpr auto redis_fields() {
        return std::tuple(field("name", &user::name), field("age", &user::age),
                          field("score", &user::score));
    }
};

struct group {
    std::string title;
    std::vector<user> members;

    static constexpr auto redis_fields() {
        return std::tuple(field("title", &group::title), field("members", &group::members));
    }
};

struct percentage {
    int number = 0;
};

}  // namespace

template <>
struct ouro::redis::decoder<percentage> {
    static std::error_code read(const value& from, percentage& into) {
        if (const auto error = decode(from, into.number)) return error;
        return into.number >= 0 && into.number <= 100 ? std::error_code() : errc::unexpected_reply;
    }
};

TEST_CASE("errors and nulls are told apart, whatever was asked for") {
    const auto check = [](auto blank) {
        using wanted = decltype(blank);
        CHECK(why_no<wanted>(wrong_type) == errc::wrong_type);
        CHECK(why_no<wanted>(wrong_type_bulk) == errc::wrong_type);
        for (const std::string_view null : every_null)
            CHECK(why_no<wanted>(null) == errc::null_reply);
    };
    check(std::string());
    check(std::vector<std::byte>());
    check(std::int64_t());
    check(std::uint8_t());
    check(double());
    check(std::vector<std::string>());
    check(std::vector<std::pair<std::string, int>>());
    check(std::set<std::string>());
    check(std::map<std::string, int>());
    check(std::pair<int, int>());
    check(std::tuple<int, int>());
    check(std::array<int, 2>());
    check(user());
    CHECK(why_no<bool>(wrong_type) == errc::wrong_type);
}

TEST_CASE("a reply takes everything") {
    CHECK(as<reply>(wrong_type).is_error());
    CHECK(as<reply>("_\r\n").is_null());
    CHECK(as<reply>("*1\r\n:5\r\n")[0].integer() == 5);
    CHECK(as<std::vector<reply>>("*2\r\n:5\r\n_\r\n")[1].is_null());
}

TEST_CASE("a string is made of texts and numbers") {
    CHECK(as<std::string>("$3\r\na\0b\r\n"s) == "a\0b"s);
    CHECK(as<std::string>("$0\r\n\r\n").empty());
    CHECK(as<std::string>("+OK\r\n") == "OK");
    CHECK(as<std::string>("=7\r\ntxt:abc\r\n") == "abc");
    CHECK(as<std::string>("(123456789012345678901234567890\r\n") ==
          "123456789012345678901234567890");
    CHECK(as<std::string>(":-42\r\n") == "-42");
    CHECK(as<std::string>(":-9223372036854775808\r\n") == "-9223372036854775808");
    CHECK(as<std::string>(",0.1\r\n") == "0.1");
    CHECK(as<std::string>(",3\r\n") == "3");
    CHECK(as<std::string>(",-inf\r\n") == "-inf");
    CHECK(as<std::string>(",-2.2250738585072014e-308\r\n") == "-2.2250738585072014e-308");
    for (const std::string_view other : {"#t\r\n", "*0\r\n", "*1\r\n+a\r\n", "%0\r\n", "~0\r\n"})
        CHECK(why_no<std::string>(other) == errc::unexpected_reply);
}

TEST_CASE("bytes are made of what strings are made of") {
    using bytes = std::vector<std::byte>;
    const auto of = [](std::string_view text) {
        const auto all = std::as_bytes(std::span(text));
        return bytes(all.begin(), all.end());
    };
    CHECK(as<bytes>("$3\r\na\0\xff\r\n"s) == of("a\0\xff"sv));
    CHECK(as<bytes>("$0\r\n\r\n").empty());
    CHECK(as<bytes>("+OK\r\n") == of("OK"));
    CHECK(as<bytes>("=7\r\ntxt:abc\r\n") == of("abc"));
    CHECK(as<bytes>(":-42\r\n") == of("-42"));
    CHECK(as<bytes>(",2.5\r\n") == of("2.5"));
    CHECK(why_no<bytes>("#t\r\n") == errc::unexpected_reply);
    CHECK(why_no<bytes>("*1\r\n:1\r\n") == errc::unexpected_reply);
}

TEST_CASE("an integer is made of numbers, booleans and what spells one") {
    CHECK(as<std::int64_t>(":9223372036854775807\r\n") == std::numeric_limits<std::int64_t>::max());
    CHECK(as<std::int64_t>(":-9223372036854775808\r\n") ==
          std::numeric_limits<std::int64_t>::min());
    CHECK(as<std::int64_t>("$20\r\n-9223372036854775808\r\n") ==
          std::numeric_limits<std::int64_t>::min());
    CHECK(as<int>("$2\r\n12\r\n") == 12);
    CHECK(as<int>("+12\r\n") == 12);
    CHECK(as<int>("(12\r\n") == 12);
    CHECK(as<int>("#t\r\n") == 1);
    CHECK(as<int>("#f\r\n") == 0);
    CHECK(as<int>(",-3\r\n") == -3);  // a whole score
    CHECK(as<std::int64_t>(",-9223372036854775808\r\n") ==
          std::numeric_limits<std::int64_t>::min());
    for (const std::string_view other :
         {"$0\r\n\r\n", "$1\r\na\r\n", "$2\r\n1 \r\n", "$2\r\n 1\r\n", "$3\r\n1.0\r\n",
          "$19\r\n9223372036854775808\r\n", "(9223372036854775808\r\n", ",2.5\r\n", ",inf\r\n",
          ",nan\r\n", ",9223372036854775808\r\n", ",1e300\r\n", "*0\r\n", "*1\r\n:1\r\n", "%0\r\n"})
        CHECK(why_no<std::int64_t>(other) == errc::unexpected_reply);
}

TEST_CASE("a narrow integer takes what fits") {
    CHECK(as<std::int8_t>(":127\r\n") == 127);
    CHECK(as<std::int8_t>("$4\r\n-128\r\n") == -128);
    CHECK(why_no<std::int8_t>(":128\r\n") == errc::unexpected_reply);
    CHECK(why_no<std::int8_t>("$4\r\n-129\r\n") == errc::unexpected_reply);
    CHECK(as<std::int32_t>(":2147483647\r\n") == 2147483647);
    CHECK(why_no<std::int32_t>(":2147483648\r\n") == errc::unexpected_reply);
    CHECK(as<std::uint8_t>(":255\r\n") == 255);
    CHECK(why_no<std::uint8_t>(":256\r\n") == errc::unexpected_reply);
    CHECK(why_no<std::uint8_t>(":-1\r\n") == errc::unexpected_reply);
    CHECK(as<std::uint64_t>("$20\r\n18446744073709551615\r\n") ==
          std::numeric_limits<std::uint64_t>::max());
    CHECK(as<std::uint64_t>("(18446744073709551615\r\n") ==
          std::numeric_limits<std::uint64_t>::max());
    CHECK(why_no<std::uint64_t>("(18446744073709551616\r\n") == errc::unexpected_reply);
    CHECK(why_no<std::uint64_t>("$2\r\n-1\r\n") == errc::unexpected_reply);
    CHECK(as<std::uint64_t>(",3\r\n") == 3);

    int kept = 7;
    CHECK(decode(read(":2147483648\r\n"), kept));
    CHECK(kept == 7);
}

TEST_CASE("a double is made of numbers and what spells one") {
    CHECK(as<double>(",2.5\r\n") == 2.5);
    CHECK(as<double>("$3\r\n2.5\r\n") == 2.5);
    CHECK(as<double>("$2\r\n17\r\n") == 17);
    CHECK(as<double>("$22\r\n3.14159265358979323846\r\n") == 3.14159265358979323846);
    CHECK(as<double>("$5\r\n1e-05\r\n") == 1e-5);
    CHECK(as<double>(":-3\r\n") == -3);
    CHECK(as<double>("(12\r\n") == 12);
    CHECK(as<double>("#t\r\n") == 1);
    CHECK(as<double>(",inf\r\n") == std::numeric_limits<double>::infinity());
    CHECK(as<double>("$4\r\n-inf\r\n") == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan(as<double>(",nan\r\n")));
    CHECK(std::isnan(as<double>("$3\r\nnan\r\n")));
    CHECK(why_no<double>("$0\r\n\r\n") == errc::unexpected_reply);
    CHECK(why_no<double>("$4\r\n1.5x\r\n") == errc::unexpected_reply);
    CHECK(why_no<double>("*0\r\n") == errc::unexpected_reply);

    CHECK(as<float>(",2.5\r\n") == 2.5F);
    CHECK(as<float>(",-inf\r\n") == -std::numeric_limits<float>::infinity());
    CHECK(std::isnan(as<float>(",nan\r\n")));
    CHECK(why_no<float>(",1e300\r\n") == errc::unexpected_reply);
    float kept = 7;
    CHECK(decode(read("+abc\r\n"), kept));
    CHECK(kept == 7);
}

TEST_CASE("a bool is made of booleans, integers, OK, 0 and 1 as texts, and null") {
    CHECK(as<bool>("#t\r\n"));
    CHECK(!as<bool>("#f\r\n"));
    CHECK(as<bool>(":1\r\n"));
    CHECK(as<bool>(":-2\r\n"));
    CHECK(!as<bool>(":0\r\n"));
    CHECK(as<bool>("+OK\r\n"));
    for (const std::string_view null : every_null) CHECK(!as<bool>(null));
    CHECK(as<bool>("$1\r\n1\r\n"));  // in a hash
    CHECK(!as<bool>("$1\r\n0\r\n"));
    for (const std::string_view other :
         {"+QUEUED\r\n", "$2\r\nOK\r\n", "$1\r\n2\r\n", "$0\r\n\r\n", ",1\r\n", "*0\r\n"})
        CHECK(why_no<bool>(other) == errc::unexpected_reply);
}

TEST_CASE("an optional is empty for null only") {
    using text = std::optional<std::string>;
    CHECK(as<text>("$1\r\na\r\n") == "a");
    CHECK(as<text>("$0\r\n\r\n") == "");
    for (const std::string_view null : every_null) CHECK(as<text>(null) == std::nullopt);
    text kept = "before";
    CHECK(decode(read("*0\r\n"), kept) == errc::unexpected_reply);
    CHECK(kept == std::nullopt);
    CHECK(why_no<text>(wrong_type) == errc::wrong_type);
    CHECK(as<std::optional<std::vector<int>>>("*-1\r\n") == std::nullopt);
    CHECK(as<std::vector<text>>("*3\r\n$1\r\na\r\n$-1\r\n_\r\n") ==
          std::vector<text>{"a", std::nullopt, std::nullopt});
    CHECK(as<std::optional<result<int>>>(wrong_type)->error() == errc::wrong_type);
}

TEST_CASE("a result holds an error reply as its code") {
    CHECK(*as<result<int>>(":5\r\n") == 5);
    CHECK(as<result<int>>(wrong_type).error() == errc::wrong_type);
    CHECK(as<result<int>>(wrong_type_bulk).error() == errc::wrong_type);
    CHECK(as<result<int>>("*0\r\n").error() == errc::unexpected_reply);
    CHECK(as<result<int>>("_\r\n").error() == errc::null_reply);
    CHECK(as<result<std::optional<int>>>("_\r\n")->has_value() == false);
    CHECK(as<result<void>>("+OK\r\n").has_value());
    CHECK(as<result<void>>("_\r\n").has_value());
    CHECK(as<result<void>>(wrong_type).error() == errc::wrong_type);
}

TEST_CASE("what EXEC answers: errors among other replies") {
    const std::string_view bytes = "*4\r\n+OK\r\n-WRONGTYPE Operation\r\n:2\r\n$1\r\n7\r\n";
    const auto list = as<std::vector<result<std::string>>>(bytes);
    REQUIRE(list.size() == 4);
    CHECK(*list[0] == "OK");
    CHECK(list[1].error() == errc::wrong_type);
    CHECK(*list[3] == "7");
    CHECK(why_no<std::vector<std::string>>(bytes) == errc::wrong_type);

    using mixed = std::tuple<result<void>, result<std::string>, int, std::optional<int>>;
    const auto [ok, wrong, two, seven] = as<mixed>(bytes);
    CHECK(ok.has_value());
    CHECK(wrong.error() == errc::wrong_type);
    CHECK(two == 2);
    CHECK(seven == 7);

    using pairs = std::vector<std::pair<std::string, result<int>>>;
    const auto both = as<pairs>("%2\r\n+a\r\n:1\r\n+b\r\n-ERR no\r\n");
    CHECK(*both[0].second == 1);
    CHECK(both[1].second.error() == errc::server_error);
}

TEST_CASE("vectors and sets are made of aggregates") {
    using texts = std::vector<std::string>;
    for (const char mark : {'*', '~', '>'})
        CHECK(as<texts>(mark + "2\r\n$1\r\na\r\n+b\r\n"s) == texts{"a", "b"});
    CHECK(as<texts>("%1\r\n$1\r\na\r\n+b\r\n") == texts{"a", "b"});
    CHECK(as<texts>("*0\r\n").empty());
    CHECK(as<std::vector<bool>>("*2\r\n:1\r\n:0\r\n") == std::vector{true, false});
    CHECK(as<std::vector<std::vector<int>>>("*2\r\n*1\r\n:1\r\n*0\r\n") ==
          std::vector<std::vector<int>>{{1}, {}});
    CHECK(why_no<texts>("+a\r\n") == errc::unexpected_reply);
    CHECK(why_no<texts>("*2\r\n+a\r\n_\r\n") == errc::null_reply);
    CHECK(why_no<std::vector<int>>("*2\r\n:1\r\n+a\r\n") == errc::unexpected_reply);

    CHECK(as<std::set<int>>("~3\r\n:2\r\n:1\r\n:2\r\n") == std::set{1, 2});
    CHECK(as<std::unordered_set<std::string>>("*2\r\n+a\r\n+b\r\n").size() == 2);
    CHECK(as<std::multiset<int>>("*2\r\n:1\r\n:1\r\n").size() == 2);
    CHECK(why_no<std::set<int>>(":1\r\n") == errc::unexpected_reply);

    // What was there before is gone.
    texts kept{"x", "y", "z"};
    CHECK(!decode(read("*1\r\n+a\r\n"), kept));
    CHECK(kept == texts{"a"});
}

TEST_CASE("a map is made of a map, of pairs, and of a flat array") {
    using scores = std::map<std::string, double>;
    const scores wanted{{"a", 1}, {"b", 2.5}};
    CHECK(as<scores>("%2\r\n$1\r\na\r\n,1\r\n$1\r\nb\r\n,2.5\r\n") == wanted);
    CHECK(as<scores>("*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n") == wanted);
    CHECK(as<scores>("*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\n2.5\r\n") == wanted);
    CHECK(as<scores>("*0\r\n").empty());
    CHECK(as<scores>("%0\r\n").empty());
    CHECK(as<std::unordered_map<std::string, double>>("%1\r\n+a\r\n,1\r\n").at("a") == 1);

    using entries = std::vector<std::pair<std::string, double>>;
    const entries in_order{{"b", 2.5}, {"a", 1}, {"b", 3}};
    CHECK(as<entries>("%3\r\n+b\r\n,2.5\r\n+a\r\n:1\r\n+b\r\n:3\r\n") == in_order);
    CHECK(as<entries>("*3\r\n*2\r\n+b\r\n,2.5\r\n*2\r\n+a\r\n:1\r\n*2\r\n+b\r\n:3\r\n") ==
          in_order);
    CHECK(as<entries>("*6\r\n+b\r\n,2.5\r\n+a\r\n:1\r\n+b\r\n:3\r\n") == in_order);
    CHECK(as<entries>("*0\r\n").empty());

    // An entry of a stream: its values are aggregates themselves.
    using stream = std::vector<std::pair<std::string, std::map<std::string, std::string>>>;
    const stream entry{{"1-0", {{"f", "v"}}}};
    CHECK(as<stream>("*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n+f\r\n+v\r\n") == entry);
    CHECK(
        as<std::map<std::string, stream>>("%1\r\n+s\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n+f\r\n+v\r\n")
            .at("s") == entry);
    CHECK(as<std::map<std::string, stream>>(
              "*1\r\n*2\r\n+s\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n+f\r\n+v\r\n")
              .at("s") == entry);
    // A value of two elements in a flat array is no pair.
    CHECK(as<std::map<std::string, std::vector<int>>>("*2\r\n+k\r\n*2\r\n:1\r\n:2\r\n") ==
          std::map<std::string, std::vector<int>>{{"k", {1, 2}}});

    for (const std::string_view other :
         {"*1\r\n+a\r\n", "*3\r\n+a\r\n:1\r\n+b\r\n", "*1\r\n*3\r\n+a\r\n:1\r\n:2\r\n",
          "*2\r\n*2\r\n+a\r\n:1\r\n*3\r\n+b\r\n:1\r\n:1\r\n", "*2\r\n*2\r\n+a\r\n:1\r\n+b\r\n",
          "+a\r\n", ":1\r\n", "%1\r\n*0\r\n:1\r\n", "%1\r\n+a\r\n+b\r\n"}) {
        CAPTURE(other);
        CHECK(why_no<scores>(other) == errc::unexpected_reply);
        CHECK(why_no<entries>(other) == errc::unexpected_reply);
    }
    CHECK(why_no<scores>("%1\r\n+a\r\n_\r\n") == errc::null_reply);
    CHECK(why_no<scores>("*2\r\n*2\r\n+a\r\n:1\r\n-ERR no\r\n") == errc::server_error);
}

TEST_CASE("pairs, tuples and arrays have just that many elements") {
    using cursor = std::pair<std::string, std::vector<std::string>>;  // of SCAN
    CHECK(as<cursor>("*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n") == cursor{"0", {"k"}});
    CHECK(as<std::pair<int, int>>("%1\r\n:1\r\n:2\r\n") == std::pair{1, 2});
    CHECK(as<std::tuple<int, std::string, bool>>("*3\r\n:1\r\n+a\r\n:1\r\n") ==
          std::tuple{1, "a"s, true});
    CHECK(as<std::array<double, 2>>("*2\r\n$3\r\n1.5\r\n,2\r\n") == std::array{1.5, 2.0});
    CHECK(as<std::array<int, 0>>("*0\r\n").empty());
    using positions = std::vector<std::optional<std::array<double, 2>>>;  // of GEOPOS
    CHECK(as<positions>("*2\r\n*2\r\n,1\r\n,2\r\n*-1\r\n") ==
          positions{std::array{1.0, 2.0}, std::nullopt});

    for (const std::string_view other :
         {"*1\r\n:1\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", "*0\r\n", ":2\r\n"}) {
        CHECK(why_no<std::pair<int, int>>(other) == errc::unexpected_reply);
        CHECK(why_no<std::tuple<int, int>>(other) == errc::unexpected_reply);
        CHECK(why_no<std::array<int, 2>>(other) == errc::unexpected_reply);
    }
    for (const std::string_view other : {"*2\r\n+a\r\n:1\r\n", "*2\r\n:1\r\n+a\r\n"}) {
        CHECK(why_no<std::pair<int, int>>(other) == errc::unexpected_reply);
        CHECK(why_no<std::tuple<int, int>>(other) == errc::unexpected_reply);
        CHECK(why_no<std::array<int, 2>>(other) == errc::unexpected_reply);
    }
}

TEST_CASE("a struct is made of its fields, in whatever order and shape they come") {
    const user ann{"Ann", 30, 2.5};
    CHECK(as<user>("%3\r\n+age\r\n:30\r\n+name\r\n+Ann\r\n+score\r\n,2.5\r\n") == ann);
    CHECK(as<user>("*6\r\n$4\r\nname\r\n$3\r\nAnn\r\n$3\r\nage\r\n$2\r\n30\r\n$5\r\nscore\r\n"
                   "$3\r\n2.5\r\n") == ann);
    CHECK(as<user>("*3\r\n*2\r\n+name\r\n+Ann\r\n*2\r\n+age\r\n:30\r\n*2\r\n+score\r\n,2.5\r\n") ==
          ann);
    CHECK(as<user>("%0\r\n") == user());
    CHECK(as<user>("*0\r\n") == user());
    CHECK(as<user>("%2\r\n+name\r\n+Ann\r\n+age\r\n_\r\n") == user{"Ann", std::nullopt, 0.5});
    // Fields that it does not know are skipped, whatever they are.
    CHECK(as<user>("%2\r\n+unknown\r\n*1\r\n%1\r\n:1\r\n:2\r\n+name\r\n+Ann\r\n").name == "Ann");
    CHECK(as<user>("%1\r\n+Name\r\n+Ann\r\n").name.empty());

    CHECK(why_no<user>("%1\r\n+age\r\n+old\r\n") == errc::unexpected_reply);
    CHECK(why_no<user>("%1\r\n+name\r\n_\r\n") == errc::null_reply);
    CHECK(why_no<user>("%1\r\n+name\r\n-ERR no\r\n") == errc::server_error);
    CHECK(why_no<user>("%1\r\n:1\r\n:2\r\n") == errc::unexpected_reply);
    CHECK(why_no<user>("%1\r\n-OOM no\r\n:2\r\n") == errc::out_of_memory);
    CHECK(why_no<user>("*1\r\n+name\r\n") == errc::unexpected_reply);
    CHECK(why_no<user>("+name\r\n") == errc::unexpected_reply);
}

TEST_CASE("structs stand inside other types, and others inside them") {
    const auto made = as<group>(
        "%2\r\n+title\r\n+all\r\n+members\r\n*2\r\n%1\r\n+name\r\n+Ann\r\n"
        "*2\r\n+name\r\n+Bob\r\n");
    CHECK(made.title == "all");
    CHECK(made.members == std::vector<user>{{"Ann"}, {"Bob"}});
    CHECK(as<std::optional<user>>("_\r\n") == std::nullopt);
    CHECK(as<std::map<std::string, user>>("%1\r\n+1\r\n%1\r\n+age\r\n:9\r\n").at("1").age == 9);
    CHECK(as<result<user>>(wrong_type).error() == errc::wrong_type);
}

TEST_CASE("a type of one's own brings its decoder") {
    CHECK(as<percentage>(":7\r\n").number == 7);
    CHECK(why_no<percentage>(":107\r\n") == errc::unexpected_reply);
    CHECK(as<std::vector<percentage>>("*2\r\n:7\r\n$1\r\n8\r\n")[1].number == 8);
    CHECK(as<std::optional<percentage>>("_\r\n").has_value() == false);
}
TEST_CASE("a short_text takes what fits, and numbers as their text") {
    CHECK(as<short_text<5>>("$5\r\nhello\r\n") == "hello"sv);
    CHECK(as<short_text<5>>("$0\r\n\r\n").empty());
    CHECK(as<short_text<5>>(":-17\r\n") == "-17"sv);
    const auto pair = as<std::vector<std::optional<short_text<3>>>>("*2\r\n$3\r\nabc\r\n_\r\n");
    CHECK(*pair[0] == "abc"sv);
    CHECK_FALSE(pair[1]);
    short_text<4> small;
    CHECK(decode(read("$5\r\nhello\r\n"), small) == errc::unexpected_reply);
    CHECK(decode(read("-ERR no\r\n"), small) == errc::server_error);
    CHECK(decode(read("_\r\n"), small) == errc::null_reply);
}
