// format.hpp: what fmt prints of net: addresses, and how far a request has come.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/net/session/fate.hpp>
#include <ouro/runtime/format.hpp>

#include <string>
#include <string_view>

namespace ouro::net {

/// "127.0.0.1:80", "[::1]:80", "unix:/path"; see endpoint::to_string.
inline std::string format_text(const endpoint& where) { return where.to_string(); }
constexpr std::string_view format_text(fate how_far) noexcept { return to_string(how_far); }

}  // namespace ouro::net

template <>
struct fmt::formatter<ouro::net::endpoint> : ouro::text_formatter<ouro::net::endpoint> {};
template <>
struct fmt::formatter<ouro::net::fate> : ouro::text_formatter<ouro::net::fate> {};
