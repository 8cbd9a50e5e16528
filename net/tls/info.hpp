// info.hpp: what two sides have agreed on.
#pragma once

#include <cstdint>
#include <string>

namespace ouro::net::tls {

enum class version : std::uint8_t { tls1_2, tls1_3 };

/// What a handshake has come to.
struct info {
    tls::version version = version::tls1_3;
    std::string cipher;       ///< "TLS_AES_256_GCM_SHA384"
    std::string alpn;         ///< the application protocol; empty: none was agreed on
    std::string server_name;  ///< whom the client asked for; empty when it did not say
    bool resumed = false;     ///< from a session before: no certificate was shown or looked at
};

}  // namespace ouro::net::tls
