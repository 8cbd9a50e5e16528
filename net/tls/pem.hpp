// pem.hpp: certificates and keys out of files.
#pragma once

#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/openssl.hpp>

#include <string>
#include <vector>

namespace ouro::net::tls {

/// A certificate with what belongs to it, parsed.
struct loaded_identity {
    held<x509_st> leaf;
    std::vector<held<x509_st>> chain;  // without the leaf
    held<evp_pkey_st> key;
    std::vector<std::string> names;  // of the leaf, in lower case
};

/// Throws tls::error that names the file, and std::system_error when it cannot be read.
loaded_identity load_identity(const identity& from, bool refuse_expired);

/// Whom to trust: what is in the file, or else in `pem`.
held<x509_store_st> load_authorities(const std::string& file, const std::string& pem);
/// Whom the system trusts (SSL_CERT_FILE and SSL_CERT_DIR say otherwise). Read once and shared by
/// the whole process; `again` reads them anew, for those who ask from then on.
held<x509_store_st> system_authorities(bool again = false);

/// The file's bytes, up to 16 MiB of them.
std::string read_file(const std::string& name);

/// Another hold on the same.
held<x509_store_st> share(x509_store_st& store) noexcept;

}  // namespace ouro::net::tls
