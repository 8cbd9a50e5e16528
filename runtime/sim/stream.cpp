// The semantics are those of Linux, as far as a program can tell:
//
//  1. What arrived can be read, whatever happened since. Then a stream that has ended reads 0; one
//     that was reset reads ECONNRESET once and 0 from then on.
//  2. Closing with unread data resets the connection; so does writing to a TCP peer that has closed
//     (the first write succeeds, its answer is the reset). A Unix peer that is gone is noticed by
//     the first write: EPIPE.
//  3. A reset after the peer's end of stream is EPIPE to the writer and no error to the reader.
//  4. A TCP connection is established by the two systems, before anybody accepts it. A full backlog
//     makes the next one wait.
#include <ouro/runtime/sim/stream.hpp>

#include <ouro/runtime/check.hpp>

#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace ouro::sim {
namespace {

// How long a TCP connect tries: six retransmissions.
constexpr std::int64_t connect_patience = 127'000'000'000;
constexpr std::size_t compact_at = 64 * 1024;

}  // namespace

void byte_queue::clear() noexcept {
    taken_ += size();
    bytes_.clear();
    begin_ = 0;
    attachments_.clear();
}

void byte_queue::append(std::vector<std::byte> more,
                        std::vector<std::shared_ptr<open_file>> files) {
    if (!files.empty()) attachments_.push_back({taken_ + size(), std::move(files)});
    bytes_.insert(bytes_.end(), more.begin(), more.end());
}

std::size_t byte_queue::takeable() const noexcept {
    for (const attachment& each : attachments_)
        if (each.at > taken_) return static_cast<std::size_t>(each.at - taken_);
    return size();
}

void byte_queue::take(std::size_t n, std::vector<std::shared_ptr<open_file>>& files) {
    if (n > 0 && !attachments_.empty() && attachments_.front().at == taken_) {
        files = std::move(attachments_.front().files);
        attachments_.pop_front();
    }
    begin_ += n;
    taken_ += n;
    if (begin_ == bytes_.size() || begin_ >= compact_at) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
        begin_ = 0;
    }
}

/// What goes from one stream to its peer.
struct stream::delivery {
    std::vector<std::byte> bytes;
    std::vector<std::shared_ptr<open_file>> files;
    bool end = false;
    bool reset = false;
};

class stream::segment final : public event {
public:
    segment(std::weak_ptr<stream> from, std::weak_ptr<stream> to, delivery what) noexcept
        : from_(std::move(from)), to_(std::move(to)), what_(std::move(what)) {}

    void happen() override {
        const bool has_bytes = !what_.bytes.empty();
        const auto to = to_.lock();
        if (to && !to->closed_)
            to->arrived(std::move(what_));
        else if (has_bytes)
            if (const auto from = from_.lock()) from->refused(to_);
    }

private:
    std::weak_ptr<stream> from_;
    std::weak_ptr<stream> to_;
    delivery what_;
};

/// The client's request to connect arrives.
class stream::handshake final : public event {
public:
    explicit handshake(std::weak_ptr<stream> client) noexcept : client_(std::move(client)) {}
    void happen() override {
        if (const auto client = client_.lock()) client->knock();
    }

private:
    std::weak_ptr<stream> client_;
};

/// The answer to it arrives.
class stream::answer final : public event {
public:
    answer(std::weak_ptr<stream> client, int error) noexcept
        : client_(std::move(client)), error_(error) {}
    void happen() override {
        if (const auto client = client_.lock()) client->answered(error_);
    }

private:
    std::weak_ptr<stream> client_;
    int error_;
};

/// Nobody answered.
class stream::gave_up final : public event {
public:
    explicit gave_up(std::weak_ptr<stream> client) noexcept : client_(std::move(client)) {}
    void happen() override {
        if (const auto client = client_.lock()) client->answered(ETIMEDOUT);
    }

private:
    std::weak_ptr<stream> client_;
};

