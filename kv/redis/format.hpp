// format.hpp: what fmt prints of Redis: replies, errors, addresses.
#pragma once

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/kv/redis/url.hpp>
#include <ouro/kv/redis/value.hpp>
#include <ouro/net/format.hpp>

#include <string>
#include <string_view>

namespace ouro::redis {

/// Texts as they are, numbers, "true" and "null"; of aggregates all elements: `["a", 1]`,
/// `{"key": "value"}`, where texts stand in quotes and what does not print is escaped.
std::string format_text(const value& what);
inline std::string format_text(const reply& what) { return format_text(what.root()); }
/// What what() says.
inline std::string_view format_text(const error& what) noexcept { return what.what(); }
inline std::string format_text(errc code) { return make_error_code(code).message(); }
/// "127.0.0.1:6379", "unix:/path".
inline std::string format_text(const address& where) { return to_string(where); }
inline std::string_view format_text(type kind) noexcept { return to_string(kind); }
inline std::string_view format_text(message_kind kind) noexcept { return to_string(kind); }

}  // namespace ouro::redis

template <>
struct fmt::formatter<ouro::redis::value> : ouro::text_formatter<ouro::redis::value> {};
template <>
struct fmt::formatter<ouro::redis::reply> : ouro::text_formatter<ouro::redis::reply> {};
template <>
struct fmt::formatter<ouro::redis::error> : ouro::text_formatter<ouro::redis::error> {};
template <>
struct fmt::formatter<ouro::redis::errc> : ouro::text_formatter<ouro::redis::errc> {};
template <>
struct fmt::formatter<ouro::redis::address> : ouro::text_formatter<ouro::redis::address> {};
template <>
struct fmt::formatter<ouro::redis::type> : ouro::text_formatter<ouro::redis::type> {};
template <>
struct fmt::formatter<ouro::redis::message_kind> : ouro::text_formatter<ouro::redis::message_kind> {
};
