#include <ouro/kv/memcached/wire/text.hpp>

#include <ouro/tests/kv/memcached/wire.hpp>

namespace ouro::memcached {
namespace {

std::string said(const request& what) { return head(text::encode_head, what); }
parsed heard(std::string_view text, const wire_limits& limits = {}) {
    return parse_all(text::parse, text, limits);
}
std::error_code refused(std::string_view text, const wire_limits& limits = {}) {
    return error_of_parsing(text::parse, text, limits);
}

// Requests.

TEST_CASE("gets with and without a cas, and with a touch") {
    CHECK(said({.key = "a"}) == "get a\r\n");
    CHECK(said({.key = "a", .wants_cas = true}) == "gets a\r\n");
    CHECK(said({.key = "a", .exptime = 10}) == "gat 10 a\r\n");
    CHECK(said({.key = "a", .exptime = -1, .wants_cas = true}) == "gats -1 a\r\n");
    CHECK(said({.what = verb::touch, .key = "a", .exptime = 5}) == "touch a 5\r\n");
}

TEST_CASE("stores carry flags, expiration and size") {
    CHECK(said({.what = verb::set, .key = "a", .value = "xyz", .flags = 7, .exptime = 60}) ==
          "set a 7 60 3\r\n");
    CHECK(said({.what = verb::add, .key = "a"}) == "add a 0 0 0\r\n");
    CHECK(said({.what = verb::replace, .key = "a"}) == "replace a 0 0 0\r\n");
    CHECK(said({.what = verb::append, .key = "a"}) == "append a 0 0 0\r\n");
    CHECK(said({.what = verb::prepend, .key = "a"}) == "prepend a 0 0 0\r\n");
    CHECK(said({.what = verb::set, .key = "a", .value = "x", .cas = 9}) == "cas a 0 0 1 9\r\n");
}

TEST_CASE("arithmetic, delete and the rest") {
    CHECK(said({.what = verb::increment, .key = "n", .delta = 18446744073709551615u}) ==
          "incr n 18446744073709551615\r\n");
    CHECK(said({.what = verb::decrement, .key = "n"}) == "decr n 1\r\n");
    CHECK(said({.what = verb::remove, .key = "a"}) == "delete a\r\n");
    CHECK(said({.what = verb::flush}) == "flush_all\r\n");
    CHECK(said({.what = verb::flush, .exptime = 3}) == "flush_all 3\r\n");
    CHECK(said({.what = verb::stats}) == "stats\r\n");
    CHECK(said({.what = verb::stats, .key = "slabs"}) == "stats slabs\r\n");
    CHECK(said({.what = verb::version}) == "version\r\n");
    CHECK(said({.what = verb::noop}) == "version\r\n");
    CHECK(text::credentials("me", "a secret") == "me a secret");
}

TEST_CASE("what the dialect has no words for is known beforehand") {
    CHECK(text::can_say({.key = "a", .wants_cas = true}));
    CHECK(text::can_say({.what = verb::set, .key = "a", .cas = 3}));
    CHECK_FALSE(text::can_say({.what = verb::remove, .key = "a", .cas = 3}));
    CHECK_FALSE(text::can_say({.what = verb::set, .key = "a", .wants_cas = true}));
    CHECK_FALSE(text::can_say({.what = verb::increment, .key = "a", .exptime = 3}));
    CHECK_FALSE(text::can_say({.key = "a", .base64 = true}));
    CHECK_FALSE(text::can_say({.key = "a", .vivify = 3}));
    CHECK_FALSE(text::can_say({.key = "a", .wants_ttl = true}));
    CHECK_FALSE(text::can_say({.what = verb::remove, .key = "a", .stale = true}));
}

TEST_CASE("a get of many keys stays below the length that servers misread") {
    std::string line;
    text::begin_get(line, true, 30);
    std::size_t keys = 0;
    while (text::add_key(line, "0123456789")) ++keys;
    text::end_get(line);
    CHECK(line.starts_with("gats 30 0123456789 0123456789"));
    CHECK(line.size() <= text::command_bytes_max);
    CHECK(line.size() > text::command_bytes_max - 11);
    CHECK(keys == (text::command_bytes_max - 9) / 11);

    text::begin_get(line, false, {});
    CHECK(line == "get");
    CHECK(text::add_key(line, std::string(text::command_bytes_max - 6, 'k')));
    CHECK_FALSE(text::add_key(line, "k"));
    text::begin_get(line, false, {});
    CHECK_FALSE(text::add_key(line, std::string(text::command_bytes_max - 5, 'k')));
}

// Replies.

TEST_CASE("values with and without a cas") {
    const parsed plain = heard("VALUE key 7 5\r\nhe\r\nl\r\n");
    CHECK(plain.got.what == status::value);
    CHECK(plain.got.key == "key");
    CHECK(plain.got.flags == 7);
    CHECK(plain.got.value == "he\r\nl");
    CHECK(plain.got.cas == 0);
    const parsed with_cas = heard("VALUE k 4294967295 0 18446744073709551615\r\n\r\n");
    CHECK(with_cas.got.flags == 4294967295);
    CHECK(with_cas.got.value == "");
    CHECK(with_cas.got.cas == 18446744073709551615u);
}

TEST_CASE("single lines") {
    CHECK(heard("STORED\r\n").got.what == status::ok);
    CHECK(heard("NOT_STORED\r\n").got.what == status::not_stored);
    CHECK(heard("EXISTS\r\n").got.what == status::exists);
    CHECK(heard("NOT_FOUND\r\n").got.what == status::not_found);
    CHECK(heard("DELETED\r\n").got.what == status::ok);
    CHECK(heard("TOUCHED\r\n").got.what == status::ok);
    CHECK(heard("OK\r\n").got.what == status::ok);
    CHECK(heard("RESET\r\n").got.what == status::ok);
    CHECK(heard("END\r\n").got.what == status::end);
    CHECK(heard("VERSION 1.6.18\r\n").got.value == "1.6.18");
}

TEST_CASE("statistics keep everything behind the name") {
    const parsed one = heard("STAT rusage_user 0.1 and more\r\n");
    CHECK(one.got.what == status::stat);
    CHECK(one.got.key == "rusage_user");
    CHECK(one.got.value == "0.1 and more");
    CHECK(heard("STAT inter \r\n").got.value == "");
    CHECK(heard("ITEM a [1 b; 0 s]\r\n").got.what == status::stat);
}

TEST_CASE("numbers may be padded with blanks, and must fit") {
    CHECK(heard("0\r\n").got.number == 0);
    CHECK(heard("9  \r\n").got.number == 9);
    CHECK(heard("18446744073709551615\r\n").got.number == 18446744073709551615u);
    CHECK(refused("18446744073709551616\r\n") == errc::bad_reply);
    CHECK(refused("18446744073709551620\r\n") == errc::bad_reply);
    CHECK(refused("99999999999999999999999\r\n") == errc::bad_reply);
    CHECK(refused("9 9\r\n") == errc::bad_reply);
    CHECK(refused("-1\r\n") == errc::bad_reply);
    CHECK(refused("1x\r\n") == errc::bad_reply);
}

TEST_CASE("errors keep the server's words") {
    CHECK(heard("ERROR\r\n").got.code == errc::unknown_command);
    CHECK(heard("CLIENT_ERROR bad data chunk\r\n").got.words == "CLIENT_ERROR bad data chunk");
    CHECK(heard("CLIENT_ERROR\r\n").got.what == status::client_error);
    CHECK(heard("SERVER_ERROR out of memory\r\n").got.code == errc::out_of_memory);
}

TEST_CASE("what is no reply is refused") {
    for (const char* text : {"HTTP/1.1 400 Bad Request\r\n",
                             "\r\n",
                             "stored\r\n",
                             "STORED \r\n",
                             "STORED\n",
                             "VALUE\r\n",
                             "VALUE a\r\n",
                             "VALUE a 1\r\n",
                             "VALUE a x 1\r\n",
                             "VALUE a 1 x\r\n",
                             "VALUE a 1 -1\r\n",
                             "VALUE a 1 1 x\r\n",
                             "VALUE a 1 1 1 1\r\n",
                             "VALUE a 4294967296 1\r\n",
                             "VALUE a 1 1 18446744073709551616\r\n",
                             "VALUE a 1 1\r\nab\r\n",
                             "VALUE  1 1\r\n",
                             "ENDS\r\n",
                             "VERSION\r\n",
                             "STAT\r\n",
                             "NOT_\r\n",
                             "HD\r\n",
                             "$5\r\n"}) {
        CAPTURE(text);
        CHECK(refused(text) == errc::bad_reply);
    }
}

TEST_CASE("lines and values are taken up to their limits") {
    const wire_limits limits{.value_bytes_max = 4, .line_bytes_max = 16};
    CHECK(heard("VALUE abc 0 4\r\n1234\r\n", limits).got.value == "1234");
    CHECK(refused("VALUE abc 0 5\r\n", limits) == errc::value_too_large);
    CHECK(heard("VERSION 123456\r\n", limits).got.value == "123456");
    CHECK(refused("VERSION 1234567\r\n", limits) == errc::bad_reply);
}

}  // namespace
}  // namespace ouro::memcached
