// forger.hpp: records of TLS 1.3 made by hand, for what no library sends.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ouro::net::tls {

inline std::string big_endian(std::uint64_t value, std::size_t bytes) {
    std::string made(bytes, '\0');
    for (std::size_t i = bytes; i > 0; --i, value >>= 8)
        made[i - 1] = static_cast<char>(value & 0xff);
    return made;
}

/// A message of the handshake's.
inline std::string handshake_message(unsigned type, const std::string& body) {
    return big_endian(type, 1) + big_endian(body.size(), 3) + body;
}

/// A ticket for a session that nobody has.
inline std::string forged_ticket() {
    return handshake_message(4, big_endian(3600, 4) + big_endian(7, 4) + big_endian(1, 1) + "n" +
                                    big_endian(32, 2) + std::string(32, 't') + big_endian(0, 2));
}

/// Writes in one side's place, once it knows that side's secret: what a key log says behind
/// "…_TRAFFIC_SECRET_0", of a connection with TLS_AES_128_GCM_SHA256.
class forger {
public:
    forger(const std::string& secret_in_hex, std::uint64_t records_before)
        : secret_(from_hex(secret_in_hex)), number_(records_before) {}

    /// The next record, with `inner` in it and what that is said to be.
    std::string record(std::string inner, unsigned type) {
        inner += big_endian(type, 1);
        const std::string head = std::string("\x17\x03\x03", 3) + big_endian(inner.size() + 16, 2);
        return head + sealed(head, inner);
    }

private:
    static std::string from_hex(const std::string& text) {
        std::string made;
        for (std::size_t i = 0; i + 1 < text.size(); i += 2)
            made += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
        return made;
    }

    /// HKDF-Expand-Label of RFC 8446, for up to 32 bytes.
    std::string expand(std::string_view label, std::size_t bytes) const {
        const std::string name = "tls13 " + std::string(label);
        const std::string about =
            big_endian(bytes, 2) + big_endian(name.size(), 1) + name + big_endian(0, 1) + '\1';
        std::array<unsigned char, 32> out{};
        unsigned size = 0;
        HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), bytes_of(about),
             about.size(), out.data(), &size);
        REQUIRE(size >= bytes);
        return {reinterpret_cast<const char*>(out.data()), bytes};
    }

    std::string sealed(const std::string& head, const std::string& inner) {
        const std::string key = expand("key", 16);
        std::string iv = expand("iv", 12);
        const std::string number = big_endian(number_++, 12);
        for (std::size_t i = 0; i < iv.size(); ++i) iv[i] = static_cast<char>(iv[i] ^ number[i]);
        std::string out(inner.size() + 16, '\0');
        auto* const to = reinterpret_cast<unsigned char*>(out.data());
        const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> with(EVP_CIPHER_CTX_new(),
                                                                              EVP_CIPHER_CTX_free);
        int n = 0;
        EVP_EncryptInit_ex(with.get(), EVP_aes_128_gcm(), nullptr, bytes_of(key), bytes_of(iv));
        EVP_EncryptUpdate(with.get(), nullptr, &n, bytes_of(head), static_cast<int>(head.size()));
        EVP_EncryptUpdate(with.get(), to, &n, bytes_of(inner), static_cast<int>(inner.size()));
        EVP_EncryptFinal_ex(with.get(), to + n, &n);
        EVP_CIPHER_CTX_ctrl(with.get(), EVP_CTRL_GCM_GET_TAG, 16, to + inner.size());
        return out;
    }

    static const unsigned char* bytes_of(const std::string& text) noexcept {
        return reinterpret_cast<const unsigned char*>(text.data());
    }

    std::string secret_;
    std::uint64_t number_;
};

}  // namespace ouro::net::tls
