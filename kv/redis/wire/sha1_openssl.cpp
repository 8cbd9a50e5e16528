#include <ouro/kv/redis/wire/sha1.hpp>

#include <openssl/sha.h>

#include <array>

namespace ouro::redis {

std::string sha1_of(std::string_view text) {
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    constexpr std::string_view digits = "0123456789abcdef";
    std::string all;
    all.reserve(2 * digest.size());
    for (const unsigned char byte : digest) {
        all += digits[byte >> 4];
        all += digits[byte & 15];
    }
    return all;
}

}  // namespace ouro::redis
