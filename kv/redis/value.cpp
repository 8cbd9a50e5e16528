#include <ouro/kv/redis/value.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ouro::redis {
namespace {

void append_number(std::string& to, auto number) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    to.append(digits, end);
}

// Control characters would reach a terminal or end a line of a log; `also` is escaped, too.
void append_text(std::string& to, std::string_view text, std::string_view also,
                 std::size_t bytes_max) {
    constexpr std::string_view hex = "0123456789abcdef";
    for (const char c : text) {
        if (to.size() > bytes_max) break;
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            to += "\\x";
            to += hex[byte >> 4];
            to += hex[byte & 15];
        } else {
            if (also.find(c) != std::string_view::npos) to += '\\';
            to += c;
        }
    }
}

void append_quoted(std::string& to, std::string_view text, std::size_t bytes_max) {
    to += '"';
    append_text(to, text, "\"\\", bytes_max);
    to += '"';
}

void append(std::string& to, const value& what, std::size_t bytes_max) {
    switch (what.kind()) {
        case type::null: to += "(nil)"; return;
        case type::string:
        case type::verbatim: append_quoted(to, what.text(), bytes_max); return;
        case type::error: to += "(error) "; [[fallthrough]];
        case type::status:
        case type::big_number: append_text(to, what.text(), "", bytes_max); return;
        case type::integer: append_number(to, what.integer()); return;
        case type::real: append_number(to, what.real()); return;
        case type::boolean: to += what.boolean() ? "true" : "false"; return;
        case type::array:
        case type::set:
        case type::map:
        case type::push: break;
    }
    const bool braces = what.kind() == type::map || what.kind() == type::set;
    to += braces ? '{' : '[';
    bool first = true;
    for (const value& element : what) {
        if (to.size() > bytes_max) break;
        if (!first) to += ' ';
        first = false;
        append(to, element, bytes_max);
    }
    to += braces ? '}' : ']';
}

}  // namespace

const char* to_string(type kind) noexcept {
    switch (kind) {
        case type::null: return "null";
        case type::string: return "string";
        case type::status: return "status";
        case type::error: return "error";
        case type::integer: return "integer";
        case type::real: return "double";
        case type::boolean: return "boolean";
        case type::big_number: return "big number";
        case type::verbatim: return "verbatim string";
        case type::array: return "array";
        case type::set: return "set";
        case type::map: return "map";
        case type::push: return "push";
    }
    return "unknown";
}

reply::reply(const value& from) { assign(from); }

void reply::assign(const value& from) {
    if (from.bytes_ == bytes_.data() && !nodes_.empty()) {  // of ourselves
        *this = reply(from);
        return;
    }
    nodes_.clear();
    bytes_.clear();
    from.append_to(nodes_, bytes_);
}

void value::append_to(std::vector<node>& nodes, std::string& bytes) const {
    const std::size_t begin = nodes.size();
    nodes.insert(nodes.end(), at_, at_ + at_->span);
    for (std::size_t at = begin; at < nodes.size(); ++at) {
        node& copied = nodes[at];
        const value original{copied, bytes_};
        if (!original.has_text()) continue;
        // A verbatim string keeps its format in front.
        const std::uint32_t front = copied.kind == type::verbatim ? 4 : 0;
        bytes.append(bytes_ + copied.text.offset - front, copied.text.size + front);
        copied.text.offset = static_cast<std::uint32_t>(bytes.size()) - copied.text.size;
    }
}

std::string to_text(const value& what, std::size_t bytes_max) {
    std::string text;
    append(text, what, bytes_max);
    if (text.size() > bytes_max) {
        text.resize(bytes_max);
        text += "...";
    }
    return text;
}

}  // namespace ouro::redis
