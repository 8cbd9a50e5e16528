// works.hpp: the works; each is described where it is defined.
#pragma once

#include "meter.hpp"
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <string>

namespace ouro::net::tls {
class client_context;
}

namespace kv_load {

/// The server that a work asks, on this machine.
struct server {
    std::uint16_t port = 0;
    /// Whom to trust under TLS; null: in the clear.
    const ouro::net::tls::client_context* trust = nullptr;
};

/// How many keys there are, and how many callers where there are many: each has a key of its own.
constexpr int entries = 64;

/// A key and its value have 16 bytes, as those of the rivals: `key:000000000042`,
/// `value-0000000042`.
std::string key_of(int number);
std::string value_of(int number);

/// Throws std::logic_error: what was answered is not what was stored.
[[noreturn]] void throw_wrong_value(int number, std::string_view value);

inline void check_value(int number, const std::string& wanted, std::string_view value) {
    if (value != wanted) throw_wrong_value(number, value);
}

// redis_works.cpp
ouro::task<> redis_get_64(server where, meter& watch);
ouro::task<> redis_get_1(server where, meter& watch);
ouro::task<> redis_set_64(server where, meter& watch);
ouro::task<> redis_pipeline_1000(server where, meter& watch);

// memcached_works.cpp
ouro::task<> memcached_get_64(server where, meter& watch);
ouro::task<> memcached_get_1(server where, meter& watch);

}  // namespace kv_load
