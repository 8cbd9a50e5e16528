#include <ouro/kv/memcached/wire/text.hpp>

#include <ouro/kv/memcached/wire/line.hpp>

namespace ouro::memcached::text {
namespace {

std::string_view store_command(const request& what) noexcept {
    if (what.cas != 0) return "cas ";
    switch (what.what) {
        case verb::add: return "add ";
        case verb::replace: return "replace ";
        case verb::append: return "append ";
        case verb::prepend: return "prepend ";
        default: return "set ";
    }
}

void put_store(line_writer& line, const request& what) noexcept {
    line.put(store_command(what));
    line.put(what.key);
    line.put(' ');
    line.put_number(what.flags);
    line.put(' ');
    line.put_number(what.exptime.value_or(0));
    line.put(' ');
    line.put_number(what.value.size());
    if (what.cas != 0) {
        line.put(' ');
        line.put_number(what.cas);
    }
}

void put_get(line_writer& line, const request& what) noexcept {
    line.put(what.exptime ? "gat" : "get");
    if (what.wants_cas) line.put('s');
    line.put(' ');
    if (what.exptime) {
        line.put_number(*what.exptime);
        line.put(' ');
    }
    line.put(what.key);
}

void put_word_and_number(line_writer& line, std::string_view command, const request& what,
                         std::integral auto number) noexcept {
    line.put(command);
    line.put(what.key);
    line.put(' ');
    line.put_number(number);
}

void put_authentication(line_writer& line, const request& what) noexcept {
    line.put("set auth 0 0 ");
    line.put_number(what.value.size());
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Replies.

struct fixed_line {
    std::string_view text;
    status meaning;
};

constexpr fixed_line fixed_lines[] = {
    {"STORED", status::ok},
    {"END", status::end},
    {"NOT_FOUND", status::not_found},
    {"DELETED", status::ok},
    {"NOT_STORED", status::not_stored},
    {"EXISTS", status::exists},
    {"TOUCHED", status::ok},
    {"OK", status::ok},
    {"RESET", status::ok},
};

/// VALUE <key> <flags> <bytes> [<cas>]
result<std::size_t> parse_value(std::span<const std::byte> in, const first_line& line, reply& out,
                                const wire_limits& limits) noexcept {
    std::string_view rest = line.text;
    take_word(rest);
    out.what = status::value;
    out.key = take_word(rest);
    out.has_key = true;
    std::size_t size = 0;
    bool good = !out.key.empty() && read_number(take_word(rest), out.flags);
    good = good && read_number(take_word(rest), size);
    good = good && (rest.empty() || read_number(rest, out.cas));
    if (!good) return make_error_code(errc::bad_reply);
    return take_block(in, line.used, size, out, limits);
}

/// "9" and, when a decrement made the number shorter, "9 ".
bool read_padded_number(std::string_view line, std::uint64_t& into) noexcept {
    return read_number(line.substr(0, line.find_last_not_of(' ') + 1), into);
}

bool read_error(std::string_view line, reply& out) noexcept {
    out.words = line;
    if (line == "ERROR" || line.starts_with("ERROR ")) {
        out.what = status::error;
        out.code = code_of_error(line);
        return true;
    }
    if (line.starts_with("CLIENT_ERROR")) {
        out.what = status::client_error;
        out.code = code_of_client_error(line);
        return true;
    }
    if (line.starts_with("SERVER_ERROR")) {
        out.what = status::server_error;
        out.code = code_of_server_error(line);
        return true;
    }
    return false;
}

/// The lines that have something to say besides themselves.
bool read_saying(std::string_view line, reply& out) noexcept {
    if (line.starts_with("STAT ") || line.starts_with("ITEM ") || line.starts_with("PREFIX ")) {
        take_word(line);
        out.what = status::stat;
        out.key = take_word(line);
        out.has_key = true;
        out.value = line;
        return true;
    }
    if (line.starts_with("VERSION ")) {
        out.what = status::version;
        out.value = line.substr(8);
        return true;
    }
    return read_error(line, out);
}

}  // namespace

std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept {
    line_writer line(into);
    switch (what.what) {
        case verb::get: put_get(line, what); break;
        case verb::touch:
            put_word_and_number(line, "touch ", what, what.exptime.value_or(0));
            break;
        case verb::set:
        case verb::add:
        case verb::replace:
        case verb::append:
        case verb::prepend: put_store(line, what); break;
        case verb::increment: put_word_and_number(line, "incr ", what, what.delta); break;
        case verb::decrement: put_word_and_number(line, "decr ", what, what.delta); break;
        case verb::remove:
            line.put("delete ");
            line.put(what.key);
            break;
        case verb::flush:
            line.put("flush_all");
            if (what.exptime && *what.exptime != 0) {
                line.put(' ');
                line.put_number(*what.exptime);
            }
            break;
        case verb::stats:
            line.put("stats");
            if (!what.key.empty()) line.put(' ');
            line.put(what.key);
            break;
        case verb::version:
        case verb::noop: line.put("version"); break;
        case verb::authenticate: put_authentication(line, what); break;
    }
    line.put("\r\n");
    return line.size();
}

bool can_say(const request& what) noexcept {
    const bool counts = what.what == verb::increment || what.what == verb::decrement;
    if (counts && what.exptime) return false;
    if (what.cas != 0 && what.what != verb::set) return false;
    if (what.wants_cas && what.what != verb::get) return false;
    return !what.base64 && !what.stale && !what.vivify && !what.recache && !what.wants_ttl;
}

void begin_get(std::string& line, bool wants_cas, std::optional<std::int32_t> exptime) {
    line = exptime ? "gat" : "get";
    if (wants_cas) line += 's';
    if (exptime) (line += ' ') += std::to_string(*exptime);
}

bool add_key(std::string& line, std::string_view key) {
    if (line.size() + 1 + key.size() + 2 > command_bytes_max) return false;
    (line += ' ') += key;
    return true;
}

result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept {
    out = {};
    const auto line = take_line(in, limits.line_bytes_max);
    if (!line) return line.error();
    if (line->used == 0) return 0;
    return parse_line(in, *line, out, limits);
}

result<std::size_t> parse_line(std::span<const std::byte> in, const first_line& line, reply& out,
                               const wire_limits& limits) noexcept {
    if (line.text.starts_with("VALUE ")) return parse_value(in, line, out, limits);
    for (const fixed_line& fixed : fixed_lines)
        if (line.text == fixed.text) {
            out.what = fixed.meaning;
            return line.used;
        }
    if (!line.text.empty() && is_digit(line.text.front())) {
        out.what = status::number;
        if (read_padded_number(line.text, out.number)) return line.used;
    } else if (read_saying(line.text, out)) {
        return line.used;
    }
    return make_error_code(errc::bad_reply);
}

std::string credentials(std::string_view user, std::string_view password) {
    std::string both(user);
    both += ' ';
    both += password;
    return both;
}

}  // namespace ouro::memcached::text
