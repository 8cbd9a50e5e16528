// Any bytes as what a peer sends: to a server and a client before the handshake, and to both after
// it. Nothing crashes, an engine that has failed stays so, the thread's queue of errors is empty,
// and before the handshake the pieces in which the bytes arrive change nothing.
#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/engine.hpp>
#include <ouro/runtime/check.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

using namespace ouro::net;

namespace {

std::string text_of(BIO* from) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(from, &text);
    std::string all(text, static_cast<std::size_t>(size));
    BIO_free(from);
    return all;
}

/// A key, and a certificate that it signs for itself.
tls::identity self_signed() {
    EVP_PKEY* const key = EVP_EC_gen("P-256");
    X509* const made = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 365L * 24 * 3600);
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    BIO* const certificate = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(certificate, made);
    BIO* const secret = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr);
    X509_free(made);
    EVP_PKEY_free(key);
    return {.certificate_pem = text_of(certificate), .key_pem = text_of(secret)};
}

const tls::server_context& server() {
    static const tls::server_context made([] {
        tls::server_options options;
        options.identities = {self_signed()};
        options.alpn = {"h2", "http/1.1"};
        return options;
    }());
    return made;
}

const tls::client_context& client() {
    static const tls::client_context made([] {
        tls::client_options options;
        options.check = tls::verify::none;
        options.alpn = {"h2"};
        options.sessions_max = 0;
        return options;
    }());
    return made;
}

void check(const tls::engine& each) {
    OURO_ASSERT(ERR_peek_error() == 0);
    OURO_ASSERT(each.pending().size() < 64 * 1024);
}

void drain(tls::engine& from) {
    while (!from.pending().empty()) from.sent(from.pending().size());
}

/// What is left when all of it was fed in pieces of at most `piece`: 0, or the error.
std::error_code feed(tls::engine& to, std::span<const std::byte> bytes, std::size_t piece) {
    std::array<std::byte, 777> clear;
    for (;;) {
        while (to.handshake_done() && to.ready() && !to.error()) {
            const int got = to.take(clear);
            check(to);
            if (got == 0) return {};
            OURO_ASSERT(got > 0 || to.error());
        }
        if (to.error() || bytes.empty()) return to.error();
        const auto space = to.space();
        const std::size_t n = std::min({space.size(), bytes.size(), piece});
        std::copy_n(bytes.begin(), n, space.begin());
        to.received(n);
        bytes = bytes.subspan(n);
        if (!to.handshake_done()) to.handshake();
        check(to);
        drain(to);
    }
}

void check_final(tls::engine& each) {
    if (!each.error()) return;
    const std::error_code first = each.error();
    std::array<std::byte, 16> clear;
    OURO_ASSERT(each.handshake() == tls::engine::progress::failed || each.handshake_done());
    OURO_ASSERT(each.take(clear) < 0);
    OURO_ASSERT(each.ready());
    OURO_ASSERT(each.error() == first);
}

std::unique_ptr<tls::engine> fresh(bool as_server) {
    auto made = as_server ? server().make_engine() : client().make_engine("localhost");
    made->handshake();
    drain(*made);
    return made;
}

void pass(tls::engine& from, tls::engine& to) {
    const auto pending = from.pending();
    const std::string copy(reinterpret_cast<const char*>(pending.data()), pending.size());
    drain(from);
    feed(to, std::as_bytes(std::span(copy)), SIZE_MAX);
}

/// Two that have shaken hands; then one of them gets the bytes as they are.
void after_handshake(std::span<const std::byte> bytes, bool to_server) {
    const auto here = server().make_engine();
    const auto there = client().make_engine("localhost");
    there->handshake();
    // `feed` drops what an engine answers, so the flights are passed by hand.
    for (int flights = 0; flights < 4 && !there->handshake_done(); ++flights) {
        std::string hello(reinterpret_cast<const char*>(there->pending().data()),
                          there->pending().size());
        drain(*there);
        auto space = here->space();
        OURO_ASSERT(hello.size() <= space.size());
        std::copy_n(reinterpret_cast<const std::byte*>(hello.data()), hello.size(), space.begin());
        here->received(hello.size());
        here->handshake();
        while (!here->pending().empty()) {
            space = there->space();
            const std::size_t n = std::min(space.size(), here->pending().size());
            std::copy_n(here->pending().begin(), n, space.begin());
            there->received(n);
            here->sent(n);
            there->handshake();
        }
    }
    pass(*there, *here);
    OURO_ASSERT(here->handshake_done() && there->handshake_done());
    tls::engine& to = to_server ? *here : *there;
    feed(to, bytes, SIZE_MAX);
    check_final(to);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const bool as_server : {true, false}) {
        const auto whole = fresh(as_server), cut = fresh(as_server);
        const std::error_code a = feed(*whole, bytes, SIZE_MAX);
        const std::error_code b = feed(*cut, bytes, 1);
        OURO_ASSERT(a == b);
        check_final(*whole);
        check_final(*cut);
        after_handshake(bytes, as_server);
    }
    return 0;
}
