#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/context_core.hpp>
#include <ouro/net/tls/pem.hpp>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <cctype>
#include <optional>
#include <string>
#include <utility>

namespace ouro::net::tls {
namespace {

constexpr std::size_t host_bytes_max = 253;

/// Whom a client wants, as certificates and SNI have it.
struct host_name {
    std::string text;
    bool is_address = false;
};

bool is_address(const std::string& text) noexcept {
    in6_addr space;
    return ::inet_pton(AF_INET, text.c_str(), &space) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), &space) == 1;
}

/// In lower case, without brackets, zone and trailing dot. Throws errc::bad_option.
host_name host_of(std::string_view host) {
    if (host.size() > 1 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    if (const auto zone = host.find('%'); zone != std::string_view::npos)
        host = host.substr(0, zone);
    if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
    if (host.size() > host_bytes_max) refuse_option("host: too long");
    host_name made{std::string(host)};
    for (char& each : made.text) {
        const auto letter = static_cast<unsigned char>(each);
        if (letter <= ' ' || letter > '~') refuse_option("host: a name is ASCII (xn--…)");
        each = static_cast<char>(std::tolower(letter));
    }
    made.is_address = is_address(made.text);
    return made;
}

class client_generation final : public generation {
public:
    explicit client_generation(const client_options& options, bool again)
        : options_(options), alpn_(alpn_wire(options.alpn)) {
        const identity& own = options_.certificate;
        if (!own.certificate_file.empty() || !own.certificate_pem.empty())
            loaded_ = load_identity(own, options_.refuse_expired);
        if (options_.check == verify::none) return;
        authorities_ = options_.ca_file.empty() && options_.ca_pem.empty()
                           ? system_authorities(again)
                           : load_authorities(options_.ca_file, options_.ca_pem);
    }

    const client_options& options() const noexcept { return options_; }
    std::string_view alpn() const noexcept { return alpn_; }

    held<ssl_ctx_st> make(part& with) override;
    /// What of a connection depends on the host.
    void name(SSL& connection, const host_name& host) const;
    /// What may be resumed; false when nothing is.
    bool resume(SSL& connection, const std::string& key, part& with) const;

private:
    client_options options_;
    std::string alpn_;
    std::optional<loaded_identity> loaded_;
    held<x509_store_st> authorities_;
};

generation::part& part_of(const SSL& connection) noexcept {
    return *static_cast<generation::part*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(&connection)));
}

/// The server does not stand sessions: there was one, and there is none for a while.
void forget_session(const SSL& connection) noexcept {
    generation::part& with = part_of(connection);
    const std::lock_guard only(with.lock);
    with.sessions.refuse(engine::of(connection).terms().session_key);
}

/// 0: it is still the library's.
int on_session(SSL* connection, SSL_SESSION* session) noexcept {
    const auto& terms = engine::of(*connection).terms();
    generation::part& with = part_of(*connection);
    if (terms.session_key.empty()) return 0;
    // A copy: the library spoils its own when the connection does not end well.
    held<SSL_SESSION> copy(SSL_SESSION_dup(session));
    if (!copy) return 0;
    try {
        const std::lock_guard only(with.lock);
        with.sessions.put(terms.session_key, std::move(copy));
    } catch (const std::bad_alloc&) {
        return 0;  // then the next one is not resumed
    }
    return 0;
}

held<ssl_ctx_st> client_generation::make(part& with) {
    auto made = make_library_context(side::client, options_.protocol);
    SSL_CTX* const to = made.get();
    SSL_CTX_set_app_data(to, &with);
    if (loaded_) use_identity(*to, *loaded_);
    if (authorities_) {
        SSL_CTX_set_cert_store(to, share(*authorities_).release());
        SSL_CTX_set_verify(to, SSL_VERIFY_PEER, judge_certificate);
    } else {
        SSL_CTX_set_verify(to, SSL_VERIFY_NONE, nullptr);
    }
    if (!alpn_.empty() &&
        SSL_CTX_set_alpn_protos(to, reinterpret_cast<const unsigned char*>(alpn_.data()),
                                static_cast<unsigned>(alpn_.size())) != 0)
        throw std::bad_alloc();
    with.sessions.set_limit(options_.sessions_max);
    if (options_.sessions_max > 0) {
        SSL_CTX_set_session_cache_mode(to, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(to, on_session);
    }
    return made;
}

void client_generation::name(SSL& connection, const host_name& host) const {
    if (!host.is_address && !host.text.empty() &&
        SSL_set_tlsext_host_name(&connection, host.text.c_str()) != 1)
        throw std::bad_alloc();
    if (options_.check != verify::full) return;
    if (host.text.empty()) refuse_option("host: whom to expect must be told (or verify::chain)");
    X509_VERIFY_PARAM* const checks = SSL_get0_param(&connection);
    X509_VERIFY_PARAM_set_hostflags(
        checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    const int set = host.is_address
                        ? X509_VERIFY_PARAM_set1_ip_asc(checks, host.text.c_str())
                        : X509_VERIFY_PARAM_set1_host(checks, host.text.data(), host.text.size());
    if (set != 1) throw std::bad_alloc();
}

bool client_generation::resume(SSL& connection, const std::string& key, part& with) const {
    held<ssl_session_st> session;
    {
        const std::lock_guard only(with.lock);
        session = with.sessions.take(key);
    }
    return session && SSL_set_session(&connection, session.get()) == 1;
}

class client_core final : public context_core {
public:
    explicit client_core(client_options of) : options(std::move(of)) {}

    void load(bool again) {
        auto next = std::make_shared<client_generation>(options, again);
        next->try_out();
        change(std::move(next));
    }

    std::mutex reloading;
    client_options options;
};

}  // namespace

client_context::client_context(client_options options)
    : context(std::make_unique<client_core>(std::move(options))) {
    static_cast<client_core&>(*core_).load(false);
}

void client_context::reload() {
    auto& core = static_cast<client_core&>(*core_);
    const std::lock_guard only(core.reloading);
    core.load(true);
}

void client_context::reload(client_options options) {
    auto& core = static_cast<client_core&>(*core_);
    const std::lock_guard only(core.reloading);
    std::swap(core.options, options);
    try {
        core.load(true);
    } catch (...) {
        std::swap(core.options, options);
        throw;
    }
}

std::unique_ptr<engine> client_context::make_engine(std::string_view host, std::uint16_t port,
                                                    unsigned worker) const {
    auto with = core_->now();
    const auto& made = static_cast<const client_generation&>(*with);
    const host_name wanted = host_of(host);
    auto connection = with->connection(worker);
    const clean_queue errors;
    made.name(*connection, wanted);
    engine_terms terms;
    terms.side = side::client;
    terms.host = wanted.text;
    if (!wanted.text.empty()) terms.session_key = wanted.text + ' ' + std::to_string(port);
    terms.offered = made.alpn();
    terms.alpn_required = made.options().alpn_required;
    terms.figures = &core_->figures_of(worker);
    if (made.resume(*connection, terms.session_key, with->of(worker)))
        terms.forget_session = forget_session;
    terms.keeps = std::move(with);
    return std::make_unique<engine>(std::move(connection), std::move(terms));
}

}  // namespace ouro::net::tls
