// format.hpp: what fmt prints of ours: errors, reasons, lengths and points of time.
//
// The only header here that includes fmt; who does not print with it does not pay for it.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/chain.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/log.hpp>

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <system_error>

namespace ouro {

/// Derive a fmt::formatter from it: prints the text that `format_text(what)` makes, found by its
/// argument. Width, fill, alignment and precision are those of a string.
template <class T>
struct text_formatter : fmt::formatter<std::string_view> {
    template <class Context>
    auto format(const T& what, Context& into) const {
        const auto text = format_text(what);
        return fmt::formatter<std::string_view>::format(std::string_view(text), into);
    }
};

/// A length of time for people: `fmt::print("after {}\n", in_words(250ms))` says "after 250 ms".
///
/// Types of the standard library have formatters of their own in <fmt/chrono.h> and <fmt/std.h>,
/// which say "250000000ns" and "system:111"; this is beside them, not in their place.
struct length_in_words {
    duration length;
};
constexpr length_in_words in_words(duration length) noexcept { return {length}; }

/// An error's words: "Connection refused".
struct error_in_words {
    std::error_code code;
};
inline error_in_words in_words(std::error_code code) noexcept { return {code}; }

/// "250 ms": see duration_text; "for ever" for duration::max().
std::string format_text(length_in_words what);
std::string format_text(const error_in_words& what);
std::string format_text(errc code);
std::string_view format_text(cancel_reason reason) noexcept;
std::string_view format_text(log_level level) noexcept;
/// As seen from now: "in 3.2 s", "3.2 s ago", "now", "never" for time_point::max().
std::string format_text(time_point when);

}  // namespace ouro

template <>
struct fmt::formatter<ouro::length_in_words> : ouro::text_formatter<ouro::length_in_words> {};
template <>
struct fmt::formatter<ouro::error_in_words> : ouro::text_formatter<ouro::error_in_words> {};
template <>
struct fmt::formatter<ouro::errc> : ouro::text_formatter<ouro::errc> {};
template <>
struct fmt::formatter<ouro::cancel_reason> : ouro::text_formatter<ouro::cancel_reason> {};
template <>
struct fmt::formatter<ouro::log_level> : ouro::text_formatter<ouro::log_level> {};
/// `ouro::format_text` is no name that its argument, a type of std, leads to.
template <>
struct fmt::formatter<ouro::time_point> : fmt::formatter<std::string_view> {
    template <class Context>
    auto format(ouro::time_point when, Context& into) const {
        return fmt::formatter<std::string_view>::format(ouro::format_text(when), into);
    }
};
