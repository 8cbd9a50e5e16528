// tls_options.hpp: whether the connections of a client are under TLS, and how.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace ouro::net {

namespace tls {
class client_context;
}

/// Whether the connections of a client are under TLS, and how.
///
///     net::tls::client_context trust({.ca_file = "ca.pem"});
///     co_await redis::client::connect("rediss://db1", {.link = {.tls = {.context = &trust}}});
struct tls_options {
    /// Encrypts. So do a context, and a URL that says so ("rediss:"): each of them is enough.
    bool on = false;
    /// Whom to trust, the certificate to show, and all else about TLS. It stays until the client
    /// has been closed, `close()` awaited, or until connecting has failed; several clients may have
    /// one. What it reloads is for connections made later. Null: default_tls_context().
    const tls::client_context* context = nullptr;
    /// Whom the server's certificate must be for, and whom it is asked for. Empty, the default: the
    /// host that is connected to, whether it was named or found (a cluster's node, a master).
    /// Copied when connecting. A Unix socket has no host, and needs it.
    std::string_view server_name = {};

    bool wanted() const noexcept { return on || context != nullptr; }
};
// It is a part of options that stand in awaited expressions, where g++ 12 copies what braces make
// byte by byte.
static_assert(std::is_trivially_copyable_v<tls_options>);

/// For those who name no context: trusts whom the system trusts, checks everything, and shows no
/// certificate. Made when it is asked for first, which reads files; throws as its constructor does,
/// tls::errc::not_built where there is no TLS.
const tls::client_context& default_tls_context();

/// Whether a TLS error is one that trying again soon will not mend: a certificate that is not to be
/// trusted, an alert of the peer's, no TLS at the other end or in this build.
bool is_tls_refusal(std::error_code code) noexcept;

/// Whether what came in the clear is the beginning of a record of TLS, of which one byte may be all
/// that is there.
bool looks_like_tls(std::span<const std::byte> first) noexcept;

}  // namespace ouro::net
