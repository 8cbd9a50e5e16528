#include <ouro/net/tls/error.hpp>

#include <utility>

namespace ouro::net::tls {
namespace {

class tls_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "tls"; }

    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::truncated:
                return "the connection was cut off: it ended without close_notify";
            case errc::alert_received: return "the peer sent an alert";
            case errc::alert_sent: return "the peer broke the protocol";
            case errc::certificate: return "the peer's certificate is not to be trusted";
            case errc::no_alpn: return "no application protocol in common";
            case errc::unknown_server_name: return "no such host is served here";
            case errc::nothing_in_common: return "no version or cipher in common";
            case errc::not_tls: return "what came is not TLS";
            case errc::handshake_timeout: return "the handshake took too long";
            case errc::too_many_messages: return "too many key updates or tickets";
            case errc::protocol: return "TLS failed";
            case errc::not_built: return "ouro was built without TLS (meson option -Dtls=enabled)";
            case errc::bad_certificate: return "not a certificate in PEM";
            case errc::bad_key: return "not a private key in PEM";
            case errc::encrypted_key: return "the key is encrypted, and the password is not known";
            case errc::key_mismatch: return "key and certificate do not belong together";
            case errc::certificate_expired: return "the certificate is not valid now";
            case errc::bad_option: return "not a possible option";
        }
        return "unknown TLS error " + std::to_string(code);
    }

    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::truncated: return std::errc::connection_reset;
            case errc::alert_received:
            case errc::alert_sent:
            case errc::not_tls:
            case errc::too_many_messages:
            case errc::protocol: return std::errc::protocol_error;
            case errc::certificate: return std::errc::permission_denied;
            case errc::handshake_timeout: return std::errc::timed_out;
            case errc::not_built: return std::errc::operation_not_supported;
            case errc::bad_certificate:
            case errc::bad_key:
            case errc::key_mismatch:
            case errc::bad_option: return std::errc::invalid_argument;
            default: return {code, *this};
        }
    }
};

constexpr std::size_t names_shown_max = 8;
constexpr const char* when_resuming = "when a session was to be resumed";

void add_certificate(std::string& to, const failure& why) {
    to += "certificate";
    if (!why.host.empty()) to += " of " + why.host;
    to += ": ";
    to += name_of(why.fault);
    if (why.depth > 0) to += " at depth " + std::to_string(why.depth);
    if (!why.reason.empty()) to += " (" + why.reason + ")";
    for (std::size_t i = 0; i < why.names.size() && i <= names_shown_max; ++i) {
        to += i == 0 ? ", it is for " : ", ";
        to += i < names_shown_max ? why.names[i] : "…";
    }
}

std::string alert_text(std::uint8_t alert) {
    return std::string(alert_name(alert)) + " (" + std::to_string(alert) + ")";
}

}  // namespace

const std::error_category& category() noexcept {
    static const tls_category instance;
    return instance;
}

const char* name_of(certificate_fault fault) noexcept {
    switch (fault) {
        case certificate_fault::none: return "none";
        case certificate_fault::missing: return "missing";
        case certificate_fault::expired: return "expired";
        case certificate_fault::not_yet_valid: return "not_yet_valid";
        case certificate_fault::wrong_host: return "wrong_host";
        case certificate_fault::self_signed: return "self_signed";
        case certificate_fault::unknown_issuer: return "unknown_issuer";
        case certificate_fault::bad_signature: return "bad_signature";
        case certificate_fault::weak: return "weak";
        case certificate_fault::bad_purpose: return "bad_purpose";
        case certificate_fault::revoked: return "revoked";
        case certificate_fault::other: return "other";
    }
    return "unknown";
}

const char* alert_name(std::uint8_t alert) noexcept {
    switch (alert) {
        case 0: return "close_notify";
        case 10: return "unexpected_message";
        case 20: return "bad_record_mac";
        case 21: return "decryption_failed";
        case 22: return "record_overflow";
        case 30: return "decompression_failure";
        case 40: return "handshake_failure";
        case 41: return "no_certificate";
        case 42: return "bad_certificate";
        case 43: return "unsupported_certificate";
        case 44: return "certificate_revoked";
        case 45: return "certificate_expired";
        case 46: return "certificate_unknown";
        case 47: return "illegal_parameter";
        case 48: return "unknown_ca";
        case 49: return "access_denied";
        case 50: return "decode_error";
        case 51: return "decrypt_error";
        case 60: return "export_restriction";
        case 70: return "protocol_version";
        case 71: return "insufficient_security";
        case 80: return "internal_error";
        case 86: return "inappropriate_fallback";
        case 90: return "user_canceled";
        case 100: return "no_renegotiation";
        case 109: return "missing_extension";
        case 110: return "unsupported_extension";
        case 111: return "certificate_unobtainable";
        case 112: return "unrecognized_name";
        case 113: return "bad_certificate_status_response";
        case 114: return "bad_certificate_hash_value";
        case 115: return "unknown_psk_identity";
        case 116: return "certificate_required";
        case 120: return "no_application_protocol";
        default: return "unknown";
    }
}

std::string failure::text() const {
    std::string all;
    if (!file.empty()) all += file + ": ";
    if (what == errc::certificate) {
        add_certificate(all, *this);
    } else {
        all += category().message(static_cast<int>(what));
        if (!reason.empty()) all += " (" + reason + ")";
    }
    if (alert != no_alert)
        all += (what == errc::alert_received ? ": " : ", alert: ") + alert_text(alert);
    if (resuming) all += ", " + std::string(when_resuming);
    return all;
}

std::string failure::details() const {
    if (!file.empty() || what == errc::certificate) return text();
    std::string all = reason;
    const auto add = [&all](const std::string& words) { all += (all.empty() ? "" : ", ") + words; };
    if (alert != no_alert) add((what == errc::alert_received ? "" : "alert: ") + alert_text(alert));
    if (resuming) add(when_resuming);
    return all;
}

error::error(failure why) : std::system_error(make_error_code(why.what)) {
    std::string text = why.text();
    said_ = std::make_shared<const said>(said{std::move(why), std::move(text)});
}

}  // namespace ouro::net::tls
