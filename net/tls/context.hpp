// context.hpp: what the TLS connections of a server, or to servers, have in common.
//
//     tls::server_context secrets({.identities = {{.certificate_file = "cert.pem",
//                                                  .key_file = "key.pem"}},
//                                  .alpn = {"h2", "http/1.1"}});
//     net::tls::secured made = co_await net::tls_accept(std::move(client), secrets);
//
//  1. Files are read and parsed once, when the context is made or reloaded; that takes
//     milliseconds and blocks, so a running server reloads in blocking(). What is wrong with one
//     is thrown then, with its name, and a context that was running goes on as it was.
//  2. A context is used by all workers. Each has a context of the library's of its own, made of the
//     same parsed parts: what the library locks and counts in a handshake is no other worker's.
//     They meet for moments only, to learn which parts are current, and at the keys of tickets.
//  3. A connection keeps what it was made with: a reload changes those made later.
//  4. What makes resumption possible is shared: the keys of tickets, by all workers and over
//     reloads. A ticket that was given under other client authorities than now is not taken.
//  5. A client's session is resumed for the host and port that gave it only, once, by the context
//     it was made with; a reload forgets them all. So nobody is trusted for what was not checked.
//  6. A server that meets a session with an alert is offered none for ten minutes: the next
//     handshake with it is a whole one (failure::resuming).
#pragma once

#include <ouro/net/tls/engine.hpp>
#include <ouro/net/tls/figures.hpp>
#include <ouro/runtime/duration.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::net::tls {

/// True when ouro was built with OpenSSL; without it contexts throw errc::not_built.
bool available() noexcept;

/// A certificate and its key, as PEM in files, or here.
struct identity {
    std::string certificate_file;  ///< its own certificate first, then those that lead to the root
    std::string key_file;          ///< empty: the key is in the certificate's file
    std::string certificate_pem;   ///< in place of the file
    std::string key_pem;           ///< in place of the file
    std::string key_password;      ///< of a key that is encrypted; nobody is ever asked for one
};

/// What both sides may choose. The defaults are right for nearly everybody.
struct protocol_options {
    version min = version::tls1_2;
    version max = version::tls1_3;
    std::string ciphers;       ///< of TLS 1.2, as OpenSSL writes them; empty: its default
    std::string ciphersuites;  ///< of TLS 1.3
    std::string key_log_file;  ///< appends what decrypts every connection; empty: never
};

enum class client_certificates : std::uint8_t {
    not_asked,
    asked,     ///< one that is shown must be good
    required,  ///< and one must be shown
};

struct server_options {
    /// The first one is for clients that name nobody, or somebody unknown. Several with the same
    /// names (ECDSA and RSA) are offered together.
    std::vector<identity> identities;
    /// Unknown names are refused with `unrecognized_name`.
    bool only_known_names = false;
    /// Application protocols, the best first. A client that offers others only is refused; one that
    /// offers none is not, unless this says so.
    std::vector<std::string> alpn;
    bool alpn_required = false;
    tls::client_certificates client_certificates = tls::client_certificates::not_asked;
    /// Who signs them, as PEM: a file, or here.
    std::string client_ca_file;
    std::string client_ca_pem;
    /// Whether sessions can be resumed. One ticket is given with each full handshake.
    bool tickets = true;
    /// How old a key of tickets gets before the next takes its place; two older ones are kept.
    duration ticket_key_age = std::chrono::hours(1);
    /// A certificate that is not valid now is refused when it is loaded.
    bool refuse_expired = true;
    protocol_options protocol = {};
};

/// What a client checks.
enum class verify : std::uint8_t {
    none,   ///< nothing: anybody may be at the other end
    chain,  ///< that somebody trusted has signed for somebody
    full,   ///< and that this somebody is the host
};

struct client_options {
    verify check = verify::full;
    /// Whom to trust, as PEM: a file, or here; both empty: those that the system trusts.
    std::string ca_file;
    std::string ca_pem;
    /// Shown to servers that ask; empty: nothing is.
    identity certificate = {};
    /// Application protocols to offer, the best first.
    std::vector<std::string> alpn;
    bool alpn_required = false;
    /// How many sessions each worker keeps; 0: none are resumed.
    std::size_t sessions_max = 1000;
    bool refuse_expired = true;
    protocol_options protocol = {};
};

class context_core;

/// What both kinds of contexts are. All of it may be called by any thread.
class context {
public:
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    tls::stats stats() const;

    /// Where the handshakes of a worker are counted.
    worker_figures& figures(unsigned worker) const noexcept;

protected:
    explicit context(std::unique_ptr<context_core> core) noexcept;
    ~context();

    std::unique_ptr<context_core> core_;
};

/// What a server's connections have in common.
class server_context final : public context {
public:
    /// Throws tls::error, and std::system_error for a file that cannot be read.
    explicit server_context(server_options options);

    /// Reads the same files again, or uses other options. On an error everything stays as it was.
    void reload();
    void reload(server_options options);

    /// The engine of a connection, on the worker with that number. Throws std::bad_alloc.
    std::unique_ptr<engine> make_engine(unsigned worker = 0) const;
};

/// What connections to servers have in common.
class client_context final : public context {
public:
    /// Throws tls::error, and std::system_error for a file that cannot be read.
    explicit client_context(client_options options = {});

    void reload();
    void reload(client_options options);

    /// The engine of a connection to `host`: a name in ASCII or an address. `port` tells sessions
    /// of several servers of a host apart. Throws tls::error (bad_option: no such host can be), and
    /// std::bad_alloc.
    std::unique_ptr<engine> make_engine(std::string_view host, std::uint16_t port = 0,
                                        unsigned worker = 0) const;
};

}  // namespace ouro::net::tls
