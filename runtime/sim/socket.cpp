#include <ouro/runtime/sim/socket.hpp>

#include <ouro/runtime/sim/world.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ouro::sim {
namespace {

constexpr int space_by_default = 32 * 1024;
constexpr int space_min = 1024;
constexpr int space_max = 4 << 20;

int copy_out(const void* from, std::size_t size, void* value, socklen_t* room) {
    std::memcpy(value, from, std::min<std::size_t>(size, *room));
    *room = static_cast<socklen_t>(std::min<std::size_t>(size, *room));
    return 0;
}

bool is_size(int level, int option) {
    return level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF);
}

}  // namespace

std::size_t message::size() const noexcept {
    std::size_t all = 0;
    for (const iovec& each : vectors) all += each.iov_len;
    return all;
}

std::vector<std::byte> message::gather(std::size_t n) const {
    std::vector<std::byte> bytes;
    bytes.reserve(n);
    for (const iovec& each : vectors) {
        const auto* from = static_cast<const std::byte*>(each.iov_base);
        const std::size_t part = std::min(each.iov_len, n - bytes.size());
        bytes.insert(bytes.end(), from, from + part);
    }
    return bytes;
}

std::size_t message::scatter(std::span<const std::byte> from) const {
    std::size_t copied = 0;
    for (const iovec& each : vectors) {
        const std::size_t part = std::min(each.iov_len, from.size() - copied);
        if (part > 0) std::memcpy(each.iov_base, from.data() + copied, part);
        copied += part;
    }
    return copied;
}

int socket::bind(const name& to) {
    if (!local_.is_none()) return -EINVAL;
    if (to.is_unix() != (domain_ == AF_UNIX)) return -EAFNOSUPPORT;
    if (domain_ == AF_INET && !to.is_ipv4()) return -EAFNOSUPPORT;
    if (!to.is_unix() && !to.is_any() && !to.is_loopback()) return -EADDRNOTAVAIL;
    return world_.names().bind(*this, to);
}

int socket::bind_for(const name& peer) {
    if (!local_.is_none() || peer.is_unix()) return 0;
    return world_.names().bind(*this, peer.with_host().with_port(0));
}

int socket::set_option(int level, int option, const void* value, socklen_t size) {
    if (level == IPPROTO_TCP && !is_tcp()) return -EOPNOTSUPP;
    std::string stored(static_cast<const char*>(value), size);
    if (is_size(level, option)) {
        int wanted = 0;
        std::memcpy(&wanted, value, std::min<std::size_t>(size, sizeof wanted));
        wanted = std::clamp(wanted, space_min, space_max) * 2;  // as the kernel does
        stored.assign(reinterpret_cast<const char*>(&wanted), sizeof wanted);
    }
    options_[{level, option}] = std::move(stored);
    return 0;
}

int socket::get_option(int level, int option, void* value, socklen_t* size) {
    if (level == IPPROTO_TCP && !is_tcp()) return -EOPNOTSUPP;
    int answer = 0;
    if (level == SOL_SOCKET && option == SO_PEERCRED) {
        name whose;
        ucred who{};
        if (domain_ == AF_UNIX && peer(whose) == 0) who = {::getpid(), ::getuid(), ::getgid()};
        return copy_out(&who, sizeof who, value, size);
    }
    if (level == SOL_SOCKET && option == SO_ERROR)
        answer = -take_error();
    else if (level == SOL_SOCKET && option == SO_TYPE)
        answer = type_;
    else if (level == SOL_SOCKET && option == SO_DOMAIN)
        answer = domain_;
    else if (level == SOL_SOCKET && option == SO_ACCEPTCONN)
        answer = listens();
    else if (const auto set = options_.find({level, option}); set != options_.end())
        return copy_out(set->second.data(), set->second.size(), value, size);
    else if (is_size(level, option))
        answer = 2 * space_by_default;
    return copy_out(&answer, sizeof answer, value, size);
}

int socket::number(int level, int option, int otherwise) const {
    const auto set = options_.find({level, option});
    int value = otherwise;
    if (set != options_.end())
        std::memcpy(&value, set->second.data(), std::min(set->second.size(), sizeof value));
    return value;
}

std::size_t socket::send_space() const {
    return static_cast<std::size_t>(number(SOL_SOCKET, SO_SNDBUF, 2 * space_by_default)) / 2;
}

std::size_t socket::receive_space() const {
    return static_cast<std::size_t>(number(SOL_SOCKET, SO_RCVBUF, 2 * space_by_default)) / 2;
}

bool socket::takes_ipv4(const name& bound) const {
    return bound.is_ipv4() || (bound.is_any() && number(IPPROTO_IPV6, IPV6_V6ONLY) == 0);
}

bool socket::overlaps(const name& wanted, const socket& other) const {
    const name& theirs = other.local();
    if (wanted.is_ipv4() || theirs.is_ipv4()) {
        if (!takes_ipv4(wanted) || !other.takes_ipv4(theirs)) return false;
    }
    return wanted.is_any() || theirs.is_any() || wanted == theirs;
}

int socket::fits(const name& to) const {
    constexpr int exactly = 3, family = 2, mapped = 1;
    if (local_ == to) return exactly;
    if (!local_.is_any() || local_.port() != to.port()) return 0;
    if (local_.is_ipv4() == to.is_ipv4()) return family;
    return to.is_ipv4() && takes_ipv4(local_) ? mapped : 0;
}

void socket::changed() {
    intrusive_list<socket_waiter, socket_waiter> all;
    all.splice_back(waiters_);
    while (!all.empty()) all.pop_front().socket_changed();
}

open_file::~open_file() {
    if (what_) what_->close();
    if (real_ >= 0) ::close(real_);
}

}  // namespace ouro::sim
