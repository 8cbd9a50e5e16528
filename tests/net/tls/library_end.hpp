// library_end.hpp: OpenSSL itself at the other end of an engine, which may do what ours does not.
#pragma once

#include "engines.hpp"

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <string>

namespace ouro::net::tls {

struct library_options {
    tls::side side = tls::side::client;
    int version = TLS1_3_VERSION;
    long record_bytes = 16 * 1024;
    /// Of a server.
    identity who = localhost_identity();
    /// Whether anything goes, however weak.
    bool weak = false;
    /// What a server chooses whatever a client offers.
    std::string alpn = {};
    /// Whether a server's tickets are good: else it gives some and answers them with an alert.
    bool resumes = true;
};

/// Bytes in and out. A server wants a certificate, so that its ticket is a long one.
class library_end {
public:
    explicit library_end(library_options options) : options_(std::move(options)) {
        const bool serves = options_.side == side::server;
        with_ = hold(SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method()));
        if (options_.weak) SSL_CTX_set_security_level(with_.get(), 0);
        SSL_CTX_set_min_proto_version(with_.get(), 0);
        SSL_CTX_set_max_proto_version(with_.get(), options_.version);
        SSL_CTX_set_max_send_fragment(with_.get(), options_.record_bytes);
        if (serves) serve();
        ssl_ = hold(SSL_new(with_.get()));
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        if (serves)
            SSL_set_accept_state(ssl_.get());
        else
            SSL_set_connect_state(ssl_.get());
    }

    /// What it has to say to these bytes.
    std::string feed(const std::string& bytes) {
        BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
        SSL_do_handshake(ssl_.get());
        char space[4096];
        for (int got = 0; (got = SSL_read(ssl_.get(), space, sizeof space)) > 0;)
            clear.append(space, static_cast<std::size_t>(got));
        return drain();
    }

    /// Sends them.
    std::string put(const std::string& text) {
        SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
        return drain();
    }

    SSL* library() noexcept { return ssl_.get(); }

    std::string clear;

private:
    void serve() {
        SSL_CTX_use_certificate_chain_file(with_.get(), options_.who.certificate_file.c_str());
        SSL_CTX_use_PrivateKey_file(with_.get(), options_.who.key_file.c_str(), SSL_FILETYPE_PEM);
        const std::string ca = shared_tls_ca().ca_file();
        SSL_CTX_load_verify_locations(with_.get(), ca.c_str(), nullptr);
        SSL_CTX_set_verify(with_.get(), SSL_VERIFY_PEER, nullptr);
        const unsigned char about[] = "test";
        if (options_.resumes) SSL_CTX_set_session_id_context(with_.get(), about, sizeof about);
        unsigned char same_keys[80] = {};  // for all servers of a program
        SSL_CTX_set_tlsext_ticket_keys(with_.get(), same_keys, sizeof same_keys);
        SSL_CTX_set_num_tickets(with_.get(), 1);
        if (!options_.alpn.empty()) SSL_CTX_set_alpn_select_cb(with_.get(), choose, &options_.alpn);
    }

    static int choose(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char*,
                      unsigned, void* what) {
        const auto& name = *static_cast<const std::string*>(what);
        *chosen = reinterpret_cast<const unsigned char*>(name.data());
        *size = static_cast<unsigned char>(name.size());
        return SSL_TLSEXT_ERR_OK;
    }

    std::string drain() {
        ERR_clear_error();
        char space[4096];
        std::string out;
        for (int got = 0; (got = BIO_read(SSL_get_wbio(ssl_.get()), space, sizeof space)) > 0;)
            out.append(space, static_cast<std::size_t>(got));
        ERR_clear_error();
        return out;
    }

    library_options options_;
    held<ssl_ctx_st> with_;
    held<ssl_st> ssl_;
};

}  // namespace ouro::net::tls
