#include <ouro/kv/memcached/wire/meta.hpp>

#include <ouro/kv/memcached/wire/line.hpp>
#include <ouro/kv/memcached/wire/text.hpp>

namespace ouro::memcached::meta {
namespace {

void put_key(line_writer& line, const request& what) noexcept {
    if (what.base64)
        line.put_base64(what.key);
    else
        line.put(what.key);
}

// The opaque comes last: a reply then carries it behind everything that could be wrong.
std::size_t finish(line_writer& line, const request& what) noexcept {
    if (what.base64) line.put(" b");
    if (what.cas != 0) line.put_token('C', what.cas);
    line.put_token('O', what.opaque);
    line.put("\r\n");
    return line.size();
}

void put_wishes(line_writer& line, const request& what) noexcept {
    if (what.wants_value) line.put(" v");
    if (what.wants_flags) line.put(" f");
    if (what.wants_ttl) line.put(" t");
    if (what.wants_cas) line.put(" c");
}

std::size_t encode_get(line_writer& line, const request& what) noexcept {
    line.put("mg ");
    put_key(line, what);
    put_wishes(line, what);
    if (what.exptime) line.put_token('T', *what.exptime);
    if (what.vivify) line.put_token('N', *what.vivify);
    if (what.recache) line.put_token('R', *what.recache);
    return finish(line, what);
}

std::size_t encode_touch(line_writer& line, const request& what) noexcept {
    line.put("mg ");
    put_key(line, what);
    line.put_token('T', what.exptime.value_or(0));
    return finish(line, what);
}

/// The letter of the mode; 'S' is what goes without saying.
char mode_of(verb what) noexcept {
    switch (what) {
        case verb::add: return 'E';
        case verb::replace: return 'R';
        case verb::append: return 'A';
        case verb::prepend: return 'P';
        default: return 'S';
    }
}

std::size_t encode_store(line_writer& line, const request& what) noexcept {
    line.put("ms ");
    put_key(line, what);
    line.put(' ');
    line.put_number(what.value.size());
    if (what.flags != 0) line.put_token('F', what.flags);
    if (what.exptime && *what.exptime != 0) line.put_token('T', *what.exptime);
    if (const char mode = mode_of(what.what); mode != 'S') {
        line.put(" M");
        line.put(mode);
    }
    if (what.stale) line.put(" I");
    if (what.wants_cas) line.put(" c");
    return finish(line, what);
}

std::size_t encode_arithmetic(line_writer& line, const request& what) noexcept {
    line.put("ma ");
    put_key(line, what);
    line.put(" v");
    if (what.what == verb::decrement) line.put(" MD");
    line.put_token('D', what.delta);
    if (what.exptime) {
        line.put_token('N', *what.exptime);
        line.put_token('J', what.initial);
    }
    return finish(line, what);
}

std::size_t encode_remove(line_writer& line, const request& what) noexcept {
    line.put("md ");
    put_key(line, what);
    if (what.stale) line.put(" I");
    if (what.stale && what.exptime) line.put_token('T', *what.exptime);
    return finish(line, what);
}

/// Reads the flags behind a code. What is not known is passed over.
bool read_flags(std::string_view rest, reply& out) noexcept {
    while (!rest.empty()) {
        const std::string_view word = take_word(rest);
        if (word.empty()) return false;
        const std::string_view token = word.substr(1);
        bool good = true;
        switch (word.front()) {
            case 'O':
                good = !out.has_opaque && read_number(token, out.opaque);
                out.has_opaque = true;
                break;
            case 'f': good = read_number(token, out.flags); break;
            case 'c': good = read_number(token, out.cas); break;
            case 't': good = read_number(token, out.ttl); break;
            case 'k':
                out.key = token;
                out.has_key = true;
                break;
            case 'W': out.won = true; break;
            case 'X': out.stale = true; break;
            case 'Z': out.taken = true; break;
            default: break;
        }
        if (!good) return false;
    }
    return true;
}

struct return_code {
    char name[3];
    status meaning;
};

constexpr return_code codes[] = {{"HD", status::ok},        {"EN", status::miss},
                                 {"NF", status::not_found}, {"NS", status::not_stored},
                                 {"EX", status::exists},    {"MN", status::noop}};

result<std::size_t> parse_value(std::span<const std::byte> in, const first_line& line, reply& out,
                                const wire_limits& limits) noexcept {
    std::string_view rest = line.text.substr(3);
    std::size_t size = 0;
    if (!read_number(take_word(rest), size) || !read_flags(rest, out))
        return make_error_code(errc::bad_reply);
    out.what = status::value;
    return take_block(in, line.used, size, out, limits);
}

}  // namespace

std::size_t encode_head(const request& what, std::span<char, head_bytes_max> into) noexcept {
    line_writer line(into);
    switch (what.what) {
        case verb::get: return encode_get(line, what);
        case verb::touch: return encode_touch(line, what);
        case verb::set:
        case verb::add:
        case verb::replace:
        case verb::append:
        case verb::prepend: return encode_store(line, what);
        case verb::increment:
        case verb::decrement: return encode_arithmetic(line, what);
        case verb::remove: return encode_remove(line, what);
        case verb::noop: line.put("mn\r\n"); return line.size();
        case verb::flush:
        case verb::stats:
        case verb::version:
        case verb::authenticate: return text::encode_head(what, into);
    }
    return 0;
}

result<std::size_t> parse(std::span<const std::byte> in, reply& out,
                          const wire_limits& limits) noexcept {
    out = {};
    const auto line = take_line(in, limits.line_bytes_max);
    if (!line) return line.error();
    if (line->used == 0) return 0;
    const std::string_view said = line->text;
    if (said.size() > 2 && said[2] != ' ') return text::parse_line(in, *line, out, limits);
    if (said.starts_with("VA ")) return parse_value(in, *line, out, limits);
    for (const return_code& code : codes)
        if (said.starts_with(code.name)) {
            out.what = code.meaning;
            if (!read_flags(said.substr(said.size() > 2 ? 3 : 2), out))
                return make_error_code(errc::bad_reply);
            return line->used;
        }
    return text::parse_line(in, *line, out, limits);  // "OK"
}

}  // namespace ouro::memcached::meta
