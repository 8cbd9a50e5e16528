#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/context_core.hpp>
#include <ouro/net/tls/pem.hpp>
#include <ouro/net/tls/ticket_keys.hpp>

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <unordered_map>
#include <utility>

namespace ouro::net::tls {
namespace {

using identities = std::vector<std::size_t>;  // their numbers

class server_generation final : public generation {
public:
    server_generation(const server_options& options, std::shared_ptr<ticket_keys> keys);

    /// Whose certificates the client wants; null: nobody's by that name.
    const identities* named(const char* name) const;

    bool alpn_required() const noexcept { return options_.alpn_required; }

    held<ssl_ctx_st> make(part& with) override;

    // What the library asks.
    int server_name(SSL& of, int& alert) noexcept;
    int protocol(SSL& of, const unsigned char*& chosen, unsigned char& size,
                 std::string_view offered) noexcept;

private:
    bool use(SSL& of, const identities& those) noexcept;
    void make_session_context();

    server_options options_;
    std::string alpn_;
    std::vector<loaded_identity> loaded_;
    std::unordered_map<std::string, identities> by_name_;  // "*.example.org" among them
    identities fallback_;
    held<x509_store_st> client_authorities_;
    std::string client_pem_;
    std::array<unsigned char, 32> session_context_{};
    std::shared_ptr<ticket_keys> keys_;
};

server_generation& of(SSL_CTX* library) noexcept {
    return *static_cast<server_generation*>(SSL_CTX_get_app_data(library));
}

int on_server_name(SSL* connection, int* alert, void*) {
    return of(SSL_get_SSL_CTX(connection)).server_name(*connection, *alert);
}

int on_protocols(SSL* connection, const unsigned char** chosen, unsigned char* size,
                 const unsigned char* offered, unsigned bytes, void*) {
    return of(SSL_get_SSL_CTX(connection))
        .protocol(*connection, *chosen, *size,
                  std::string_view(reinterpret_cast<const char*>(offered), bytes));
}

/// What is sealed and opened with.
struct sealing {
    static int place() noexcept {
        static const int made = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
        return made;
    }
    static int on_ticket(SSL* connection, unsigned char* name, unsigned char* iv,
                         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seal) {
        auto* const keys =
            static_cast<ticket_keys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), place()));
        const int came = keys->prepare(name, iv, cipher, mac, seal == 1);
        // A TLS 1.3 ticket is used once, so each that is taken is replaced.
        const bool once = seal == 0 && SSL_version(connection) == TLS1_3_VERSION;
        return once && came == 1 ? 2 : came;
    }
};

server_generation::server_generation(const server_options& options,
                                     std::shared_ptr<ticket_keys> keys)
    : options_(options), alpn_(alpn_wire(options.alpn)), keys_(std::move(keys)) {
    if (options_.identities.empty()) refuse_option("identities: a server has at least one");
    for (const identity& each : options_.identities)
        loaded_.push_back(load_identity(each, options_.refuse_expired));
    for (std::size_t i = 0; i < loaded_.size(); ++i)
        for (const std::string& name : loaded_[i].names) by_name_[name].push_back(i);
    fallback_ = {0};
    if (!loaded_[0].names.empty()) fallback_ = by_name_[loaded_[0].names[0]];
    if (options_.client_certificates != tls::client_certificates::not_asked) {
        if (options_.client_ca_file.empty() && options_.client_ca_pem.empty())
            refuse_option("client_certificates: nobody is told who signs them");
        client_pem_ = options_.client_ca_file.empty() ? options_.client_ca_pem
                                                      : read_file(options_.client_ca_file);
        client_authorities_ = load_authorities(options_.client_ca_file, options_.client_ca_pem);
    }
    make_session_context();
}

/// Sessions are taken up under the same rules for clients only.
void server_generation::make_session_context() {
    const std::string rules =
        std::to_string(static_cast<int>(options_.client_certificates)) + client_pem_;
    unsigned size = 0;
    if (EVP_Digest(rules.data(), rules.size(), session_context_.data(), &size, EVP_sha256(),
                   nullptr) != 1)
        throw std::bad_alloc();
}

