#include <ouro/kv/redis/commands/strings.hpp>

#include <array>

namespace ouro::redis {

// [[first begin, first end], [second begin, second end]] and, WITHMATCHLEN, the length.
std::error_code decoder<lcs_match>::read(const value& from, lcs_match& into) {
    if (!from.is_aggregate() || (from.size() != 2 && from.size() != 3)) return unexpected(from);
    std::array<std::int64_t, 2> first{}, second{};
    if (const auto error = decode(from[0], first)) return error;
    if (const auto error = decode(from[1], second)) return error;
    into = {first[0], first[1], second[0], second[1], 0};
    return from.size() == 3 ? decode(from[2], into.length) : std::error_code();
}

std::error_code decoder<lcs_matches>::read(const value& from, lcs_matches& into) {
    into = {};
    return for_each_pair(from, [&into](const value& name, const value& found) {
        if (!name.has_text()) return unexpected(name);
        if (name.text() == "matches") return decode(found, into.matches);
        if (name.text() == "len") return decode(found, into.length);
        return std::error_code();
    });
}

}  // namespace ouro::redis
