// format.hpp: what fmt prints of memcached: errors, addresses, outcomes.
#pragma once

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/server.hpp>
#include <ouro/net/format.hpp>

#include <string>
#include <string_view>

namespace ouro::memcached {

/// What what() says.
inline std::string_view format_text(const error& what) noexcept { return what.what(); }
inline std::string format_text(errc code) { return make_error_code(code).message(); }
/// "127.0.0.1:11211", "unix:/path".
inline std::string format_text(const address& where) { return to_string(where); }
constexpr std::string_view format_text(cas_result how) noexcept {
    switch (how) {
        case cas_result::stored: return "stored";
        case cas_result::exists: return "exists";
        case cas_result::not_found: return "not found";
    }
    return "?";
}

}  // namespace ouro::memcached

template <>
struct fmt::formatter<ouro::memcached::error> : ouro::text_formatter<ouro::memcached::error> {};
template <>
struct fmt::formatter<ouro::memcached::errc> : ouro::text_formatter<ouro::memcached::errc> {};
template <>
struct fmt::formatter<ouro::memcached::address> : ouro::text_formatter<ouro::memcached::address> {};
template <>
struct fmt::formatter<ouro::memcached::cas_result>
    : ouro::text_formatter<ouro::memcached::cas_result> {};