void stream::join(stream& one, stream& two) {
    OURO_ASSERT(one.state_ == state::idle && two.state_ == state::idle);
    const auto way = std::make_shared<link>(one.world_, conditions(), false);
    one.side_ = link::side::client;
    two.side_ = link::side::server;
    for (auto [self, other] : {std::pair(&one, &two), std::pair(&two, &one)}) {
        self->state_ = state::connected;
        self->connect_reported_ = true;
        self->way_ = way;
        self->peer_ = other->self();
        self->capacity_ = self->send_space() + other->receive_space();
    }
}

// --- Connecting -------------------------------------------------------------------------------

int stream::connect(const name& to) {
    if (backlog_) return -EISCONN;
    if (state_ == state::idle) {
        if (const int refused = start_connecting(to)) return refused;
    }
    if (state_ == state::connecting) return -EAGAIN;
    if (const int error = take_error()) {
        state_ = state::idle;
        return error;
    }
    if (state_ != state::connected || connect_reported_) return -EISCONN;
    connect_reported_ = true;
    return 0;
}

int stream::start_connecting(const name& to) {
    if (to.is_unix() != (domain() == AF_UNIX)) return -EAFNOSUPPORT;
    if (domain() == AF_INET && !to.is_ipv4()) return -EAFNOSUPPORT;
    if (const int failed = bind_for(to)) return failed == -EADDRINUSE ? -EADDRNOTAVAIL : failed;
    peer_name_ = to.is_unix() ? to : to.with_host();
    if (!to.is_unix() && local().is_any()) set_local(peer_name_.with_port(local().port()));
    state_ = state::connecting;
    way_ = world_.make_link(peer_name_);
    side_ = link::side::client;
    const bool nobody_there = !to.is_unix() && !peer_name_.is_loopback();
    if (!nobody_there) way_->carry(side_, 0, std::make_unique<handshake>(self()));
    if (is_tcp() && state_ == state::connecting)
        gives_up_ = world_.plan(saturating_add(world_.now(), connect_patience),
                                std::make_unique<gave_up>(self()));
    return 0;
}

/// Runs at the other side: looks for somebody who listens.
void stream::knock() {
    if (state_ != state::connecting) return;
    std::vector<socket*> there = world_.names().find(peer_name_, SOCK_STREAM);
    const bool name_exists = !there.empty();
    std::erase_if(there, [](const socket* each) { return !each->listens(); });
    if (there.empty()) {
        const bool no_file = peer_name_.is_unix() && !name_exists && peer_name_.path()[0] != 0;
        way_->carry(other(side_), 0,
                    std::make_unique<answer>(self(), no_file ? ENOENT : ECONNREFUSED));
        return;
    }
    auto& listener = static_cast<stream&>(*there[world_.chance().below(there.size())]);
    listener.backlog_->knocking.push_back(self());
    listener.let_in();
}

void stream::let_in() {
    while (!backlog_->knocking.empty() && backlog_->established.size() < backlog_->limit) {
        const auto client = backlog_->knocking.front().lock();
        backlog_->knocking.pop_front();
        if (client && client->state_ == state::connecting) admit(*client);
    }
}

/// Makes the listener's end of a connection.
void stream::admit(stream& client) {
    auto mine = std::make_shared<stream>(world_, domain(), type());
    mine->copy_options(*this);
    mine->set_local(client.peer_name_);
    mine->peer_name_ = client.local();
    mine->state_ = state::connected;
    mine->connect_reported_ = true;
    mine->side_ = other(client.side_);
    mine->way_ = client.way_;
    mine->peer_ = client.self();
    mine->capacity_ = mine->send_space() + client.receive_space();
    client.peer_ = mine;
    client.capacity_ = client.send_space() + mine->receive_space();
    backlog_->established.push_back(std::move(mine));
    client.way_->carry(other(client.side_), 0, std::make_unique<answer>(client.self(), 0));
    changed();
}

