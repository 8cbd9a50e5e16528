// sha1.hpp: SHA-1, by which Redis names scripts, from OpenSSL where it was found.
#pragma once

#include <string>
#include <string_view>

namespace ouro::redis {

/// The SHA-1 of a text as 40 hexadecimal digits in lower case; empty when ouro was configured
/// without OpenSSL. May throw std::bad_alloc.
std::string sha1_of(std::string_view text);

}  // namespace ouro::redis
