#include <ouro/net/session/tls_options.hpp>

#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/error.hpp>

namespace ouro::net {

const tls::client_context& default_tls_context() {
    static const tls::client_context made;
    return made;
}

bool is_tls_refusal(std::error_code code) noexcept {
    if (code.category() != tls::category()) return false;
    return code != tls::errc::truncated && code != tls::errc::handshake_timeout &&
           code != tls::errc::too_many_messages;
}

bool looks_like_tls(std::span<const std::byte> first) noexcept {
    constexpr auto change_cipher_spec = std::byte{20}, application_data = std::byte{23};
    constexpr auto major_version = std::byte{3};
    return !first.empty() && first[0] >= change_cipher_spec && first[0] <= application_data &&
           (first.size() == 1 || first[1] == major_version);
}

}  // namespace ouro::net
