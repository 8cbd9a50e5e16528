#include <ouro/net/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace ouro::net {
namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::size_t path_at = offsetof(sockaddr_un, sun_path);
constexpr std::size_t name_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

/// A copy with a NUL behind it, for functions of C. Longer text is no address anyway.
template <std::size_t Size>
bool copy_text(std::string_view text, std::array<char, Size>& into) noexcept {
    if (text.size() >= Size || text.find('\0') != text.npos) return false;
    std::copy(text.begin(), text.end(), into.begin());
    into[text.size()] = '\0';
    return true;
}

template <class Number>
bool read_number(std::string_view text, Number& into) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    return error == std::errc() && end == text.data() + text.size();
}

/// A scope is an interface's name or its number; 0 when it is neither.
unsigned read_scope(std::string_view text) noexcept {
    unsigned number = 0;
    if (read_number(text, number)) return number;
    std::array<char, IF_NAMESIZE> name;
    return copy_text(text, name) ? ::if_nametoindex(name.data()) : 0;
}

std::string scope_text(unsigned scope) {
    std::array<char, IF_NAMESIZE> name;
    return ::if_indextoname(scope, name.data()) ? name.data() : std::to_string(scope);
}

template <class T>
std::strong_ordering compare_bytes(const T& a, const T& b) noexcept {
    return std::memcmp(&a, &b, sizeof(T)) <=> 0;
}

[[noreturn]] void throw_bad_address(std::string_view text, const char* why) {
    throw std::system_error(errc::bad_address, "\"" + std::string(text) + "\": " + why);
}

}  // namespace

endpoint::endpoint(std::string_view text) {
    if (const char* why = read(text)) throw_bad_address(text, why);
}

endpoint::endpoint(std::string_view address, std::uint16_t port) {
    if (const char* why = read_address(address, port)) throw_bad_address(address, why);
}

result<endpoint> endpoint::parse(std::string_view text) noexcept {
    endpoint made;
    if (made.read(text)) return errc::bad_address;
    return made;
}

result<endpoint> endpoint::parse(std::string_view address, std::uint16_t port) noexcept {
    endpoint made;
    if (made.read_address(address, port)) return errc::bad_address;
    return made;
}

/// Null, or what is wrong.
const char* endpoint::read(std::string_view text) noexcept {
    if (text.starts_with(unix_prefix)) return read_unix(text.substr(unix_prefix.size()));
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos) return "no port";
    const std::string_view address = text.substr(0, colon);
    std::uint16_t port = 0;
    if (!read_number(text.substr(colon + 1), port)) return "the port is no number up to 65535";
    if (!address.starts_with('[') && address.find(':') != address.npos)
        return "an IPv6 address before a port needs brackets";
    return read_address(address, port);
}

