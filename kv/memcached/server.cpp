#include <ouro/kv/memcached/server.hpp>

#include <ouro/kv/memcached/error.hpp>

#include <algorithm>
#include <charconv>

namespace ouro::memcached {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    std::string words = "\"";
    (words += text) += "\" ";
    throw error(ouro::errc::bad_address, net::fate::unsent, {}, words += why);
}

/// URLs and what has an '@' may hold a password, so they are not quoted.
void refuse_login(std::string_view text) {
    if (text.find('@') == std::string_view::npos && text.find("://") == std::string_view::npos)
        return;
    throw error(ouro::errc::bad_address, net::fate::unsent, {},
                "an address is host, host:port, [address]:port or unix:/path; it has no scheme and "
                "no '@': user and password are options of the client");
}

std::uint16_t parse_port(std::string_view text, std::string_view whole) {
    std::uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto [to, failed] = std::from_chars(text.data(), end, port);
    if (failed != std::errc{} || to != end || port == 0) refuse(whole, "has no port of 1 to 65535");
    return port;
}

}  // namespace

std::vector<server> parse_servers(std::string_view list) {
    std::vector<server> all;
    bool secret = false;
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        std::string_view one = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        while (one.starts_with(' ')) one.remove_prefix(1);
        while (one.ends_with(' ')) one.remove_suffix(1);
        secret = secret || (!one.starts_with("unix:") && one.find('@') != std::string_view::npos);
        all.emplace_back(std::string(one));
    }
    // A password may hold a comma: then the address before it must not be quoted, either.
    if (secret) refuse_login("@");
    return all;
}

address parse_address(std::string_view text) {
    if (text.starts_with("unix:")) {
        if (text.size() == 5) refuse(text, "names no socket");
        return {{}, 0, std::string(text.substr(5))};
    }
    refuse_login(text);
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == '/')
            refuse(text, "is no server: host, host:port, [address]:port or unix:/path");
    std::string_view host = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) refuse(text, "has no closing bracket");
        host = text.substr(1, end - 1);
        if (end + 1 < text.size()) {
            if (text[end + 1] != ':') refuse(text, "has something behind its bracket");
            port = text.substr(end + 2);
            if (port.empty()) refuse(text, "has no port of 1 to 65535");
        }
    } else if (const std::size_t colon = text.find(':');
               colon != std::string_view::npos && colon == text.rfind(':')) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (port.empty()) refuse(text, "has no port of 1 to 65535");
    }
    if (host.empty()) refuse(text, "names no host");
    return {std::string(host), port.empty() ? default_port : parse_port(port, text), {}};
}

std::string to_string(const address& where) {
    if (!where.path.empty()) return "unix:" + where.path;
    const bool is_ipv6 = where.host.find(':') != std::string::npos;
    const std::string host = is_ipv6 ? "[" + where.host + "]" : where.host;
    return host + ":" + std::to_string(where.port);
}

}  // namespace ouro::memcached
