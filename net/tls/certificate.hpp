// certificate.hpp: what a certificate says, for people and for decisions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct x509_st;

namespace ouro::net::tls {

/// What a certificate says. Owns everything.
struct certificate {
    std::string subject;  ///< "CN=db.example.org, O=Example", RFC 2253
    std::string issuer;   ///< the same, of who signed it
    /// Alternative names: hosts as they are, addresses as text, "email:…", "uri:…".
    std::vector<std::string> names;
    std::array<std::uint8_t, 32> fingerprint = {};  ///< SHA-256 of all of it
    std::int64_t valid_from = 0;                    ///< seconds since 1970, UTC
    std::int64_t valid_until = 0;                   ///< the last one; "expiry"
    std::vector<std::byte> der;                     ///< all of it

    /// "3f:0a:…", as openssl prints it.
    std::string fingerprint_text() const;
};

/// No more alternative names than that are read of one certificate.
inline constexpr std::size_t certificate_names_max = 1000;

/// Reads one that the library holds.
certificate read_certificate(const x509_st& from);
/// Its alternative names only; at most `max`.
std::vector<std::string> certificate_names(const x509_st& from,
                                           std::size_t max = certificate_names_max);

/// What RFC 5929 calls tls-server-end-point: the digest of a certificate, by the digest of its
/// signature, with SHA-256 in place of MD5 and SHA-1. Empty where the signature has none (Ed25519
/// has none, and some agree on SHA-256 or SHA-512 then: nothing is agreed here).
std::vector<std::byte> end_point_digest(const x509_st& of);

}  // namespace ouro::net::tls
