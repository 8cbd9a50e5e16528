#include <ouro/net/tls/openssl.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace ouro::net::tls {

void let_go::operator()(bio_st* p) const noexcept { BIO_free(p); }
void let_go::operator()(evp_pkey_st* p) const noexcept { EVP_PKEY_free(p); }
void let_go::operator()(ssl_ctx_st* p) const noexcept { SSL_CTX_free(p); }
void let_go::operator()(ssl_session_st* p) const noexcept { SSL_SESSION_free(p); }
void let_go::operator()(ssl_st* p) const noexcept { SSL_free(p); }
void let_go::operator()(x509_st* p) const noexcept { X509_free(p); }
void let_go::operator()(x509_store_st* p) const noexcept { X509_STORE_free(p); }

/// It is nearly always empty, and the library clears each of its places to make it so: for a record
/// of 64 bytes that would be a sixth of the time.
void clean_queue::empty() noexcept {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

std::string clean_queue::words() const {
    const unsigned long oldest = ERR_peek_error();
    if (oldest == 0) return {};
    if (const char* reason = ERR_reason_error_string(oldest)) return reason;
    char text[128];
    ERR_error_string_n(oldest, text, sizeof text);
    return text;
}

}  // namespace ouro::net::tls
