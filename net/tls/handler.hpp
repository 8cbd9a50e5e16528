// handler.hpp: a handler of net::server's connections that gets them under TLS.
//
//     task<> echo(net::stream client);  // knows nothing of it
//
//     net::tls_handler secured_echo(secrets, echo);
//     co_await front.serve(secured_echo);
//
//  1. The handshake is done in the connection's own task, so that a peer that stalls holds up
//     nobody, and within the time of `handshake_options`; the connection has its place in the
//     server's limit meanwhile.
//  2. A handshake that fails is the peer's affair: it is counted by the context, under its reason,
//     told to the log at the level of debug, and no failure of the server's.
#pragma once

#include <ouro/net/stream.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <string>
#include <utility>

namespace ouro::net {
namespace tls {

/// Who is at the other end, for note_failed_handshake; empty when nobody would read it.
std::string name_for_log(const stream& wire);
/// Tells the log. A cancellation is none of these, and is thrown.
void note_failed_handshake(const failure_cause& why, const std::string& peer);

}  // namespace tls

/// Calls a handler with what has become of a connection under TLS: a stream, or a tls::secured
/// where it asks for more. `with` must live as long as the server serves.
template <class F>
class tls_handler {
public:
    tls_handler(const tls::server_context& with, F what, tls::handshake_options how = {})
        : with_(&with), what_(std::move(what)), how_(how) {}

    task<> operator()(stream wire) {
        const std::string peer = tls::name_for_log(wire);
        result<tls::secured> made = co_await as_result(tls_accept(std::move(wire), *with_, how_));
        if (!made) {
            tls::note_failed_handshake(made.why(), peer);
            co_return;
        }
        if constexpr (std::invocable<F&, stream>)
            co_await what_(std::move(made->stream));
        else
            co_await what_(std::move(*made));
    }

private:
    const tls::server_context* with_;
    F what_;
    tls::handshake_options how_;
};

}  // namespace ouro::net