held<ssl_ctx_st> server_generation::make(part&) {
    auto made = make_library_context(side::server, options_.protocol);
    SSL_CTX* const to = made.get();
    SSL_CTX_set_app_data(to, this);
    SSL_CTX_set_ex_data(to, sealing::place(), keys_.get());
    for (const std::size_t each : fallback_) use_identity(*to, loaded_[each]);
    SSL_CTX_set_tlsext_servername_callback(to, on_server_name);
    SSL_CTX_set_alpn_select_cb(to, on_protocols, nullptr);
    SSL_CTX_set_session_id_context(to, session_context_.data(),
                                   static_cast<unsigned>(session_context_.size()));
    SSL_CTX_set_num_tickets(to, options_.tickets ? 1 : 0);
    if (options_.tickets)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(to, sealing::on_ticket);
    else
        SSL_CTX_set_options(to, SSL_OP_NO_TICKET);
    if (client_authorities_) {
        SSL_CTX_set_cert_store(to, share(*client_authorities_).release());
        const bool must = options_.client_certificates == tls::client_certificates::required;
        SSL_CTX_set_verify(to, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           judge_certificate);
    }
    return made;
}

const identities* server_generation::named(const char* name) const {
    std::string lower(name);
    for (char& each : lower)
        each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
    if (const auto exact = by_name_.find(lower); exact != by_name_.end()) return &exact->second;
    const std::size_t dot = lower.find('.');
    if (dot == std::string::npos || dot == 0) return nullptr;
    const auto wild = by_name_.find("*" + lower.substr(dot));
    return wild != by_name_.end() ? &wild->second : nullptr;
}

bool server_generation::use(SSL& of, const identities& those) noexcept {
    SSL_certs_clear(&of);
    for (const std::size_t each : those)
        if (!use_identity(of, loaded_[each])) return false;
    return true;
}

int server_generation::server_name(SSL& of, int& alert) noexcept {
    const char* const name = SSL_get_servername(&of, TLSEXT_NAMETYPE_host_name);
    if (!name) return SSL_TLSEXT_ERR_NOACK;
    const identities* found = nullptr;
    try {
        found = named(name);
    } catch (const std::bad_alloc&) {
        engine::of(of).note_no_memory();
        alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (!found && options_.only_known_names) {
        engine::of(of).note(errc::unknown_server_name);
        alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (!found) return SSL_TLSEXT_ERR_NOACK;
    if (*found != fallback_ && !use(of, *found)) {
        alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/// Asked only of a client that offers some.
int server_generation::protocol(SSL& of, const unsigned char*& chosen, unsigned char& size,
                                std::string_view offered) noexcept {
    if (options_.alpn.empty()) return SSL_TLSEXT_ERR_NOACK;
    for (const std::string& ours : options_.alpn) {
        for (std::string_view left = offered; !left.empty();) {
            const std::size_t length = static_cast<unsigned char>(left.front());
            if (left.substr(1, length) == ours) {
                chosen = reinterpret_cast<const unsigned char*>(left.data() + 1);
                size = static_cast<unsigned char>(length);
                return SSL_TLSEXT_ERR_OK;
            }
            left.remove_prefix(std::min(left.size(), 1 + length));
        }
    }
    engine::of(of).note(errc::no_alpn);
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

class server_core final : public context_core {
public:
    explicit server_core(server_options of)
        : options(std::move(of)), keys(std::make_shared<ticket_keys>(options.ticket_key_age)) {}

    void load() {
        auto next = std::make_shared<server_generation>(options, keys);
        next->try_out();
        keys->set_age(options.ticket_key_age);
        change(std::move(next));
    }

    std::mutex reloading;
    server_options options;
    std::shared_ptr<ticket_keys> keys;
};

}  // namespace

server_context::server_context(server_options options)
    : context(std::make_unique<server_core>(std::move(options))) {
    static_cast<server_core&>(*core_).load();
}

void server_context::reload() {
    auto& core = static_cast<server_core&>(*core_);
    const std::lock_guard only(core.reloading);
    core.load();
}

void server_context::reload(server_options options) {
    auto& core = static_cast<server_core&>(*core_);
    const std::lock_guard only(core.reloading);
    std::swap(core.options, options);
    try {
        core.load();
    } catch (...) {
        std::swap(core.options, options);
        throw;
    }
}

std::unique_ptr<engine> server_context::make_engine(unsigned worker) const {
    auto with = core_->now();
    auto connection = with->connection(worker);
    engine_terms terms;
    terms.side = side::server;
    terms.alpn_required = static_cast<const server_generation&>(*with).alpn_required();
    terms.figures = &core_->figures_of(worker);
    terms.keeps = std::move(with);
    return std::make_unique<engine>(std::move(connection), std::move(terms));
}

}  // namespace ouro::net::tls
