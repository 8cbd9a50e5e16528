#include <ouro/kv/memcached/key.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace ouro::memcached {
namespace {

std::string base64(std::string_view key) {
    std::string out(base64_bytes(key.size()), '?');
    CHECK(write_base64(key, out.data()) == out.data() + out.size());
    return out;
}

TEST_CASE("a key has 1 to 250 bytes") {
    CHECK_FALSE(is_valid_key(""));
    for (std::size_t n = 1; n <= 250; ++n) CHECK(is_valid_key(std::string(n, 'k')));
    CHECK_FALSE(is_valid_key(std::string(251, 'k')));
    CHECK_FALSE(is_valid_key(std::string(100'000, 'k')));
}

TEST_CASE("no blank and no control character is taken, wherever it stands") {
    for (int c = 0; c < 256; ++c) {
        const bool good = c > 0x20 && c != 0x7f;
        for (const std::size_t size : {1u, 7u, 8u, 9u, 16u, 23u, 250u})
            for (std::size_t at = 0; at < size; ++at) {
                // Neighbours that would lend or borrow a bit if they could.
                for (const char around : {'!', '\xff', '\x80', '~'}) {
                    std::string key(size, around);
                    key[at] = static_cast<char>(c);
                    CHECK(is_valid_key(key) == good);
                }
            }
    }
}

TEST_CASE("what could end a command line and begin another one is no key") {
    CHECK_FALSE(is_valid_key("a\r\nflush_all\r\n"));
    CHECK_FALSE(is_valid_key("a b"));
    CHECK_FALSE(is_valid_key(std::string_view("a\0b", 3)));
    CHECK(is_valid_key("sch\xc3\xb6n:\xe2\x82\xac"));
}

TEST_CASE("base64 gives the vectors of RFC 4648") {
    CHECK(base64("") == "");
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("foob") == "Zm9vYg==");
    CHECK(base64("fooba") == "Zm9vYmE=");
    CHECK(base64("foobar") == "Zm9vYmFy");
    CHECK(base64(std::string_view("\0\xff\xfe", 3)) == "AP/+");
}

TEST_CASE("whatever fits is a key in base64, and what it becomes is a plain one") {
    CHECK_FALSE(is_valid_base64_key(""));
    CHECK(is_valid_base64_key(std::string(base64_key_bytes_max, '\n')));
    CHECK_FALSE(is_valid_base64_key(std::string(base64_key_bytes_max + 1, 'a')));
    std::mt19937 random(7);
    for (std::size_t n = 1; n <= base64_key_bytes_max; ++n) {
        std::string key;
        for (std::size_t i = 0; i < n; ++i) key += static_cast<char>(random());
        CHECK(is_valid_key(base64(key)));
    }
    CHECK(base64_bytes(base64_key_bytes_max) <= key_bytes_max);
    CHECK(base64_bytes(base64_key_bytes_max + 1) > key_bytes_max);
}

}  // namespace
}  // namespace ouro::memcached
