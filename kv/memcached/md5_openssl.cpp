// The low-level functions: through EVP each digest would allocate. It is no secret that is hashed
// here, so what made them deprecated does not concern us.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <ouro/kv/memcached/md5.hpp>

#include <openssl/md5.h>

namespace ouro::memcached {

bool has_md5() noexcept { return true; }

md5_digest md5(std::string_view text) noexcept {
    md5_digest out;
    MD5_CTX state;
    MD5_Init(&state);
    MD5_Update(&state, text.data(), text.size());
    MD5_Final(out.data(), &state);
    return out;
}

}  // namespace ouro::memcached
