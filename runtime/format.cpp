#include <ouro/runtime/format.hpp>

#include <ouro/runtime/duration_text.hpp>

namespace ouro {

std::string format_text(length_in_words what) {
    return what.length == duration::max() ? "for ever" : duration_text(what.length);
}

std::string format_text(const error_in_words& what) { return what.code.message(); }
std::string format_text(errc code) { return make_error_code(code).message(); }
std::string_view format_text(cancel_reason reason) noexcept { return to_string(reason); }

std::string_view format_text(log_level level) noexcept {
    switch (level) {
        case log_level::debug: return "debug";
        case log_level::info: return "info";
        case log_level::warning: return "warning";
        case log_level::error: return "error";
    }
    return "?";
}

std::string format_text(time_point when) {
    if (when == time_point::max()) return "never";
    const time_point now = clock::now();
    if (when == now) return "now";
    return when > now ? "in " + duration_text(when - now) : duration_text(now - when) + " ago";
}

}  // namespace ouro
