#include <ouro/kv/redis/format.hpp>

namespace ouro::redis {
namespace {

void append(std::string& to, const value& what, bool quoted);

void append_quoted(std::string& to, std::string_view text) {
    to += '"';
    for (const char each : text) {
        const auto byte = static_cast<unsigned char>(each);
        if (each == '"' || each == '\\')
            (to += '\\') += each;
        else if (byte < 0x20 || byte == 0x7f)
            to += fmt::format("\\x{:02x}", byte);
        else
            to += each;
    }
    to += '"';
}

void append_elements(std::string& to, const value& what) {
    const bool pairs = what.kind() == type::map;
    const bool unordered = pairs || what.kind() == type::set;
    to += unordered ? '{' : '[';
    std::size_t at = 0;
    for (const value each : what) {
        if (at > 0) to += pairs && at % 2 == 1 ? ": " : ", ";
        append(to, each, true);
        ++at;
    }
    to += unordered ? '}' : ']';
}

void append(std::string& to, const value& what, bool quoted) {
    if (what.is_aggregate()) {
        append_elements(to, what);
    } else if (what.kind() == type::integer) {
        to += fmt::format("{}", what.integer());
    } else if (what.kind() == type::real) {
        to += fmt::format("{}", what.real());
    } else if (what.kind() == type::boolean) {
        to += what.boolean() ? "true" : "false";
    } else if (!what.has_text()) {
        to += "null";
    } else if (quoted && what.kind() != type::big_number) {
        append_quoted(to, what.text());
    } else {
        to += what.text();
    }
}

}  // namespace

std::string format_text(const value& what) {
    std::string all;
    append(all, what, false);
    return all;
}

}  // namespace ouro::redis
