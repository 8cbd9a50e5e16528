#include <ouro/kv/redis/wire/decode.hpp>

#include <charconv>
#include <cmath>
#include <string_view>

namespace ouro::redis {
namespace {

template <class Number>
bool spells(std::string_view text, Number& into) noexcept {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, into);
    return stop == end && error == std::errc();
}

template <class Number>
std::string spelled(Number number) {
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
}

bool is_text(const value& from) noexcept { return from.has_text() && !from.is_error(); }

// Scores are doubles in RESP3 and texts in RESP2, also where they are whole.
bool is_whole(double real) noexcept {
    constexpr double beyond = 9223372036854775808.0;  // the first that is too large
    return real >= -beyond && real < beyond && std::trunc(real) == real;
}

}  // namespace

std::error_code unexpected(const value& from) noexcept {
    if (from.is_error()) return code_of(from.text());
    return from.is_null() ? errc::null_reply : errc::unexpected_reply;
}

std::error_code read_text(const value& from, std::string& into) {
    if (is_text(from))
        into = from.text();
    else if (from.kind() == type::integer)
        into = spelled(from.integer());
    else if (from.kind() == type::real)
        into = spelled(from.real());
    else
        return unexpected(from);
    return {};
}

std::error_code read_bytes(const value& from, std::vector<std::byte>& into) {
    std::string number;
    std::string_view text;
    if (is_text(from))
        text = from.text();
    else if (const auto error = read_text(from, number))
        return error;
    else
        text = number;
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
    into.assign(bytes, bytes + text.size());
    return {};
}

std::error_code read_integer(const value& from, std::int64_t& into) noexcept {
    if (from.kind() == type::integer)
        into = from.integer();
    else if (from.kind() == type::boolean)
        into = from.boolean() ? 1 : 0;
    else if (from.kind() == type::real && is_whole(from.real()))
        into = static_cast<std::int64_t>(from.real());
    else if (!is_text(from) || !spells(from.text(), into))
        return unexpected(from);
    return {};
}

std::error_code read_unsigned(const value& from, std::uint64_t& into) noexcept {
    if (is_text(from) && spells(from.text(), into)) return {};
    std::int64_t number = 0;
    if (const auto error = read_integer(from, number)) return error;
    if (number < 0) return errc::unexpected_reply;
    into = static_cast<std::uint64_t>(number);
    return {};
}

std::error_code read_real(const value& from, double& into) noexcept {
    if (from.kind() == type::real) {
        into = from.real();
        return {};
    }
    if (is_text(from) && spells(from.text(), into)) return {};
    std::int64_t number = 0;
    if (const auto error = read_integer(from, number)) return error;
    into = static_cast<double>(number);
    return {};
}

std::error_code read_bool(const value& from, bool& into) noexcept {
    switch (from.kind()) {
        case type::boolean: into = from.boolean(); return {};
        case type::integer: into = from.integer() != 0; return {};
        case type::null: into = false; return {};
        case type::status:
            if (from.text() != "OK") break;
            into = true;
            return {};
        case type::string:  // how a bool is written to a hash
            if (from.text() != "0" && from.text() != "1") break;
            into = from.text() == "1";
            return {};
        default: break;
    }
    return unexpected(from);
}

}  // namespace ouro::redis
