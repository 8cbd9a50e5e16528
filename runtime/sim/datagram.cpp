#include <ouro/runtime/sim/datagram.hpp>

#include <ouro/runtime/sim/world.hpp>

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace ouro::sim {
namespace {

constexpr std::size_t udp_bytes_max = 65507;
constexpr std::size_t unix_queue_max = 11;  // net.unix.max_dgram_qlen + 1

}  // namespace

/// A datagram reaches the place it was sent to.
class datagram::arrival final : public event {
public:
    arrival(std::weak_ptr<datagram> sender, name to, parcel what) noexcept
        : sender_(std::move(sender)), to_(std::move(to)), what_(std::move(what)) {}

    void happen() override {
        const auto sender = sender_.lock();
        if (!sender) return;
        std::shared_ptr<datagram> receiver;
        if (sender->find(to_, receiver) == 0)
            receiver->arrived(std::move(what_));
        else
            sender->nobody_there();
    }

private:
    std::weak_ptr<datagram> sender_;
    name to_;
    parcel what_;
};

void datagram::join(datagram& one, datagram& two) {
    one.partner_ = two.self();
    two.partner_ = one.self();
    one.paired_ = two.paired_ = true;
}

int datagram::connect(const name& to) {
    if (to.is_unix() != (domain() == AF_UNIX)) return -EAFNOSUPPORT;
    if (domain() == AF_INET && !to.is_ipv4()) return -EAFNOSUPPORT;
    if (to.is_unix()) {
        std::shared_ptr<datagram> there;
        if (const int failed = find(to, there)) return failed;
        peer_name_ = to;
        return 0;
    }
    if (const int failed = bind_for(to)) return failed;
    peer_name_ = to.with_host();
    if (local().is_any()) set_local(peer_name_.with_port(local().port()));
    return 0;
}

int datagram::find(const name& to, std::shared_ptr<datagram>& receiver) {
    const std::vector<socket*> there = world_.names().find(to, SOCK_DGRAM);
    if (there.empty()) {
        const bool no_file = to.is_unix() && !to.path().empty() && to.path()[0] != 0;
        return no_file ? -ENOENT : -ECONNREFUSED;
    }
    socket& chosen = *there[world_.chance().below(there.size())];
    receiver = static_cast<datagram&>(chosen).self();
    return 0;
}

int datagram::send(message& from) {
    if (const int error = take_error()) return error;
    if (no_more_writes_) return -EPIPE;
    if (paired_ && from.address.is_none()) return hand_over(partner_.lock(), from);
    name to = from.address.is_none() ? peer_name_ : from.address;
    if (to.is_none()) return domain() == AF_UNIX ? -ENOTCONN : -EDESTADDRREQ;
    if (to.is_unix() != (domain() == AF_UNIX)) return -EAFNOSUPPORT;
    if (domain() == AF_INET && !to.is_ipv4()) return -EAFNOSUPPORT;
    if (to.is_unix()) {
        std::shared_ptr<datagram> receiver;
        const int failed = find(to, receiver);
        return failed ? failed : hand_over(receiver, from);
    }
    const std::size_t size = from.size();
    if (size > udp_bytes_max) return -EMSGSIZE;
    if (const int failed = bind_for(to)) return failed;
    to = to.with_host();
    name mine = local().is_any() ? to.with_port(local().port()) : local();
    auto sent =
        std::make_unique<arrival>(self(), to, parcel{std::move(mine), from.gather(size), {}});
    world_.send_datagram(to, std::move(sent));
    return static_cast<int>(size);
}

/// A Unix datagram is there at once, or its sender waits.
int datagram::hand_over(const std::shared_ptr<datagram>& receiver, message& from) {
    if (!receiver || receiver->closed_) return -ECONNREFUSED;
    if (receiver->no_more_reads_) return -EPIPE;
    const std::size_t size = from.size();
    if (!receiver->has_room_for(size)) {
        receiver->blocked_.push_back(self());
        return -EAGAIN;
    }
    receiver->arrived({local(), from.gather(size), std::move(from.files)});
    return static_cast<int>(size);
}

bool datagram::has_room_for(std::size_t bytes) const noexcept {
    if (domain() == AF_UNIX && queue_.size() >= unix_queue_max) return false;
    return queue_.empty() || queued_bytes_ + bytes <= 2 * receive_space();
}

void datagram::arrived(parcel what) {
    const bool foreign =
        !peer_name_.is_none() && !paired_ && domain() != AF_UNIX && !(what.from == peer_name_);
    if (closed_ || no_more_reads_ || foreign) return;
    if (!has_room_for(what.bytes.size())) return;  // dropped, as UDP does
    queued_bytes_ += what.bytes.size();
    queue_.push_back(std::move(what));
    changed();
}

/// A connected UDP socket hears of it; others do not.
void datagram::nobody_there() {
    if (peer_name_.is_none()) return;
    error_ = ECONNREFUSED;
    changed();
}

int datagram::receive(message& into) {
    if (const int error = take_error()) return error;
    if (queue_.empty()) return no_more_reads_ ? 0 : -EAGAIN;
    parcel& first = queue_.front();
    const std::size_t whole = first.bytes.size();
    const std::size_t n = into.scatter(first.bytes);
    into.address = first.from;
    if (n < whole) into.out_flags |= MSG_TRUNC;
    const int answer = static_cast<int>(into.flags & MSG_TRUNC ? whole : n);
    if (into.flags & MSG_PEEK) return answer;
    into.files = std::move(first.files);
    queued_bytes_ -= whole;
    queue_.pop_front();
    for (const auto& each : std::exchange(blocked_, {}))
        if (const auto sender = each.lock()) sender->changed();
    return answer;
}

int datagram::shutdown(int how) {
    if (!paired_ && peer_name_.is_none()) return -ENOTCONN;
    if (how != SHUT_WR) no_more_reads_ = true;
    if (how != SHUT_RD) no_more_writes_ = true;
    changed();
    return 0;
}

int datagram::peer(name& into) const {
    if (!paired_ && peer_name_.is_none()) return -ENOTCONN;
    into = peer_name_;
    return 0;
}

short datagram::ready() const {
    int events = POLLOUT;
    if (!queue_.empty() || no_more_reads_) events |= POLLIN;
    if (error_) events |= POLLERR | POLLIN;
    return static_cast<short>(events);
}

void datagram::close() {
    closed_ = true;
    world_.names().release(*this);
    queue_.clear();
    for (const auto& each : std::exchange(blocked_, {}))
        if (const auto sender = each.lock()) sender->changed();
}

}  // namespace ouro::sim