void stream::answered(int error) {
    if (state_ != state::connecting) return;
    stop_waiting();
    state_ = error ? state::over : state::connected;
    error_ = error;
    changed();
}

void stream::stop_waiting() {
    if (gives_up_ != world::plan_id()) world_.forget_plan(std::exchange(gives_up_, {}));
}

int stream::listen(int backlog) {
    if (state_ != state::idle) return -EINVAL;
    if (local().is_none()) {
        if (domain() == AF_UNIX) return -EINVAL;
        name any;
        const sa_family_t family = static_cast<sa_family_t>(domain());
        sockaddr_storage address{};
        address.ss_family = family;
        name::read(reinterpret_cast<const sockaddr*>(&address), sizeof address, any);
        if (const int failed = world_.names().bind(*this, any)) return failed;
    }
    if (!world_.names().may_listen(*this)) return -EADDRINUSE;
    if (!backlog_) backlog_.emplace();
    // The kernel takes one more than it is told.
    backlog_->limit = static_cast<std::size_t>(std::max(backlog, 0)) + 1;
    let_in();
    return 0;
}

int stream::accept(std::shared_ptr<socket>& taken) {
    if (!backlog_) return -EINVAL;
    if (backlog_->established.empty()) return -EAGAIN;
    taken = std::move(backlog_->established.front());
    backlog_->established.pop_front();
    let_in();
    return 0;
}

void stream::stop_listening() {
    waiting_list over = std::move(*backlog_);
    backlog_.reset();
    world_.names().release(*this);
    for (const auto& each : over.established) each->reset_peer();
    for (const auto& each : over.knocking)
        if (const auto client = each.lock()) client->answered(ECONNREFUSED);
    changed();
}

int stream::peer(name& into) const {
    if (state_ != state::connected) return -ENOTCONN;
    into = peer_name_;
    return 0;
}

// --- Bytes ------------------------------------------------------------------------------------

int stream::receive(message& into) {
    if (backlog_ || state_ == state::idle || state_ == state::connecting)
        return domain() == AF_UNIX ? -EINVAL : -ENOTCONN;
    if (into.size() > 0 && !arrived_.empty()) {
        const std::size_t whole = std::min(arrived_.takeable(), into.size());
        const std::size_t n = world_.split(whole);
        into.scatter(arrived_.front(n));
        if (into.flags & MSG_PEEK) return static_cast<int>(n);
        arrived_.take(n, into.files);
        if (const auto peer = peer_.lock()) {
            peer->outstanding_ -= std::min(peer->outstanding_, n);
            peer->changed();
        }
        return static_cast<int>(n);
    }
    if (!arrived_.empty()) return 0;  // nothing was asked for
    const bool ended_in_order = peer_ended_ && is_tcp();
    if (!ended_in_order)
        if (const int error = take_error()) return error;
    if (peer_ended_ || no_more_reads_ || state_ == state::over) return 0;
    return -EAGAIN;
}

std::size_t stream::room() const noexcept {
    return capacity_ > outstanding_ ? capacity_ - outstanding_ : 0;
}

int stream::send(message& from) {
    if (backlog_ || state_ == state::idle) return is_tcp() ? -EPIPE : -ENOTCONN;
    if (state_ == state::connecting) return -EAGAIN;
    if (is_tcp())
        if (const int error = take_error()) return error;
    if (no_more_writes_ || state_ == state::over) return -EPIPE;
    const std::size_t wanted = from.size();
    if (wanted == 0) return 0;
    if (room() == 0) return -EAGAIN;
    const std::size_t n = world_.split(std::min(wanted, room()));
    outstanding_ += n;
    OURO_ASSERT(n > 0 && outstanding_ <= capacity_);
    transmit({.bytes = from.gather(n), .files = std::move(from.files)});
    return static_cast<int>(n);
}

