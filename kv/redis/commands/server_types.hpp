// server_types.hpp: what the server commands take and return.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// A command that took long.
struct slowlog_entry {
    std::int64_t id = 0;
    wall_time at;
    std::chrono::microseconds took{0};
    std::vector<std::string> arguments;  ///< shortened
    std::string client_address;
    std::string client_name;
};

/// Something in the server that took long.
struct latency_event {
    std::string name;
    wall_time at;  ///< when it happened last
    std::chrono::milliseconds latest{0};
    std::chrono::milliseconds worst{0};
};

struct latency_sample {
    wall_time at;
    std::chrono::milliseconds took{0};
};

template <>  // an integer of seconds, or seconds and microseconds
struct decoder<wall_time> {
    static std::error_code read(const value& from, wall_time& into) noexcept;
};
template <>
struct decoder<slowlog_entry> {
    static std::error_code read(const value& from, slowlog_entry& into);
};
template <>
struct decoder<latency_event> {
    static std::error_code read(const value& from, latency_event& into);
};
template <>
struct decoder<latency_sample> {
    static std::error_code read(const value& from, latency_sample& into);
};

struct failover_options {
    std::string_view host = {};  ///< to that replica; empty: to the best one
    std::uint16_t port = 6379;
    bool force = false;                    ///< with a host, when the timeout has passed
    std::chrono::milliseconds timeout{0};  ///< to catch up; zero: for ever
};
static_assert(std::is_trivially_copyable_v<failover_options>);

struct module_options {
    std::string_view name = {};     ///< of one setting; empty: none
    std::string_view setting = {};  ///< and its value
    words arguments = {};
};
static_assert(std::is_trivially_copyable_v<module_options>);

}  // namespace ouro::redis
