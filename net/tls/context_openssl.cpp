#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/context_core.hpp>
#include <ouro/net/tls/pem.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <utility>

namespace ouro::net::tls {
namespace {

int number_of(version which) noexcept {
    return which == version::tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

certificate_fault fault_of(int library_error) noexcept {
    switch (library_error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CRL_HAS_EXPIRED: return certificate_fault::expired;
        case X509_V_ERR_CERT_NOT_YET_VALID:
        case X509_V_ERR_CRL_NOT_YET_VALID: return certificate_fault::not_yet_valid;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH: return certificate_fault::wrong_host;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return certificate_fault::self_signed;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        case X509_V_ERR_CERT_UNTRUSTED: return certificate_fault::unknown_issuer;
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE: return certificate_fault::bad_signature;
        case X509_V_ERR_EE_KEY_TOO_SMALL:
        case X509_V_ERR_CA_KEY_TOO_SMALL:
        case X509_V_ERR_CA_MD_TOO_WEAK: return certificate_fault::weak;
        case X509_V_ERR_INVALID_CA:
        case X509_V_ERR_INVALID_PURPOSE:
        case X509_V_ERR_PATH_LENGTH_EXCEEDED:
        case X509_V_ERR_KEYUSAGE_NO_CERTSIGN: return certificate_fault::bad_purpose;
        case X509_V_ERR_CERT_REVOKED: return certificate_fault::revoked;
        default: return certificate_fault::other;
    }
}

struct free_chain {
    void operator()(STACK_OF(X509) * all) const noexcept { sk_X509_free(all); }
};

/// The chain as the library takes it; what it holds is still the identity's.
std::unique_ptr<STACK_OF(X509), free_chain> chain_of(const loaded_identity& made) noexcept {
    std::unique_ptr<STACK_OF(X509), free_chain> all(sk_X509_new_null());
    for (const auto& each : made.chain)
        if (!all || sk_X509_push(all.get(), each.get()) == 0) return nullptr;
    return all;
}

/// A file that is open for as long as the process runs: contexts of the library's write to it.
class key_log {
public:
    explicit key_log(const std::string& name)
        : fd_(::open(name.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {
        if (fd_ < 0) throw std::system_error(errno, std::system_category(), "cannot open " + name);
    }
    ~key_log() {
        if (fd_ >= 0) ::close(fd_);
    }
    key_log(const key_log&) = delete;
    key_log& operator=(const key_log&) = delete;

    /// In one call, so that lines of several workers do not mix.
    void add(const char* line) const noexcept {
        try {
            const std::string text = std::string(line) + '\n';
            if (::write(fd_, text.data(), text.size()) < 0) return;  // it is a tool, not a duty
        } catch (const std::bad_alloc&) {
            return;
        }
    }

    /// One for each name.
    static const key_log& of(const std::string& name) {
        static std::mutex lock;
        static std::map<std::string, key_log> all;
        const std::lock_guard only(lock);
        return all.try_emplace(name, name).first->second;
    }

    /// Where a context of the library's keeps its own.
    static int place() noexcept {
        static const int made = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
        return made;
    }

private:
    int fd_;
};

void log_line(const SSL* of, const char* line) {
    const auto* const to =
        static_cast<const key_log*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(of), key_log::place()));
    if (to) to->add(line);
}

}  // namespace

bool available() noexcept { return true; }

// Generations.

held<ssl_st> generation::connection(unsigned worker) {
    const clean_queue errors;
    part& mine = of(worker);
    const std::lock_guard only(mine.lock);
    if (!mine.library) mine.library = make(mine);
    return hold(SSL_new(mine.library.get()));
}

std::size_t generation::sessions() noexcept {
    std::size_t sum = 0;
    for (part& each : parts_) {
        const std::lock_guard only(each.lock);
        sum += each.sessions.size();
    }
    return sum;
}

context::context(std::unique_ptr<context_core> core) noexcept : core_(std::move(core)) {}
context::~context() = default;

tls::stats context::stats() const {
    tls::stats all;
    for (const worker_figures& each : core_->figures()) each.add_to(all);
    all.sessions = core_->now()->sessions();
    return all;
}

worker_figures& context::figures(unsigned worker) const noexcept {
    return core_->figures_of(worker);
}

// What both sides have in common.

void refuse_option(std::string reason) {
    failure why;
    why.what = errc::bad_option;
    why.reason = std::move(reason);
    throw error(std::move(why));
}

std::string alpn_wire(const std::vector<std::string>& names) {
    std::string wire;
    for (const std::string& each : names) {
        if (each.empty() || each.size() > 255) refuse_option("alpn: a name has 1 to 255 bytes");
        wire += static_cast<char>(static_cast<unsigned char>(each.size()));
        wire += each;
    }
    if (wire.size() > 65535) refuse_option("alpn: too many names");
    return wire;
}

held<ssl_ctx_st> make_library_context(side which, const protocol_options& options) {
    const clean_queue errors;
    if (options.min > options.max) refuse_option("protocol: min is above max");
    auto made =
        hold(SSL_CTX_new(which == side::server ? TLS_server_method() : TLS_client_method()));
    SSL_CTX* const to = made.get();
    SSL_CTX_set_min_proto_version(to, number_of(options.min));
    SSL_CTX_set_max_proto_version(to, number_of(options.max));
    SSL_CTX_set_options(
        to, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // A chain is what the file says: else it would be looked for, anew for each handshake.
    SSL_CTX_set_mode(to, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(to, SSL_SESS_CACHE_OFF);
    if (!options.ciphers.empty() && SSL_CTX_set_cipher_list(to, options.ciphers.c_str()) != 1)
        refuse_option("ciphers: " + options.ciphers);
    if (!options.ciphersuites.empty() &&
        SSL_CTX_set_ciphersuites(to, options.ciphersuites.c_str()) != 1)
        refuse_option("ciphersuites: " + options.ciphersuites);
    if (!options.key_log_file.empty()) log_keys_of(*to, options.key_log_file);
    return made;
}

void use_identity(ssl_ctx_st& in, const loaded_identity& made) {
    const clean_queue errors;
    const auto chain = chain_of(made);
    if (!chain) throw std::bad_alloc();
    if (SSL_CTX_use_cert_and_key(&in, made.leaf.get(), made.key.get(), chain.get(), 1) == 1) return;
    failure why;
    why.what = errc::bad_certificate;
    why.reason = errors.words();
    why.names = made.names;
    throw error(std::move(why));
}

bool use_identity(ssl_st& in, const loaded_identity& made) noexcept {
    const auto chain = chain_of(made);
    return chain && SSL_use_cert_and_key(&in, made.leaf.get(), made.key.get(), chain.get(), 1) == 1;
}

int judge_certificate(int fine, x509_store_ctx_st* with) noexcept {
    if (fine == 1) return 1;
    const auto* const connection = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(with, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const int problem = X509_STORE_CTX_get_error(with);
    if (connection)
        engine::of(*connection)
            .note_certificate(fault_of(problem), X509_STORE_CTX_get_error_depth(with),
                              X509_verify_cert_error_string(problem),
                              X509_STORE_CTX_get0_cert(with));
    return 0;
}

void log_keys_of(ssl_ctx_st& library, const std::string& file) {
    SSL_CTX_set_ex_data(&library, key_log::place(), const_cast<key_log*>(&key_log::of(file)));
    SSL_CTX_set_keylog_callback(&library, log_line);
}

}  // namespace ouro::net::tls
