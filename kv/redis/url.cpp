#include <ouro/kv/redis/url.hpp>

#include <ouro/kv/redis/error.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
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

std::string lower(std::string_view text) {
    std::string small;
    for (const char c : text) small += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return small;
}

bool has_blank(std::string_view text) noexcept {
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return true;
    return false;
}

/// What is wrong, as a sentence; null: nothing.
using fault = const char*;

constexpr fault bad_percent = "has a '%' that is not followed by two hex digits";

/// Reads one URL. Its functions return null, or what is wrong with the part that `part_` names.
class url_reader {
public:
    explicit url_reader(std::string_view text) : text_(text) {}

    /// Zero: it was read.
    std::error_code read(url& into) {
        fault_ = read_parts(take_scheme(), into);
        return fault_ ? make_error_code(errc::bad_url) : std::error_code();
    }
    std::string why() const { return std::string(part_) + " " + fault_; }

private:
    std::string take_scheme() {
        const std::size_t slashes = text_.find("://");
        if (slashes != std::string_view::npos) {
            const std::string scheme = slashes == 0 ? "none" : lower(text_.substr(0, slashes));
            text_.remove_prefix(slashes + 3);
            return scheme;
        }
        if (lower(text_.substr(0, 5)) != "unix:") return {};
        text_.remove_prefix(5);
        has_authority_ = !text_.starts_with('@');  // else it is the name of an abstract socket
        return "unix";
    }

    fault read_parts(std::string_view scheme, url& into) {
        const bool local = scheme == "unix" || scheme == "redis+unix" || scheme == "redis-socket";
        into.tls = scheme == "rediss" || scheme == "valkeys";
        part_ = "the scheme";
        if (!local && !into.tls && !scheme.empty() && scheme != "redis" && scheme != "valkey")
            return "is not redis, rediss, valkey, valkeys or unix";
        part_ = "the URL";
        if (text_.find('\0') != std::string_view::npos) return "has a NUL in it";
        const std::size_t end = std::min(text_.find_first_of("/?#"), text_.size());
        const std::size_t at = has_authority_ ? text_.substr(0, end).rfind('@') : at_none;
        if (at != at_none) {
            if (const fault wrong = read_login(text_.substr(0, at), into)) return wrong;
            text_.remove_prefix(at + 1);
        }
        const std::size_t question = std::min(text_.find('?'), text_.size());
        const std::string_view place = text_.substr(0, question);
        fault wrong = local ? read_path(place, into) : read_place(place, into);
        if (!wrong && question < text_.size()) wrong = read_query(text_.substr(question + 1), into);
        if (wrong && !local && at == at_none && text_.find('@') != std::string_view::npos) {
            part_ = "the user or the password";
            return "holds a '/', '?' or '#', which is written %2F, %3F, %23";
        }
        return wrong;
    }

    fault read_login(std::string_view text, url& into) {
        const std::size_t colon = text.find(':');
        part_ = "the user";
        const auto user = percent_decoded(text.substr(0, colon));
        if (!user) return bad_percent;
        part_ = "the password";
        const auto password =
            percent_decoded(colon == std::string_view::npos ? "" : text.substr(colon + 1));
        if (!password) return bad_percent;
        into.user = *user;
        into.password = *password;
        return nullptr;
    }

    fault read_place(std::string_view text, url& into) {
        const std::size_t slash = std::min(text.find('/'), text.size());
        if (const fault wrong = read_host(text.substr(0, slash), into.where)) return wrong;
        if (slash + 1 >= text.size()) return nullptr;
        part_ = "the database";
        if (!read_number(text.substr(slash + 1), into.database)) return "is not a number";
        has_database_ = true;
        return nullptr;
    }

    fault read_host(std::string_view text, address& into) {
        part_ = "the host";
        std::size_t end = 0;
        if (text.starts_with('[')) {
            end = text.find(']');
            if (end == std::string_view::npos) return "has no closing bracket";
            const std::string_view host = text.substr(1, end - 1);
            if (host.empty() || has_blank(host) || host.find_first_of("#@") != at_none)
                return "is no IPv6 address";
            into.host = host;
            ++end;
        } else {
            end = std::min(text.find(':'), text.size());
            if (text.substr(end).find(':', 1) != std::string_view::npos)
                return "has several colons: an IPv6 address stands in brackets";
            const auto host = percent_decoded(text.substr(0, end));
            if (!host) return bad_percent;
            if (has_blank(*host)) return "has a blank or a control character";
            if (host->find_first_of("?#@") != std::string::npos) return "has a '?', '#' or '@'";
            if (!host->empty()) into.host = *host;
        }
        if (end == text.size()) return nullptr;
        part_ = "the port";
        if (text[end] != ':') return "is not separated by a colon";
        const bool is_port = read_number(text.substr(end + 1), into.port) && into.port != 0;
        return is_port ? nullptr : "is not a number from 1 to 65535";
    }

