#include <ouro/kv/redis/wire/command.hpp>

#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/tests/kv/redis/resp_reading.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ouro::redis;
using namespace std::literals;

namespace {

std::string_view text(const command& what) {
    return {reinterpret_cast<const char*>(what.bytes().data()), what.bytes().size()};
}

// The words that a server would read.
std::vector<std::string> words_read(const command& what) {
    resp_parser parser;
    const auto size = parser.parse(what.bytes());
    REQUIRE(size.has_value());
    REQUIRE(*size == what.bytes().size());
    REQUIRE(parser.root().kind() == type::array);
    std::vector<std::string> words;
    for (const value& word : parser.root()) {
        REQUIRE(word.kind() == type::string);
        words.emplace_back(word.text());
    }
    return words;
}

using strings_read = std::vector<std::string>;

}  // namespace

TEST_CASE("a command is an array of its words") {
    CHECK(text({verb::ping, {}}) == "*1\r\n$4\r\nPING\r\n");
    CHECK(text({verb::get, {"key"}}) == "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
    CHECK(text({verb::client_setname, {"me"}}) ==
          "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n");
    CHECK(text({verb::set, {"", ""}}) == "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n");
}

TEST_CASE("any bytes are good in a word") {
    std::string every;
    for (int byte = 0; byte < 256; ++byte) every += static_cast<char>(byte);
    CHECK(words_read({verb::set, {every, "a b\r\nGET x\r\n\0"sv}}) ==
          strings_read{"SET", every, "a b\r\nGET x\r\n\0"s});
    CHECK(words_read({verb::get, {std::as_bytes(std::span("\0\r\n", 3))}}) ==
          strings_read{"GET", "\0\r\n"s});
}

TEST_CASE("numbers are spelled, and read back as the same") {
    CHECK(words_read({verb::set, {"k", 0}}).back() == "0");
    CHECK(words_read({verb::set, {"k", std::numeric_limits<std::int64_t>::min()}}).back() ==
          "-9223372036854775808");
    CHECK(words_read({verb::set, {"k", std::numeric_limits<std::uint64_t>::max()}}).back() ==
          "18446744073709551615");
    CHECK(words_read({verb::set, {"k", std::int8_t{-5}}}).back() == "-5");
    CHECK(words_read({verb::set, {"k", std::uint8_t{200}}}).back() == "200");
    CHECK(words_read({verb::set, {"k", 0.1}}).back() == "0.1");
    CHECK(words_read({verb::set, {"k", 1e100}}).back() == "1e+100");
    CHECK(words_read({verb::set, {"k", -2.2250738585072014e-308}}).back() ==
          "-2.2250738585072014e-308");
    const double infinite = std::numeric_limits<double>::infinity();
    CHECK(words_read({verb::zadd, {"k", -infinite, "m"}})[2] == "-inf");
}

TEST_CASE("lists are words in a row") {
    const std::vector<std::string> strings{"a", "", "c"};
    const std::vector<std::string_view> views{"x", "y"};
    const std::vector<arg::pair> pairs{{"k1", "v1"}, {"k2", ""}};
    CHECK(words_read({verb::del, {std::span(strings)}}) == strings_read{"DEL", "a", "", "c"});
    CHECK(words_read({verb::del, {std::span(views)}}) == strings_read{"DEL", "x", "y"});
    CHECK(words_read({verb::mset, {std::span(pairs)}}) ==
          strings_read{"MSET", "k1", "v1", "k2", ""});
    CHECK(words_read({verb::del, {std::span(strings).first(0)}}) == strings_read{"DEL"});
    CHECK(words_read({verb::eval, {"return 1", 2, std::span(views), std::span(strings)}}) ==
          strings_read{"EVAL", "return 1", "2", "x", "y", "a", "", "c"});
    CHECK(arg(std::span(pairs)).words() == 4);
    CHECK(arg(7).words() == 1);
}

TEST_CASE("an argument list grows step by step") {
    arg_list list;
    CHECK(std::span<const arg>(list).empty());
    list.add("key");
    list.add("value", "EX", 60);
    CHECK(words_read({verb::set, list}) == strings_read{"SET", "key", "value", "EX", "60"});
    for (int number = 4; number < 24; ++number) list.add(number);
    CHECK(words_read({verb::set, list}).size() == 25);
}

TEST_CASE("a command of every size is encoded as what it is") {
    // Around the sizes at which lengths get a digit, and bytes leave the object.
    for (std::size_t size = 0; size < 1200; ++size) {
        const std::string word(size, 'w');
        CHECK(words_read({verb::set, {"k", word}}) == strings_read{"SET", "k", word});
        const std::vector<std::string> list(size, "x");
        const auto read = words_read({verb::del, {std::span(list)}});
        CHECK(read.size() == size + 1);
    }
    const std::string large(1 << 20, '\n');
    CHECK(words_read({verb::set, {large, large}})[2] == large);
}

TEST_CASE("a command knows its words and its first key") {
    const command set(verb::set, {"key", "value"});
    CHECK(set.size() == 3);
    CHECK(set.words() == std::vector<std::string_view>{"SET", "key", "value"});
    CHECK(set.first_key() == "key");
    CHECK(set.name() == "SET");
    CHECK(&set.info() == &info(verb::set));
    CHECK(command(verb::client_setname, {"x"}).name() == "CLIENT SETNAME");
    CHECK(command(verb::eval, {"return 1", 1, "k", "a"}).first_key() == "k");
    CHECK(command(verb::xread, {"COUNT", 1, "STREAMS", "s", "0"}).first_key() == "s");
    CHECK(command(verb::object_encoding, {"k"}).first_key() == "k");
    CHECK(command(verb::ping, {}).first_key().data() == nullptr);
    CHECK(command(verb::get, {}).first_key().data() == nullptr);
    CHECK(command(verb::eval, {"return 1", 0}).first_key().data() == nullptr);
    CHECK(command(verb::get, {""}).first_key().data() != nullptr);
}

TEST_CASE("a command by name is the same as by verb") {
    const std::array<arg, 1> key{"k"};
    CHECK(&command("GET", key).info() == &info(verb::get));
    CHECK(&command("get", key).info() == &info(verb::get));
    CHECK(words_read({"get", key}) == strings_read{"get", "k"});
    CHECK(command("get", key).first_key() == "k");
    CHECK(&command("OBJECT ENCODING", key).info() == &info(verb::object_encoding));
    CHECK(words_read({"OBJECT ENCODING", key}) == strings_read{"OBJECT", "ENCODING", "k"});
    const std::array<arg, 2> split{"ENCODING", "k"};
    CHECK(&command("OBJECT", split).info() == &info(verb::object_encoding));
    CHECK(command("OBJECT", split).first_key() == "k");
}

TEST_CASE("a name may have any number of words and spaces") {
    CHECK(words_read({"  SET  k   v ", {}}) == strings_read{"SET", "k", "v"});
    CHECK(words_read({"RPUSH l 1 2 3 4 5 6 7 8 9 10", {}}).size() == 12);
    const std::array<arg, 2> more{"", 11};
    CHECK(words_read({"RPUSH l 1", more}) == strings_read{"RPUSH", "l", "1", "", "11"});
    CHECK(words_read({"", more}) == strings_read{"", "11"});
    CHECK(command("SET k v", {}).first_key() == "k");
}

TEST_CASE("an unknown command is sent as it is") {
    const std::array<arg, 1> argument{1};
    const command unknown("NO.SUCH thing", argument);
    CHECK(words_read(unknown) == strings_read{"NO.SUCH", "thing", "1"});
    CHECK(unknown.info().id == verb::any);
    CHECK(unknown.name() == "NO.SUCH");
    CHECK(unknown.first_key().data() == nullptr);
    CHECK(!unknown.info().is(command_flag::read_only));
}

TEST_CASE("a command without a word is no command") {
    for (const std::string_view name : {"", " ", "    "}) {
        const command nothing(name, {});
        CHECK(nothing.too_large());
        CHECK(nothing.bytes().empty());
        CHECK(nothing.words().empty());
        CHECK(nothing.first_key().empty());
    }
}

TEST_CASE("what Redis does not take is not encoded") {
    // The words are never looked at, so their memory need not be there: one short block serves all.
    const std::vector<std::string_view> many(command_words_max - 1, "x");
    const command most(verb::del, {std::span(many)});
    CHECK(!most.too_large());
    CHECK(most.size() == command_words_max);
    const command more(verb::del, {std::span(many), "x"});
    CHECK(more.too_large());
    CHECK(more.bytes().empty());
    CHECK(more.words().empty());
    const std::array<arg, 2> two{std::span(many), "x"};
    CHECK(!command("DEL", std::span(two).first(1)).too_large());
    CHECK(command("DEL", two).too_large());
    CHECK(command("DEL x", std::span(two).first(1)).too_large());

    const std::string_view huge("x", word_bytes_max + 1);
    CHECK(command(verb::set, {"k", huge}).too_large());
    const std::array<arg, 1> one{huge};
    CHECK(command("GET", one).too_large());
    CHECK(size_of(info(verb::get), std::array<arg, 1>{huge.substr(1)}).bytes ==
          word_bytes_max + "*2\r\n$3\r\nGET\r\n$536870912\r\n\r\n"sv.size());
}

TEST_CASE("a large command lies in a chunk, and is copied with its bytes") {
    for (std::size_t size = command::large_bytes_min - 60; size < command::large_bytes_min;
         ++size) {
        const command one(verb::set, {"key", std::string(size, 'v')});
        const bool is_large = one.bytes().size() >= command::large_bytes_min;
        CHECK((one.shared() != nullptr) == is_large);
        CHECK(words_read(one)[2] == std::string(size, 'v'));
    }
    const std::uint64_t before = ouro::net::block_pool::stats().live;
    ouro::net::chunk kept;
    std::string bytes;
    {
        command one(verb::set, {"key", std::string(100'000, 'v')});
        bytes = text(one);
        const command copy(one);
        CHECK(text(copy) == bytes);
        CHECK(copy.shared()->data() != one.shared()->data());
        const std::byte* const where = one.bytes().data();
        command moved(std::move(one));
        CHECK(moved.shared()->data() == where);
        CHECK(moved.shared()->bytes().size() == moved.bytes().size());
        moved = command(verb::ping, {});
        CHECK(moved.shared() == nullptr);
        moved = copy;
        kept = *moved.shared();
        CHECK(ouro::net::block_pool::stats().live == before + 2);
    }
    CHECK(kept.text() == bytes);
    kept = {};
    CHECK(ouro::net::block_pool::stats().live == before);
}

TEST_CASE("commands are copied and moved with their bytes") {
    for (const std::size_t size : {1UL, 200UL, 100000UL}) {
        command one(verb::set, {"key", std::string(size, 'v')});
        const std::string bytes(text(one));
        const command copy(one);
        CHECK(text(copy) == bytes);
        CHECK(text(copy).data() != text(one).data());
        command moved(std::move(one));
        CHECK(text(moved) == bytes);
        CHECK(moved.first_key() == "key");
        CHECK(moved.size() == 3);
        const command again(std::move(moved));
        CHECK(text(again) == bytes);
        CHECK(&again.info() == &info(verb::set));

        command assigned(verb::get, {std::string(300, 'g')});
        assigned = again;
        CHECK(text(assigned) == bytes);
        assigned = command(verb::ping, {});
        CHECK(text(assigned) == "*1\r\n$4\r\nPING\r\n");
        CHECK(assigned.name() == "PING");
        const command& same = assigned;
        assigned = same;
        CHECK(assigned.name() == "PING");
    }
}

TEST_CASE("words of commands behind each other are visited") {
    std::string all(text({verb::multi, {}}));
    all += text({verb::set, {"k", "\r\n"}});
    all += text({verb::exec, {}});
    word_reader reader(std::as_bytes(std::span(all)));
    std::vector<std::string> seen;
    while (!reader.at_end())
        for (std::size_t left = reader.begin_command(); left > 0; --left)
            seen.emplace_back(reader.next());
    CHECK(seen == strings_read{"MULTI", "SET", "k", "\r\n", "EXEC"});
}
