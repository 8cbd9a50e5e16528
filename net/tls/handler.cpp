#include <ouro/net/tls/handler.hpp>

#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/log.hpp>

namespace ouro::net::tls {

std::string name_for_log(const stream& wire) {
    if (!log_enabled(log_level::debug)) return {};
    const result<endpoint> peer = peer_endpoint(wire.fd());
    return peer ? peer->to_string() : "a peer that has gone";
}

void note_failed_handshake(const failure_cause& why, const std::string& peer) {
    if (why.code() == ouro::errc::cancelled) why.raise();
    if (!log_enabled(log_level::debug)) return;
    log(log_level::debug, "TLS handshake of " + peer + " failed: " + why.text());
}

}  // namespace ouro::net::tls
