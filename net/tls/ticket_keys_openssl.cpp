#include <ouro/net/tls/ticket_keys.hpp>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace ouro::net::tls {
namespace {

constexpr int iv_bytes = 16;

/// Fetched once: by name it would be looked up, under a lock, for each ticket.
const EVP_CIPHER* sealing_cipher() noexcept {
    static EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
    return fetched;
}

}  // namespace

ticket_keys::~ticket_keys() { OPENSSL_cleanse(keys_.data(), sizeof keys_); }

void ticket_keys::set_age(duration age) noexcept {
    const std::lock_guard only(lock_);
    age_ = age;
}

bool ticket_keys::rotate() noexcept {
    const std::lock_guard only(lock_);
    return rotate_locked();
}

bool ticket_keys::rotate_locked() noexcept {
    key fresh{};
    if (RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) != 1 ||
        RAND_priv_bytes(fresh.cipher.data(), static_cast<int>(fresh.cipher.size())) != 1 ||
        RAND_priv_bytes(fresh.mac.data(), static_cast<int>(fresh.mac.size())) != 1)
        return false;
    std::copy_backward(keys_.begin(), keys_.end() - 1, keys_.end());
    keys_.front() = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    count_ = std::min(count_ + 1, keys_max);
    made_ = clock::now();
    return true;
}

const ticket_keys::key* ticket_keys::find(const unsigned char* name) const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        if (std::memcmp(keys_[i].name.data(), name, keys_[i].name.size()) == 0) return &keys_[i];
    return nullptr;
}

int ticket_keys::prepare(unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher,
                         evp_mac_ctx_st* mac, bool seal) noexcept {
    const std::lock_guard only(lock_);
    if ((count_ == 0 || clock::now() - made_ >= age_) && !rotate_locked()) return -1;
    const key* const with = seal ? &keys_.front() : find(name);
    if (!with) return 0;
    if (seal) {
        std::copy(with->name.begin(), with->name.end(), name);
        if (RAND_bytes(iv, iv_bytes) != 1) return -1;
    }
    char digest[] = "SHA256";
    OSSL_PARAM how[] = {
        OSSL_PARAM_construct_octet_string(
            OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(with->mac.data()), with->mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    const bool well = sealing_cipher() &&
                      EVP_CipherInit_ex(cipher, sealing_cipher(), nullptr, with->cipher.data(), iv,
                                        seal ? 1 : 0) == 1 &&
                      EVP_MAC_CTX_set_params(mac, how) == 1;
    if (!well) return -1;
    return with == &keys_.front() ? 1 : 2;
}

}  // namespace ouro::net::tls
