#include <ouro/kv/memcached/wire/binary.hpp>

#include <ouro/tests/kv/memcached/wire.hpp>

namespace ouro::memcached {
namespace {

/// Bytes from hexadecimal digits; anything else is left out.
std::string bytes(std::string_view hex) {
    std::string out;
    int high = -1;
    for (const char c : hex) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) continue;
        if (high >= 0) out += static_cast<char>(high * 16 + digit);
        high = high >= 0 ? -1 : digit;
    }
    return out;
}

std::string said(const request& what) { return head(binary::encode_head, what); }
parsed heard(std::string_view text, const wire_limits& limits = {}) {
    return parse_all(binary::parse, text, limits);
}
std::error_code refused(std::string_view text, const wire_limits& limits = {}) {
    return error_of_parsing(binary::parse, text, limits);
}

// Requests.

TEST_CASE("a get is a header and a key") {
    CHECK(said({.key = "Hello", .opaque = 0xdeadbeef}) ==
          bytes("80 00 0005 00 00 0000 00000005 deadbeef 0000000000000000") + "Hello");
}

TEST_CASE("a store counts its value in the header") {
    CHECK(said({.what = verb::add,
                .key = "Hello",
                .value = "World",
                .flags = 0xdeadbeef,
                .exptime = 3600}) ==
          bytes("80 02 0005 08 00 0000 00000012 00000000 0000000000000000 deadbeef 00000e10") +
              "Hello");
    CHECK(said({.what = verb::set, .key = "a", .value = "x", .cas = 0x0102030405060708}) ==
          bytes("80 01 0001 08 00 0000 0000000a 00000000 0102030405060708 00000000 00000000") +
              "a");
    CHECK(said({.what = verb::append, .key = "a", .value = "!"}) ==
          bytes("80 0e 0001 00 00 0000 00000002 00000000 0000000000000000") + "a");
}

TEST_CASE("arithmetic says whether a missing number is made") {
    CHECK(said({.what = verb::increment, .key = "n", .delta = 1}) ==
          bytes("80 05 0001 14 00 0000 00000015 00000000 0000000000000000"
                "0000000000000001 0000000000000000 ffffffff") +
              "n");
    CHECK(said({.what = verb::decrement, .key = "n", .exptime = 60, .delta = 2, .initial = 7}) ==
          bytes("80 06 0001 14 00 0000 00000015 00000000 0000000000000000"
                "0000000000000002 0000000000000007 0000003c") +
              "n");
}

TEST_CASE("the rest of the commands") {
    CHECK(said({.what = verb::remove, .key = "a"}).substr(0, 2) == bytes("80 04"));
    CHECK(said({.what = verb::touch, .key = "a", .exptime = 5}) ==
          bytes("80 1c 0001 04 00 0000 00000005 00000000 0000000000000000 00000005") + "a");
    CHECK(said({.key = "a", .exptime = 5}).substr(0, 2) == bytes("80 1d"));
    CHECK(said({.key = "a", .exptime = -1}).substr(24) == bytes("00278d01") + "a");  // in 1970
    CHECK(said({.what = verb::flush}).size() == 24);
    CHECK(said({.what = verb::flush, .exptime = 5}).size() == 28);
    CHECK(said({.what = verb::stats, .key = "items"}) ==
          bytes("80 10 0005 00 00 0000 00000005 00000000 0000000000000000") + "items");
    CHECK(said({.what = verb::noop}) == bytes("80 0a") + std::string(22, '\0'));
    CHECK(said({.what = verb::version}) == bytes("80 0b") + std::string(22, '\0'));
    const std::string plain = binary::credentials("me", "secret");
    CHECK(plain == std::string("\0me\0secret", 10));
    CHECK(said({.what = verb::authenticate, .value = plain}) ==
          bytes("80 21 0005 00 00 0000 0000000f 00000000 0000000000000000") + "PLAIN");
}

TEST_CASE("the longest head fits its room") {
    const std::string key(key_bytes_max, 'k');
    for (int v = 0; v <= static_cast<int>(verb::authenticate); ++v)
        CHECK(said({.what = static_cast<verb>(v), .key = key, .exptime = 1}).size() <=
              head_bytes_max);
}

// Replies.

