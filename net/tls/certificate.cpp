#include <ouro/net/tls/certificate.hpp>

namespace ouro::net::tls {

std::string certificate::fingerprint_text() const {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t each : fingerprint) {
        if (!text.empty()) text += ':';
        text += digits[each >> 4];
        text += digits[each & 15];
    }
    return text;
}

}  // namespace ouro::net::tls
