// resp_reading.hpp: replies as one line of text, and what the parser makes of bytes that arrive in
// pieces. For tests and fuzzing.
#pragma once

#include <ouro/kv/redis/wire/resp.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// Text with every byte that is no plain character, '"' and '\' written as \xNN.
inline std::string escaped(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string plain;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            plain += c;
        } else {
            plain += "\\x";
            plain += hex[byte >> 4];
            plain += hex[byte & 15];
        }
    }
    return plain;
}

/// A number as the shortest text that is the same number.
inline std::string number_text(auto number) {
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
}

/// A reply in a notation in which nothing is lost: marks of RESP before what they mark, texts in
/// quotes, elements in brackets: `*[$"a" :1 _]`.
inline std::string notation(const value& what) {
    const auto quoted = [&](std::string mark) { return mark + '"' + escaped(what.text()) + '"'; };
    switch (what.kind()) {
        case type::null: return "_";
        case type::string: return quoted("$");
        case type::status: return quoted("+");
        case type::error: return quoted("-");
        case type::big_number: return quoted("(");
        case type::verbatim: return quoted("=" + escaped(what.format()));
        case type::integer: return ":" + number_text(what.integer());
        case type::real: return "," + number_text(what.real());
        case type::boolean: return what.boolean() ? "#t" : "#f";
        case type::array:
        case type::set:
        case type::map:
        case type::push: break;
    }
    std::string all = what.kind() == type::array ? "*["
                      : what.kind() == type::set ? "~["
                      : what.kind() == type::map ? "%["
                                                 : ">[";
    bool first = true;
    for (const value& element : what) {
        if (!first) all += ' ';
        first = false;
        all += notation(element);
    }
    return all + ']';
}

/// A reply as RESP3 bytes.
inline std::string encoded(const value& what) {
    constexpr std::string_view end = "\r\n";
    const auto line = [&](char mark, std::string_view text) {
        return mark + std::string(text).append(end);
    };
    const auto bulk = [&](char mark, std::string_view text) {
        return line(mark, number_text(text.size())).append(text).append(end);
    };
    switch (what.kind()) {
        case type::null: return line('_', "");
        case type::string: return bulk('$', what.text());
        case type::status: return line('+', what.text());
        case type::error: return bulk('!', what.text());
        case type::big_number: return line('(', what.text());
        case type::verbatim:
            return bulk('=', std::string(what.format()) + ':' + std::string(what.text()));
        case type::integer: return line(':', number_text(what.integer()));
        case type::real: return line(',', number_text(what.real()));
        case type::boolean: return line('#', what.boolean() ? "t" : "f");
        case type::array:
        case type::set:
        case type::map:
        case type::push: break;
    }
    const char mark = what.kind() == type::array ? '*'
                      : what.kind() == type::set ? '~'
                      : what.kind() == type::map ? '%'
                                                 : '>';
    const bool pairs = what.kind() == type::map;
    std::string all = line(mark, number_text(what.size() / (pairs ? 2 : 1)));
    for (const value& element : what) all += encoded(element);
    return all;
}

/// What came out of bytes.
struct parsed {
    std::vector<std::string> replies;  ///< in `notation`
    std::size_t used = 0;              ///< the bytes of complete replies
    std::error_code error;

    bool operator==(const parsed&) const = default;
    friend std::ostream& operator<<(std::ostream& to, const parsed& what) {
        for (const std::string& each : what.replies) to << each << ", ";
        return to << what.used << " bytes used, " << what.error.message();
    }
};

/// Has `parser` read `bytes`, of which `cuts[0]` arrive at first, then all up to `cuts[1]`, … Every
/// call sees the bytes in a block of their own, with nothing behind them.
inline parsed read_pieces(resp_parser& parser, std::string_view bytes,
                          std::span<const std::size_t> cuts) {
    parsed out;
    for (std::size_t piece = 0; piece <= cuts.size() && !out.error; ++piece) {
        const std::size_t arrived = piece < cuts.size() ? cuts[piece] : bytes.size();
        while (true) {
            const std::string_view left = bytes.substr(out.used, arrived - out.used);
            const std::vector<char> block(left.begin(), left.end());
            const auto size = parser.parse(std::as_bytes(std::span(block)));
            out.error = size.error();
            if (out.error || *size == 0) break;
            out.replies.push_back(notation(parser.root()));
            out.used += *size;
        }
    }
    return out;
}
inline parsed read_pieces(std::string_view bytes, std::span<const std::size_t> cuts,
                          const resp_limits& limits = {}) {
    resp_parser parser(limits);
    return read_pieces(parser, bytes, cuts);
}

/// Bytes that arrive at once.
inline parsed read_whole(std::string_view bytes, const resp_limits& limits = {}) {
    return read_pieces(bytes, {}, limits);
}

/// Bytes that arrive one by one.
inline parsed read_bytewise(std::string_view bytes, const resp_limits& limits = {}) {
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at < bytes.size(); ++at) cuts.push_back(at);
    return read_pieces(bytes, cuts, limits);
}

}  // namespace ouro::redis
