#include <ouro/kv/redis/url.hpp>

#include <ouro/kv/redis/error.hpp>

#include <charconv>
#include <optional>

namespace ouro::redis {
namespace {

std::optional<unsigned> hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            plain += text[at];
            continue;
        }
        if (at + 2 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[at + 1]);
        const auto low = hex_digit(text[at + 2]);
        if (!high || !low) return std::nullopt;
        plain += static_cast<char>(*high << 4 | *low);
        at += 2;
    }
    return plain;
}

template <class Number>
bool read_number(std::string_view text, Number& into) noexcept {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, into);
    return stop == end && error == std::errc();
}

/// Whether it may be a host: a '?' belongs to a query, which "redis:" does not have.
bool is_host(std::string_view text) noexcept {
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '?' || c == '#' || c == '@')
            return false;
    return true;
}

/// Takes "scheme:" and "//" from the front.
std::string_view take_scheme(std::string_view& text) noexcept {
    const std::size_t slashes = text.find("://");
    if (slashes != std::string_view::npos) {
        const std::string_view scheme = slashes == 0 ? "none" : text.substr(0, slashes);
        text.remove_prefix(slashes + 3);
        return scheme;
    }
    if (text.starts_with("unix:")) {
        text.remove_prefix(5);
        return "unix";
    }
    return {};
}

bool read_login(std::string_view text, url& into) {
    const std::size_t colon = text.find(':');
    const auto user = percent_decoded(text.substr(0, colon));
    const auto password =
        percent_decoded(colon == std::string_view::npos ? "" : text.substr(colon + 1));
    if (!user || !password) return false;
    into.user = *user;
    into.password = *password;
    return true;
}

bool read_host(std::string_view text, address& into) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || end == 1) return false;
        if (!is_host(text.substr(1, end - 1))) return false;
        into.host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        if (!text.empty() && text.front() != ':') return false;
        if (!text.empty()) port = text.substr(1);
        if (!text.empty() && port.empty()) return false;
    } else {
        const std::size_t colon = text.find(':');
        if (text.find(':', colon + 1) != std::string_view::npos && colon != std::string_view::npos)
            return false;  // an IPv6 address has to stand in brackets
        const auto host = percent_decoded(text.substr(0, colon));
        if (!host || !is_host(*host)) return false;
        if (!host->empty()) into.host = *host;
        if (colon != std::string_view::npos) port = text.substr(colon + 1);
        if (colon != std::string_view::npos && port.empty()) return false;
    }
    return port.empty() || (read_number(port, into.port) && into.port != 0);
}

bool read_unix(std::string_view text, url& into) {
    const std::size_t question = text.find('?');
    const auto path = percent_decoded(text.substr(0, question));
    if (!path || path->empty() || path->find('\0') != std::string::npos) return false;
    into.where.path = *path;
    if (question == std::string_view::npos) return true;
    const std::string_view query = text.substr(question + 1);
    return query.starts_with("db=") && read_number(query.substr(3), into.database);
}

}  // namespace

std::string to_string(const address& where) {
    if (!where.path.empty()) return "unix:" + where.path;
    const bool brackets = where.host.find(':') != std::string::npos;
    return (brackets ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

result<url> url::parse(std::string_view text) {
    url made;
    const std::string_view scheme = take_scheme(text);
    if (scheme == "rediss") return make_error_code(errc::no_tls);
    if (text.find('\0') != std::string_view::npos) return make_error_code(errc::bad_url);
    const std::size_t at = text.substr(0, text.find('/')).rfind('@');
    const bool login = at != std::string_view::npos;
    if (login && !read_login(text.substr(0, at), made)) return make_error_code(errc::bad_url);
    if (login) text.remove_prefix(at + 1);
    bool good = false;
    if (scheme == "unix" || scheme == "redis+unix" || scheme == "redis-socket") {
        good = read_unix(text, made);
    } else if (scheme.empty() || scheme == "redis") {
        const std::size_t slash = text.find('/');
        good = read_host(text.substr(0, slash), made.where);
        const std::string_view path =
            slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
        if (!path.empty()) good = good && read_number(path, made.database);
    }
    if (!good) return make_error_code(errc::bad_url);
    return made;
}

}  // namespace ouro::redis
