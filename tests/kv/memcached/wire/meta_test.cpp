#include <ouro/kv/memcached/wire/meta.hpp>

#include <ouro/tests/kv/memcached/wire.hpp>

namespace ouro::memcached {
namespace {

std::string said(const request& what) { return head(meta::encode_head, what); }
parsed heard(std::string_view text, const wire_limits& limits = {}) {
    return parse_all(meta::parse, text, limits);
}
std::error_code refused(std::string_view text, const wire_limits& limits = {}) {
    return error_of_parsing(meta::parse, text, limits);
}

// Requests.

TEST_CASE("a get asks for what is wanted, and its opaque comes last") {
    CHECK(said({.key = "a", .opaque = 7}) == "mg a v O7\r\n");
    CHECK(said({.key = "a",
                .opaque = 4294967295,
                .wants_flags = true,
                .wants_cas = true,
                .wants_ttl = true}) == "mg a v f t c O4294967295\r\n");
    CHECK(said({.key = "a", .exptime = 30, .opaque = 1}) == "mg a v T30 O1\r\n");
    CHECK(said({.key = "a", .opaque = 1, .wants_value = false}) == "mg a O1\r\n");
    CHECK(said({.key = "a", .opaque = 1, .vivify = 30, .recache = 5}) == "mg a v N30 R5 O1\r\n");
}

TEST_CASE("each store has its mode, and a cas where one is given") {
    CHECK(said({.what = verb::set, .key = "a", .value = "xyz"}) == "ms a 3 O0\r\n");
    CHECK(said({.what = verb::set, .key = "a", .value = "x", .flags = 5, .exptime = 60}) ==
          "ms a 1 F5 T60 O0\r\n");
    CHECK(said({.what = verb::set, .key = "a", .exptime = -1}) == "ms a 0 T-1 O0\r\n");
    CHECK(said({.what = verb::add, .key = "a"}) == "ms a 0 ME O0\r\n");
    CHECK(said({.what = verb::replace, .key = "a"}) == "ms a 0 MR O0\r\n");
    CHECK(said({.what = verb::append, .key = "a"}) == "ms a 0 MA O0\r\n");
    CHECK(said({.what = verb::prepend, .key = "a"}) == "ms a 0 MP O0\r\n");
    CHECK(said({.what = verb::set, .key = "a", .cas = 18446744073709551615u, .stale = true}) ==
          "ms a 0 I C18446744073709551615 O0\r\n");
}

TEST_CASE("arithmetic, delete, touch and the rest") {
    CHECK(said({.what = verb::increment, .key = "n"}) == "ma n v D1 O0\r\n");
    CHECK(said({.what = verb::decrement, .key = "n", .delta = 5}) == "ma n v MD D5 O0\r\n");
    CHECK(said({.what = verb::increment, .key = "n", .exptime = 60, .initial = 9}) ==
          "ma n v D1 N60 J9 O0\r\n");
    CHECK(said({.what = verb::remove, .key = "a"}) == "md a O0\r\n");
    CHECK(said({.what = verb::remove, .key = "a", .cas = 3}) == "md a C3 O0\r\n");
    CHECK(said({.what = verb::remove, .key = "a", .exptime = 30, .stale = true}) ==
          "md a I T30 O0\r\n");
    CHECK(said({.what = verb::touch, .key = "a", .exptime = 9}) == "mg a T9 O0\r\n");
    CHECK(said({.what = verb::noop}) == "mn\r\n");
    CHECK(said({.what = verb::flush, .exptime = 10}) == "flush_all 10\r\n");
    CHECK(said({.what = verb::stats, .key = "items"}) == "stats items\r\n");
    CHECK(said({.what = verb::version}) == "version\r\n");
    CHECK(said({.what = verb::authenticate, .value = "me secret"}) == "set auth 0 0 9\r\n");
}

TEST_CASE("a key travels in base64 when it is to") {
    CHECK(said({.key = "a b\n", .opaque = 1, .base64 = true}) == "mg YSBiCg== v b O1\r\n");
    CHECK(said({.what = verb::set, .key = "hi", .value = "x", .base64 = true}) ==
          "ms aGk= 1 b O0\r\n");
}

TEST_CASE("the longest head fits its room") {
    const std::string key(key_bytes_max, 'k');
    const std::string raw(base64_key_bytes_max, '\xff');
    request what{.key = key,
                 .flags = 4294967295,
                 .exptime = -2147483648,
                 .cas = 18446744073709551615u,
                 .delta = 18446744073709551615u,
                 .initial = 18446744073709551615u,
                 .opaque = 4294967295,
                 .wants_flags = true,
                 .wants_cas = true,
                 .wants_ttl = true,
                 .stale = true,
                 .vivify = -2147483648,
                 .recache = -2147483648};
    for (int v = 0; v <= static_cast<int>(verb::authenticate); ++v) {
        what.what = static_cast<verb>(v);
        what.base64 = false;
        what.key = key;
        CHECK(said(what).ends_with("\r\n"));
        what.base64 = true;
        what.key = raw;
        CHECK(said(what).ends_with("\r\n"));
    }
}

// Replies.

TEST_CASE("a value comes with the flags that were asked for") {
    const parsed all = heard("VA 2 f5 t-1 c18446744073709551615 ka O12 s2 h1 l0\r\nhi\r\n");
    CHECK(all.got.what == status::value);
    CHECK(all.got.value == "hi");
    CHECK(all.got.flags == 5);
    CHECK(all.got.ttl == -1);
    CHECK(all.got.cas == 18446744073709551615u);
    CHECK(all.got.key == "a");
    CHECK(all.got.has_opaque);
    CHECK(all.got.opaque == 12);
    CHECK_FALSE(all.got.won);
}

TEST_CASE("a value may be empty, and may hold what looks like a reply") {
    CHECK(heard("VA 0 O1\r\n\r\n").got.value == "");
    CHECK(heard("VA 13 O1\r\nEN\r\nHD O5\r\n\r\n\r\n").got.value == "EN\r\nHD O5\r\n\r\n");
    CHECK(heard(std::string("VA 3\r\n\0\r\n\r\n", 11)).got.value == std::string("\0\r\n", 3));
}

TEST_CASE("the flags of stampede protection are told apart") {
    const parsed won = heard("VA 0 c2 O12 W\r\n\r\n");
    CHECK(won.got.won);
    CHECK_FALSE(won.got.taken);
    const parsed taken = heard("VA 1 t30 c17 f0 O2 Z X\r\na\r\n");
    CHECK(taken.got.taken);
    CHECK(taken.got.stale);
    CHECK_FALSE(taken.got.won);
}

TEST_CASE("codes without a value") {
    CHECK(heard("HD O3\r\n").got.what == status::ok);
    CHECK(heard("HD\r\n").got.what == status::ok);
    CHECK(heard("HD t4294967232 O4\r\n").got.ttl == 4294967232);
    CHECK(heard("EN O1\r\n").got.what == status::miss);
    CHECK(heard("EN\r\n").got.what == status::miss);
    CHECK_FALSE(heard("EN\r\n").got.has_opaque);
    CHECK(heard("NF O1\r\n").got.what == status::not_found);
    CHECK(heard("NS O1\r\n").got.what == status::not_stored);
    CHECK(heard("EX O4294967295\r\n").got.opaque == 4294967295);
    CHECK(heard("MN\r\n").got.what == status::noop);
}

TEST_CASE("errors keep the server's words") {
    const parsed large = heard("SERVER_ERROR object too large for cache\r\n");
    CHECK(large.got.what == status::server_error);
    CHECK(large.got.code == errc::value_too_large);
    CHECK(large.got.words == "SERVER_ERROR object too large for cache");
    CHECK(large.got.is_error());
    CHECK(heard("CLIENT_ERROR invalid flag\r\n").got.what == status::client_error);
    CHECK(heard("ERROR\r\n").got.what == status::error);
    CHECK(heard("ERROR Too many open connections\r\n").got.code == errc::too_many_connections);
}

TEST_CASE("what only the text dialect can say is understood, too") {
    CHECK(heard("OK\r\n").got.what == status::ok);
    CHECK(heard("STORED\r\n").got.what == status::ok);
    CHECK(heard("VERSION 1.6.18\r\n").got.value == "1.6.18");
    CHECK(heard("STAT pid 42\r\n").got.value == "42");
    CHECK(heard("END\r\n").got.what == status::end);
}

TEST_CASE("what is no reply is refused") {
    for (const char* text : {"HTTP/1.1 400 Bad Request\r\n",
                             "-ERR unknown command\r\n",
                             "HD O1\n",
                             "\r\n",
                             "VA\r\n",
                             "VA x\r\n",
                             "VA -1\r\n\r\n",
                             "VA 1\r\nab\r\n",
                             "VA 1 O1\r\na\n\n",
                             "VA 18446744073709551616\r\n",
                             "HD Ox\r\n",
                             "HD O\r\n",
                             "HD O-1\r\n",
                             "HD O4294967296\r\n",
                             "HD O1 O2\r\n",
                             "HD  O1\r\n",
                             "HD f4294967296\r\n",
                             "HD c18446744073709551616\r\n",
                             "HD t\r\n",
                             "XX O1\r\n",
                             "ok\r\n",
                             "hd\r\n",
                             "H\r\n",
                             "VA  1\r\na\r\n",
                             "HDX O1\r\n",
                             "ERRORS\r\n",
                             "VALUE a\r\n"}) {
        CAPTURE(text);
        CHECK(refused(text) == errc::bad_reply);
    }
}

TEST_CASE("a line is taken up to its limit and not one byte beyond") {
    const wire_limits limits{.value_bytes_max = 10, .line_bytes_max = 32};
    const std::string fits = "HD O1 k" + std::string(23, 'k') + "\r\n";
    CHECK(fits.size() == 32);
    CHECK(heard(fits, limits).got.has_key);
    const std::string too_long = "HD O1 k" + std::string(24, 'k') + "\r\n";
    CHECK(refused(too_long, limits) == errc::bad_reply);
    CHECK(refused(too_long.substr(0, 32), limits) == errc::bad_reply);
    CHECK_FALSE(refused(too_long.substr(0, 31), limits));
}

TEST_CASE("a value is taken up to its limit, and a larger one refused by its header") {
    const wire_limits limits{.value_bytes_max = 10, .line_bytes_max = 32};
    CHECK(heard("VA 10 O1\r\n0123456789\r\n", limits).got.value == "0123456789");
    CHECK(refused("VA 11 O1\r\n", limits) == errc::value_too_large);
    CHECK(refused("VA 1073741824 O1\r\n", limits) == errc::value_too_large);
    CHECK(refused("VA 1073741825 O1\r\n", limits) == errc::bad_reply);
    CHECK(refused("VA 18446744073709551615 O1\r\n", limits) == errc::bad_reply);
}

}  // namespace
}  // namespace ouro::memcached