    fault read_path(std::string_view text, url& into) {
        part_ = "the path";
        const auto path = percent_decoded(text);
        if (!path) return bad_percent;
        if (path->empty()) return "is missing";
        if (path->find('\0') != std::string::npos) return "has a NUL in it";
        into.where.path = *path;
        return nullptr;
    }

    fault read_query(std::string_view text, url& into) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('&'), text.size());
            const std::string_view one = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            const std::size_t equals = std::min(one.find('='), one.size());
            part_ = "a parameter";
            const auto name = percent_decoded(one.substr(0, equals));
            const auto what = percent_decoded(equals == one.size() ? "" : one.substr(equals + 1));
            if (!name || !what) return bad_percent;
            if (equals == one.size()) return "has no value";
            if (const fault wrong = read_parameter(plain(*name), *what, into)) return wrong;
        }
        return nullptr;
    }

    /// "client_name", "client-name" and "clientName" are one.
    static std::string plain(std::string_view name) {
        std::string small = lower(name);
        std::erase_if(small, [](char c) { return c == '_' || c == '-'; });
        return small;
    }

    fault read_parameter(std::string_view name, const std::string& what, url& into) {
        if (name == "db" || name == "database") return read_database(what, into);
        if (name == "user" || name == "username") return read_text("the user", what, into.user);
        if (name == "password") return read_text("the password", what, into.password);
        if (name == "clientname") return read_text("the client name", what, into.client_name);
        if (name == "protocol") return read_protocol(what, into);
        if (name == "connecttimeout" || name == "socketconnecttimeout" || name == "dialtimeout") {
            if (const fault wrong = read_time("the connect timeout", what, into.connect_timeout))
                return wrong;
            return *into.connect_timeout == duration::zero() ? "is zero" : nullptr;
        }
        if (name == "timeout" || name == "sockettimeout" || name == "readtimeout" ||
            name == "requesttimeout")
            return read_time("the timeout", what, into.request_timeout);
        return "is not one of db, user, password, protocol, client_name, connect_timeout, timeout";
    }

    fault read_database(std::string_view what, url& into) {
        part_ = "the database";
        std::uint32_t number = 0;
        if (!read_number(what, number)) return "is not a number";
        if (has_database_ && number != into.database) return "is said twice";
        into.database = number;
        has_database_ = true;
        return nullptr;
    }

    fault read_text(const char* part, const std::string& what, std::string& into) {
        part_ = part;
        if (!into.empty() && into != what) return "is said twice";
        into = what;
        return nullptr;
    }

    fault read_protocol(std::string_view what, url& into) {
        part_ = "the protocol";
        const std::string small = lower(what);
        const int number = small == "2" || small == "resp2"   ? 2
                           : small == "3" || small == "resp3" ? 3
                                                              : 0;
        if (number == 0) return "is not 2 or 3";
        if (into.protocol != 0 && into.protocol != number) return "is said twice";
        into.protocol = number;
        return nullptr;
    }

    fault read_time(const char* part, std::string_view what, std::optional<duration>& into) {
        part_ = part;
        double number = 0;
        const char* const end = what.data() + what.size();
        const auto [stop, error] = std::from_chars(what.data(), end, number);
        const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
        const double seconds = unit.empty() || unit == "s" ? 1
                               : unit == "ms"              ? 0.001
                               : unit == "m"               ? 60
                               : unit == "h"               ? 3600
                                                           : 0;
        constexpr double seconds_max = 1e9;
        if (error != std::errc() || seconds == 0 || !(number >= 0)) return "is not a time";
        if (number * seconds > seconds_max) return "is longer than 10^9 seconds";
        const duration read = std::chrono::duration<double>(number * seconds);
        if (into && *into != read) return "is said twice";
        into = read;
        return nullptr;
    }

    static constexpr std::size_t at_none = std::string_view::npos;

    std::string_view text_;  // what was not read yet
    const char* part_ = "the URL";
    fault fault_ = nullptr;
    bool has_authority_ = true;
    bool has_database_ = false;
};

}  // namespace

std::string to_string(const address& where) {
    if (!where.path.empty()) return "unix:" + where.path;
    const bool brackets = where.host.find(':') != std::string::npos;
    return (brackets ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

result<url> url::parse(std::string_view text) {
    std::string why;
    return parse(text, why);
}

result<url> url::parse(std::string_view text, std::string& why, std::uint16_t port_if_none) {
    url made;
    made.where.port = port_if_none;
    url_reader reader(text);
    const std::error_code refused = reader.read(made);
    if (!refused) return made;
    why = reader.why();
    return refused;
}

url url::read(std::string_view text) {
    std::string why;
    const result<url> made = parse(text, why);
    if (!made) throw error(made.error(), net::fate::unsent, "redis URL", why);
    return *made;
}

}  // namespace ouro::redis
