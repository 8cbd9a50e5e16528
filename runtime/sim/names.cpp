#include <ouro/runtime/sim/names.hpp>

#include <ouro/runtime/sim/socket.hpp>

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace ouro::sim {
namespace {

constexpr std::uint16_t first_automatic_port = 32768;
constexpr std::uint16_t last_automatic_port = 60999;
constexpr std::size_t path_at = offsetof(sockaddr_un, sun_path);

void copy_out(const void* from, std::size_t size, sockaddr* address, socklen_t* length) noexcept {
    std::memcpy(address, from, std::min<std::size_t>(size, *length));
    *length = static_cast<socklen_t>(size);
}

}  // namespace

int name::read(const sockaddr* address, socklen_t length, name& into) {
    into = {};
    if (length < sizeof(sa_family_t)) return -EINVAL;
    into.family_ = address->sa_family;
    if (into.family_ == AF_INET) {
        sockaddr_in in;
        if (length < sizeof in) return -EINVAL;
        std::memcpy(&in, address, sizeof in);
        into.port_ = ntohs(in.sin_port);
        std::memcpy(into.ip_.data(), &in.sin_addr, sizeof in.sin_addr);
    } else if (into.family_ == AF_INET6) {
        sockaddr_in6 in;
        if (length < offsetof(sockaddr_in6, sin6_scope_id)) return -EINVAL;
        std::memcpy(&in, address, std::min<std::size_t>(length, sizeof in));
        into.port_ = ntohs(in.sin6_port);
        std::memcpy(into.ip_.data(), &in.sin6_addr, into.ip_.size());
        if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
            into.family_ = AF_INET;
            into.ip_ = {into.ip_[12], into.ip_[13], into.ip_[14], into.ip_[15]};
        }
    } else if (into.family_ == AF_UNIX) {
        if (length > sizeof(sockaddr_un)) return -EINVAL;
        const char* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
        into.path_.assign(path, length - path_at);
        const bool abstract = !into.path_.empty() && into.path_[0] == 0;
        if (!abstract) into.path_ = into.path_.substr(0, into.path_.find('\0'));
    } else {
        return -EAFNOSUPPORT;
    }
    return 0;
}

void name::write(int domain, sockaddr* address, socklen_t* length) const noexcept {
    if (domain == AF_UNIX) {
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        std::memcpy(un.sun_path, path_.data(), path_.size());
        const bool file = !path_.empty() && path_[0] != 0;
        copy_out(&un, path_at + path_.size() + (file ? 1 : 0), address, length);
    } else if (domain == AF_INET) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(port_);
        std::memcpy(&in.sin_addr, ip_.data(), sizeof in.sin_addr);
        copy_out(&in, sizeof in, address, length);
    } else {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port_);
        std::memcpy(&in.sin6_addr, ip_.data(), ip_.size());
        if (is_ipv4()) {
            const std::uint8_t mapped[16] = {0, 0, 0,    0,    0,      0,      0,      0,
                                             0, 0, 0xff, 0xff, ip_[0], ip_[1], ip_[2], ip_[3]};
            std::memcpy(&in.sin6_addr, mapped, sizeof mapped);
        }
        copy_out(&in, sizeof in, address, length);
    }
}

bool name::is_any() const noexcept {
    return !is_unix() && std::all_of(ip_.begin(), ip_.end(), [](auto byte) { return byte == 0; });
}

bool name::is_loopback() const noexcept {
    if (is_ipv4()) return ip_[0] == 127;
    return family_ == AF_INET6 && ip_[15] == 1 &&
           std::all_of(ip_.begin(), ip_.end() - 1, [](auto b) { return b == 0; });
}

name name::with_port(std::uint16_t port) const {
    name same = *this;
    same.port_ = port;
    return same;
}

name name::with_host() const {
    name host = *this;
    if (!is_any()) return host;
    if (is_ipv4())
        host.ip_ = {127, 0, 0, 1};
    else
        host.ip_[15] = 1;
    return host;
}

name name::automatic(std::uint64_t n) {
    char text[16];
    const int size = std::snprintf(text, sizeof text, "%05llx", static_cast<unsigned long long>(n));
    name chosen;
    chosen.family_ = AF_UNIX;
    chosen.path_ = '\0' + std::string(text, static_cast<std::size_t>(size));
    return chosen;
}

int name_table::bind(socket& who, name wanted) {
    if (wanted.is_unix()) {
        if (wanted.path().empty()) wanted = name::automatic(++last_automatic_);
        const bool added = by_path_.emplace(std::pair(who.type(), wanted.path()), &who).second;
        if (!added) return -EADDRINUSE;
    } else {
        if (wanted.port() == 0) wanted = wanted.with_port(free_port(who, wanted));
        if (wanted.port() == 0 || conflicts(who, wanted)) return -EADDRINUSE;
        by_port_[{who.type(), wanted.port()}].push_back(&who);
    }
    who.set_local(std::move(wanted));
    return 0;
}

bool name_table::conflicts(const socket& who, const name& wanted) const {
    const auto there = by_port_.find({who.type(), wanted.port()});
    if (there == by_port_.end()) return false;
    return std::any_of(there->second.begin(), there->second.end(), [&](const socket* other) {
        if (other == &who || !who.overlaps(wanted, *other)) return false;
        if (who.reuses_port() && other->reuses_port()) return false;
        const bool both_reuse = who.reuses_address() && other->reuses_address();
        return !both_reuse || other->listens();
    });
}

std::uint16_t name_table::free_port(const socket& who, const name& wanted) {
    for (int tries = last_automatic_port - first_automatic_port; tries-- > 0;) {
        last_port_ = last_port_ >= last_automatic_port ? first_automatic_port
                                                       : static_cast<std::uint16_t>(last_port_ + 1);
        if (!by_port_.contains({who.type(), last_port_})) return last_port_;
    }
    static_cast<void>(wanted);
    return 0;
}

bool name_table::may_listen(const socket& who) const {
    if (who.local().is_unix()) return true;
    for (const socket* other : by_port_.at({who.type(), who.local().port()})) {
        if (other == &who || !other->listens() || !who.overlaps(who.local(), *other)) continue;
        if (!who.reuses_port() || !other->reuses_port()) return false;
    }
    return true;
}

void name_table::release(socket& who) noexcept {
    const name& had = who.local();
    if (had.is_unix()) {
        const auto there = by_path_.find({who.type(), had.path()});
        if (there != by_path_.end() && there->second == &who) by_path_.erase(there);
    } else if (!had.is_none()) {
        const auto there = by_port_.find({who.type(), had.port()});
        if (there == by_port_.end()) return;
        std::erase(there->second, &who);
        if (there->second.empty()) by_port_.erase(there);
    }
}

std::vector<socket*> name_table::find(const name& to, int type) const {
    std::vector<socket*> found;
    if (to.is_unix()) {
        if (const auto at = by_path_.find({type, to.path()}); at != by_path_.end())
            found.push_back(at->second);
        return found;
    }
    const auto there = by_port_.find({type, to.port()});
    if (there == by_port_.end()) return found;
    int best = 0;
    for (socket* each : there->second) {
        const int fit = each->fits(to);
        if (fit == 0 || fit < best) continue;
        if (fit > best) found.clear();
        best = fit;
        found.push_back(each);
    }
    return found;
}

}  // namespace ouro::sim