TEST_CASE("a value with its flags and cas") {
    const parsed all =
        heard(bytes("81 00 0000 04 00 0000 00000009 deadbeef 0000000000000001 0000002a") + "World");
    CHECK(all.got.what == status::value);
    CHECK(all.got.value == "World");
    CHECK(all.got.flags == 42);
    CHECK(all.got.cas == 1);
    CHECK(all.got.has_opaque);
    CHECK(all.got.opaque == 0xdeadbeef);
    CHECK(all.got.opcode == 0);
}

TEST_CASE("a number, a version, statistics and their end") {
    CHECK(heard(bytes("81 05 0000 00 00 0000 00000008 00000000 0000000000000005 ffffffffffffffff"))
              .got.number == 18446744073709551615u);
    CHECK(heard(bytes("81 0b 0000 00 00 0000 00000003 00000000 0000000000000000") + "1.6")
              .got.value == "1.6");
    const parsed stat =
        heard(bytes("81 10 0003 00 00 0000 00000005 00000000 0000000000000000") + "pid42");
    CHECK(stat.got.what == status::stat);
    CHECK(stat.got.key == "pid");
    CHECK(stat.got.value == "42");
    CHECK(heard(bytes("81 10 0000 00 00 0000 00000000 00000000 0000000000000000")).got.what ==
          status::end);
    CHECK(heard(bytes("81 0a 0000 00 00 0000 00000000 00000000 0000000000000000")).got.what ==
          status::noop);
}

TEST_CASE("statuses become those of the text dialect, with the server's words") {
    const auto with_status = [](std::string_view status, std::string_view words) {
        const char size = static_cast<char>(words.size());
        return bytes("81 01 0000 00 00") + bytes(status) + bytes("000000") + size +
               bytes("00000007 0000000000000000") + std::string(words);
    };
    CHECK(heard(with_status("0000", "")).got.what == status::ok);
    CHECK(heard(with_status("0001", "Not found")).got.what == status::not_found);
    CHECK(heard(with_status("0002", "Data exists for key.")).got.what == status::exists);
    CHECK(heard(with_status("0005", "Not stored.")).got.what == status::not_stored);
    const parsed large = heard(with_status("0003", "Too large."));
    CHECK(large.got.is_error());
    CHECK(large.got.code == errc::value_too_large);
    CHECK(large.got.words == "Too large.");
    CHECK(heard(with_status("0006", "Non-numeric")).got.code == errc::not_a_number);
    CHECK(heard(with_status("0020", "Auth failure.")).got.code == errc::not_authenticated);
    CHECK(heard(with_status("0081", "Unknown command")).got.code == errc::unknown_command);
    CHECK(heard(with_status("0082", "Out of memory")).got.code == errc::out_of_memory);
    CHECK(heard(with_status("0085", "Busy")).got.code == errc::server_error);
}

TEST_CASE("what is no reply is refused") {
    for (const char* hex : {
             "48",
             "80 00",                                                        // another protocol
             "81 00 0000 04 00 0000 00000003 00000000 0000000000000000",     // extras > body
             "81 00 0005 00 00 0000 00000004 00000000 0000000000000000",     // key > body
             "81 00 00fb 00 00 0000 000000fb 00000000 0000000000000000",     // key > 250
             "81 00 0000 00 00 0000 00000001 00000000 0000000000000000 00",  // no flags
             "81 05 0000 00 00 0000 00000007 00000000 0000000000000000 00000000000000",
         }) {
        CAPTURE(hex);
        CHECK(refused(bytes(hex)) == errc::bad_reply);
    }
}

TEST_CASE("a body is taken up to its limit") {
    const wire_limits limits{.value_bytes_max = 64, .line_bytes_max = 16};
    const std::string value(64, 'v');
    CHECK(heard(bytes("81 00 0000 04 00 0000 00000044 00000000 0000000000000000 00000000") + value,
                limits)
              .got.value == value);
    CHECK(refused(bytes("81 00 0000 04 00 0000 00000045 00000000 0000000000000000"), limits) ==
          errc::value_too_large);
    CHECK(refused(bytes("81 00 0000 04 00 0000 ffffffff 00000000 0000000000000000"), limits) ==
          errc::bad_reply);
    CHECK(refused(bytes("81 00 0000 00 00 0004 00000011 00000000 0000000000000000"), limits) ==
          errc::bad_reply);
}

}  // namespace
}  // namespace ouro::memcached