void stream::transmit(delivery what) {
    const std::size_t size = what.bytes.size();
    way_->carry(side_, size, std::make_unique<segment>(self(), peer_, std::move(what)));
}

void stream::arrived(delivery what) {
    if (state_ == state::over) return;
    if (what.reset) {
        was_reset();
    } else {
        if (!what.bytes.empty()) arrived_.append(std::move(what.bytes), std::move(what.files));
        peer_ended_ = peer_ended_ || what.end;
    }
    changed();
}

/// What was sent came to a socket that is closed: its system answers with a reset.
void stream::refused(const std::weak_ptr<stream>& by) {
    way_->carry(other(side_), 0, std::make_unique<segment>(by, self(), delivery{.reset = true}));
}

void stream::was_reset() {
    error_ = peer_ended_ && is_tcp() ? EPIPE : ECONNRESET;
    state_ = state::over;
    no_more_writes_ = true;
    outstanding_ = 0;
}

/// Ends without taking leave.
void stream::reset_peer() {
    if (state_ != state::connected) return;
    state_ = state::over;
    transmit({.reset = true});
}

void stream::break_connection() {
    for (const auto& end : {self(), peer_.lock()}) {
        if (!end || end->closed_ || end->state_ != state::connected) continue;
        end->was_reset();
        end->changed();
    }
}

int stream::shutdown(int how) {
    if (backlog_) {
        stop_listening();
        return 0;
    }
    if (state_ == state::idle || state_ == state::connecting) return -ENOTCONN;
    if (how != SHUT_WR) no_more_reads_ = true;
    if (how != SHUT_WR && domain() == AF_UNIX) {
        if (const auto peer = peer_.lock()) {  // it is told at once
            peer->no_more_writes_ = true;
            peer->changed();
        }
    }
    if (how != SHUT_RD && !no_more_writes_ && state_ == state::connected) {
        no_more_writes_ = true;
        transmit({.end = true});
    }
    changed();
    return 0;
}

short stream::ready() const {
    int events = 0;
    if (backlog_) return backlog_->established.empty() ? 0 : POLLIN;
    if (state_ == state::idle) return POLLOUT | POLLHUP;
    if (state_ == state::connecting) return 0;
    const bool over = state_ == state::over;
    if (!arrived_.empty() || peer_ended_ || no_more_reads_ || over) events |= POLLIN;
    if (peer_ended_ || no_more_reads_ || over) events |= POLLRDHUP;
    if (room() > 0 || no_more_writes_ || over) events |= POLLOUT;
    if (over || (peer_ended_ && no_more_writes_)) events |= POLLHUP;
    if (error_) events |= POLLERR;
    return static_cast<short>(events);
}

void stream::close() {
    closed_ = true;
    if (backlog_) stop_listening();
    stop_waiting();
    world_.names().release(*this);
    if (state_ == state::connected) {
        linger rest{};
        socklen_t size = sizeof rest;
        get_option(SOL_SOCKET, SO_LINGER, &rest, &size);
        const bool abort = !arrived_.empty() || (rest.l_onoff && rest.l_linger == 0);
        if (domain() == AF_UNIX)
            leave_unix_peer(abort);
        else if (abort)
            reset_peer();
        else if (!no_more_writes_)
            transmit({.end = true});
    } else if (state_ == state::connecting && peer_.lock()) {
        // The answer to the connection comes to nobody, which the other side is told.
        if (domain() == AF_UNIX)
            leave_unix_peer(false);
        else
            transmit({.reset = true});
    }
    state_ = state::over;
    arrived_.clear();
}

/// A Unix peer is told at once; it can still read what was sent before.
void stream::leave_unix_peer(bool unread) {
    const auto peer = peer_.lock();
    if (!peer || peer->state_ != state::connected) return;
    peer->peer_ended_ = true;
    peer->no_more_writes_ = true;
    if (unread) peer->error_ = ECONNRESET;
    peer->changed();
}

}  // namespace ouro::sim
