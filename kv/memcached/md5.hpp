// md5.hpp: MD5 of short texts, from OpenSSL where it was found.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ouro::memcached {

using md5_digest = std::array<std::uint8_t, 16>;

/// False when ouro was configured without OpenSSL (-Dmd5=disabled).
bool has_md5() noexcept;

/// The digest of a text; allocates nothing. It places keys and is no protection of anything.
/// Only where has_md5().
md5_digest md5(std::string_view text) noexcept;

}  // namespace ouro::memcached