const char* endpoint::read_address(std::string_view address, std::uint16_t port) noexcept {
    if (address.empty() || address == "*") {
        *this = any(port);
        return nullptr;
    }
    const bool brackets = address.starts_with('[');
    if (brackets) {
        if (!address.ends_with(']')) return "a bracket is not closed";
        address = address.substr(1, address.size() - 2);
    }

    std::array<char, INET6_ADDRSTRLEN> digits;
    sockaddr_in v4{};
    if (!brackets && copy_text(address, digits) &&
        ::inet_pton(AF_INET, digits.data(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        at_.v4 = v4;
        length_ = sizeof v4;
        return nullptr;
    }

    sockaddr_in6 v6{};
    const std::size_t percent = address.find('%');
    if (!copy_text(address.substr(0, percent), digits) ||
        ::inet_pton(AF_INET6, digits.data(), &v6.sin6_addr) != 1)
        return brackets ? "no IPv6 address in the brackets" : "neither IPv4 nor IPv6";
    if (percent != address.npos) {
        v6.sin6_scope_id = read_scope(address.substr(percent + 1));
        if (v6.sin6_scope_id == 0) return "the scope is no interface of this machine";
    }
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    at_.v6 = v6;
    length_ = sizeof v6;
    return nullptr;
}

const char* endpoint::read_unix(std::string_view name) noexcept {
    const bool abstract = name.starts_with('@');
    if (abstract) name.remove_prefix(1);
    if (name.empty()) return "a Unix socket needs a name";
    if (name.size() > name_bytes_max) return "a Unix socket's name has at most 107 bytes";
    if (!abstract && name.find('\0') != name.npos) return "a path holds no NUL";

    at_.local = {};
    at_.local.sun_family = AF_UNIX;
    std::memcpy(at_.local.sun_path + (abstract ? 1 : 0), name.data(), name.size());
    // The bytes of an abstract name are counted; a path ends with a NUL that is counted, too.
    length_ = static_cast<socklen_t>(path_at + name.size() + 1);
    return nullptr;
}

endpoint endpoint::any(std::uint16_t port) noexcept {
    endpoint made;
    made.at_.v6 = {};
    made.at_.v6.sin6_family = AF_INET6;
    made.at_.v6.sin6_port = htons(port);
    made.length_ = sizeof made.at_.v6;
    return made;
}

endpoint endpoint::any_ipv4(std::uint16_t port) noexcept {
    endpoint made;
    made.at_.v4 = {};
    made.at_.v4.sin_family = AF_INET;
    made.at_.v4.sin_port = htons(port);
    made.length_ = sizeof made.at_.v4;
    return made;
}

result<endpoint> endpoint::from(const sockaddr* address, socklen_t length) noexcept {
    endpoint made;
    if (length < sizeof(sa_family_t) || length > sizeof made.at_) return errc::bad_address;
    const int domain = address->sa_family;
    const socklen_t needed = domain == AF_INET    ? sizeof(sockaddr_in)
                             : domain == AF_INET6 ? sizeof(sockaddr_in6)
                                                  : sizeof(sa_family_t);
    if (length < needed || (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return errc::bad_address;
    std::memcpy(&made.at_, address, length);
    made.length_ = domain == AF_UNIX ? length : needed;
    // The system may count bytes behind a path's NUL, or leave the NUL out of a full one.
    if (domain == AF_UNIX && length > path_at && made.at_.local.sun_path[0] != '\0') {
        const std::size_t path = ::strnlen(made.at_.local.sun_path, length - path_at);
        if (path > name_bytes_max) return errc::bad_address;
        std::memset(made.at_.local.sun_path + path, 0, sizeof made.at_.local.sun_path - path);
        made.length_ = static_cast<socklen_t>(path_at + path + 1);
    }
    if (domain == AF_INET) std::memset(made.at_.v4.sin_zero, 0, sizeof made.at_.v4.sin_zero);
    if (domain == AF_INET6) made.at_.v6.sin6_flowinfo = 0;
    return made;
}

address_family endpoint::family() const noexcept {
    switch (domain()) {
        case AF_INET: return address_family::ipv4;
        case AF_INET6: return address_family::ipv6;
        case AF_UNIX: return address_family::unix_socket;
        default: return address_family::none;
    }
}

std::uint16_t endpoint::port() const noexcept {
    switch (domain()) {
        case AF_INET: return ntohs(at_.v4.sin_port);
        case AF_INET6: return ntohs(at_.v6.sin6_port);
        default: return 0;
    }
}

endpoint endpoint::with_port(std::uint16_t port) const noexcept {
    endpoint changed = *this;
    if (domain() == AF_INET) changed.at_.v4.sin_port = htons(port);
    if (domain() == AF_INET6) changed.at_.v6.sin6_port = htons(port);
    return changed;
}

bool endpoint::is_loopback() const noexcept {
    if (domain() == AF_INET) return ntohl(at_.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (domain() != AF_INET6) return is_unix();
    if (IN6_IS_ADDR_V4MAPPED(&at_.v6.sin6_addr)) return unmapped().is_loopback();
    return IN6_IS_ADDR_LOOPBACK(&at_.v6.sin6_addr);
}

bool endpoint::is_any() const noexcept {
    if (domain() == AF_INET) return at_.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return domain() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&at_.v6.sin6_addr);
}

bool endpoint::is_multicast() const noexcept {
    if (domain() == AF_INET) return IN_MULTICAST(ntohl(at_.v4.sin_addr.s_addr));
    return domain() == AF_INET6 && IN6_IS_ADDR_MULTICAST(&at_.v6.sin6_addr);
}

endpoint endpoint::unmapped() const noexcept {
    if (domain() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&at_.v6.sin6_addr)) return *this;
    endpoint plain = any_ipv4(port());
    std::memcpy(&plain.at_.v4.sin_addr, at_.v6.sin6_addr.s6_addr + 12, sizeof(in_addr));
    return plain;
}

std::string_view endpoint::unix_name() const noexcept {
    if (!is_unix() || length_ <= path_at) return {};
    const bool abstract = at_.local.sun_path[0] == '\0';
    return {at_.local.sun_path, length_ - path_at - (abstract ? 0 : 1)};
}

std::string_view endpoint::path() const noexcept {
    const std::string_view name = unix_name();
    return name.starts_with('\0') ? std::string_view() : name;
}

std::string endpoint::host() const {
    std::array<char, INET6_ADDRSTRLEN> digits;
    switch (family()) {
        case address_family::none: return "none";
        case address_family::ipv4:
            return ::inet_ntop(AF_INET, &at_.v4.sin_addr, digits.data(), digits.size());
        case address_family::ipv6: {
            std::string text =
                ::inet_ntop(AF_INET6, &at_.v6.sin6_addr, digits.data(), digits.size());
            if (at_.v6.sin6_scope_id != 0) text += '%' + scope_text(at_.v6.sin6_scope_id);
            return text;
        }
        case address_family::unix_socket: break;
    }
    std::string name(unix_name());
    if (name.starts_with('@')) name.insert(0, "./");  // a file, not an abstract name
    if (name.starts_with('\0')) name.front() = '@';
    return std::string(unix_prefix) + name;
}

std::string endpoint::to_string() const {
    switch (family()) {
        case address_family::ipv4: return host() + ':' + std::to_string(port());
        case address_family::ipv6: return '[' + host() + "]:" + std::to_string(port());
        default: return host();
    }
}

std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
    if (const auto order = a.family() <=> b.family(); order != 0) return order;
    std::strong_ordering order = std::strong_ordering::equal;
    switch (a.family()) {
        case address_family::none: return order;
        case address_family::ipv4:
            order = compare_bytes(a.at_.v4.sin_addr, b.at_.v4.sin_addr);
            break;
        case address_family::ipv6:
            order = compare_bytes(a.at_.v6.sin6_addr, b.at_.v6.sin6_addr);
            if (order == 0) order = a.at_.v6.sin6_scope_id <=> b.at_.v6.sin6_scope_id;
            break;
        case address_family::unix_socket: return a.unix_name() <=> b.unix_name();
    }
    return order != 0 ? order : a.port() <=> b.port();
}

std::size_t endpoint::hash() const noexcept {
    const auto* bytes = reinterpret_cast<const char*>(&at_);
    return std::hash<std::string_view>()({bytes, length_});
}

}  // namespace ouro::net
