#include <ouro/kv/redis/commands/server_types.hpp>

#include <array>

namespace ouro::redis {

std::error_code decoder<wall_time>::read(const value& from, wall_time& into) noexcept {
    std::array<std::int64_t, 2> parts{};  // seconds, microseconds
    const auto error = from.is_aggregate() ? decode(from, parts) : read_integer(from, parts[0]);
    into = wall_time(std::chrono::seconds(parts[0]) + std::chrono::microseconds(parts[1]));
    return error;
}

std::error_code decoder<slowlog_entry>::read(const value& from, slowlog_entry& into) {
    if (!from.is_aggregate() || from.size() < 6) return unexpected(from);
    auto at = from.begin();
    if (const auto error = decode(*at, into.id)) return error;
    if (const auto error = decode(*++at, into.at)) return error;
    if (const auto error = decode(*++at, into.took)) return error;
    if (const auto error = decode(*++at, into.arguments)) return error;
    if (const auto error = decode(*++at, into.client_address)) return error;
    return decode(*++at, into.client_name);
}

std::error_code decoder<latency_event>::read(const value& from, latency_event& into) {
    if (!from.is_aggregate() || from.size() < 4) return unexpected(from);
    auto at = from.begin();
    if (const auto error = decode(*at, into.name)) return error;
    if (const auto error = decode(*++at, into.at)) return error;
    if (const auto error = decode(*++at, into.latest)) return error;
    return decode(*++at, into.worst);
}

std::error_code decoder<latency_sample>::read(const value& from, latency_sample& into) {
    if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
    if (const auto error = decode(from[0], into.at)) return error;
    return decode(from[1], into.took);
}

}  // namespace ouro::redis
