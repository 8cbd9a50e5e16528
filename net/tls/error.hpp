// error.hpp: what can go wrong with TLS, as codes and with everything that was found out.
#pragma once

#include <ouro/runtime/error.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace ouro::net::tls {

/// Errors of TLS. Those of sockets and of the runtime keep their own categories.
enum class errc {
    // Of a connection.
    truncated = 1,        ///< it ended without close_notify (std::errc::connection_reset)
    alert_received,       ///< the peer gave up; failure::alert says why
    alert_sent,           ///< the peer broke the protocol; failure::alert is what it was told
    certificate,          ///< the peer's certificate is missing or not to be trusted
    no_alpn,              ///< no application protocol that both sides speak
    unknown_server_name,  ///< a client asked for a host that is not served here
    nothing_in_common,    ///< no version, cipher, group or signature that both sides allow
    not_tls,              ///< plaintext, or another protocol, where TLS was expected
    handshake_timeout,    ///< no handshake within its time (std::errc::timed_out)
    too_many_messages,    ///< key updates or tickets in a flood, with no data between them
    protocol,             ///< anything else that the library refuses

    // Of what a context is made of.
    not_built,            ///< ouro was configured without OpenSSL: -Dtls=enabled
    bad_certificate,      ///< not a certificate in PEM, or one that is too weak
    bad_key,              ///< not a private key in PEM
    encrypted_key,        ///< the key needs a password, and none or a wrong one was given
    key_mismatch,         ///< key and certificate do not belong together
    certificate_expired,  ///< the certificate is not valid now
    bad_option,           ///< a cipher list, an ALPN name or a version that cannot be
};

/// The category of `errc`; its name is "tls".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// What is wrong with a certificate.
enum class certificate_fault : std::uint8_t {
    none,
    missing,         ///< the peer has shown none
    expired,         ///< it or its issuer's is not valid any more
    not_yet_valid,   ///< … or not yet
    wrong_host,      ///< it is somebody else's
    self_signed,     ///< it, or the root that it leads to, is nobody's whom we trust
    unknown_issuer,  ///< the chain does not reach anybody whom we trust
    bad_signature,   ///< a signature in the chain does not hold
    weak,            ///< a key or a digest that is too weak by now
    bad_purpose,     ///< it may not be used for this
    revoked,
    other,
};

const char* name_of(certificate_fault fault) noexcept;
/// "handshake_failure" for 40, as RFC 8446 calls it; "unknown" for what is none.
const char* alert_name(std::uint8_t alert) noexcept;

/// Why a connection or a context failed. Nothing in it is secret.
struct failure {
    static constexpr std::uint8_t no_alert = 255;

    errc what = errc::protocol;
    std::uint8_t alert = no_alert;  ///< that was received or sent, if one was
    std::string reason;             ///< the library's words, if they say more than the alert
    /// A client had a session to resume: it is forgotten, and the next connection does without.
    bool resuming = false;

    // Of errc::certificate.
    certificate_fault fault = certificate_fault::none;
    int depth = 0;                   ///< 0: the peer's own; above: so far up its chain
    std::string host;                ///< whom we wanted; empty: whoever it is
    std::vector<std::string> names;  ///< whom it is for: its alternative names

    std::string file;  ///< which file, when one is to blame

    /// "certificate of db.example.org: wrong_host (hostname mismatch), it is for a.org, b.org".
    std::string text() const;
    /// What text() says beside the message of `what`, for whom shows that by itself:
    /// "certificate_required (116)". Empty when that is all.
    std::string details() const;
};

/// What handshakes and contexts throw. Copies share what it says.
class error : public std::system_error {
public:
    explicit error(failure why);

    /// What text() of the failure says.
    const char* what() const noexcept override { return said_->text.c_str(); }
    const failure& why() const noexcept { return said_->why; }

private:
    struct said {
        failure why;
        std::string text;
    };
    std::shared_ptr<const said> said_;
};

}  // namespace ouro::net::tls

template <>
struct std::is_error_code_enum<ouro::net::tls::errc> : std::true_type {};
