// tls.hpp: certificates for the servers of tests, and clients that trust them.
#pragma once

#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/tls/context.hpp>
#include <ouro/tests/kv/servers.hpp>
#include <ouro/tests/tls_ca.hpp>

#include <string>
#include <string_view>

namespace ouro::testing {

/// Of 127.0.0.1 and db.test.
inline const net::tls::identity& server_identity() {
    static const net::tls::identity made =
        shared_tls_ca().issue({.common_name = "server", .names = {"IP:127.0.0.1", "DNS:db.test"}});
    return made;
}

inline server_tls tls_files(const net::tls::identity& who = server_identity()) {
    server_tls made;
    made.certificate = who.certificate_file;
    made.key = who.key_file;
    made.ca = shared_tls_ca().ca_file();
    return made;
}

inline net::tls::client_options trusting_options() {
    net::tls::client_options made;
    made.ca_file = shared_tls_ca().ca_file();
    return made;
}

/// How to reach a server that has these.
inline std::string tls_url_of(const redis_server& server) {
    return "rediss://" + server.peer_address();
}

/// Trusts these servers, and has no certificate of its own.
inline const net::tls::client_context& trusting() {
    static const net::tls::client_context made(trusting_options());
    return made;
}

/// The same with a certificate to show.
inline const net::tls::client_context& known_client() {
    static const net::tls::client_context made([] {
        net::tls::client_options options = trusting_options();
        options.certificate = shared_tls_ca().issue({.common_name = "client"});
        return options;
    }());
    return made;
}

inline net::tls_options under(const net::tls::client_context& context,
                              std::string_view server_name = {}) {
    net::tls_options made;
    made.context = &context;
    made.server_name = server_name;
    return made;
}

}  // namespace ouro::testing
