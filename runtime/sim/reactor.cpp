#include <ouro/runtime/sim/reactor.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/plain_buffers.hpp>
#include <ouro/runtime/sim/datagram.hpp>
#include <ouro/runtime/sim/pending.hpp>
#include <ouro/runtime/sim/stream.hpp>

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <utility>

namespace ouro::sim {
namespace {

// How many completions may be overtaken; bounds the cost with many of them.
constexpr std::size_t reach = 16;

// How long, in real time, the clock stands still for a helper thread that is about to post.
constexpr std::int64_t patience = 200'000'000;

int answer(int result) noexcept { return result < 0 ? -errno : result; }

}  // namespace

reactor::reactor(std::uint64_t seed, const reactor_options& options)
    : world_(seed), options_(options), next_number_(first_number) {
    world_.reactor_ = this;
    ::sem_init(&wakes_, 0, 0);
}

reactor::~reactor() { ::sem_destroy(&wakes_); }

// --- Operations -------------------------------------------------------------------------------

bool reactor::submit(op& operation) noexcept {
    begin(operation);
    pending* started = nullptr;
    try {
        auto made = std::make_unique<pending>(operation, *this);
        started = made.get();
        pending_.emplace(&operation, std::move(made));
    } catch (const std::bad_alloc&) {
        finish(operation, -ENOMEM, 0);
        return false;
    }
    world_.note(happening::started, started->kind());
    started_.push_back(*started);
    return true;
}

void reactor::cancel(op& operation) noexcept {
    if (!begin_cancel(operation)) return;
    const auto found = pending_.find(&operation);
    if (found == pending_.end()) return;  // it has its result
    world_.note(happening::cancelled, found->second->kind());
    const std::size_t moved = found->second->moved;
    end(*found->second, moved > 0 ? static_cast<std::int32_t>(moved) : -ECANCELED, 0);
}

void reactor::turn(std::int64_t until) noexcept {
    world_.advance(now());
    advance_attempts();
    if (deliver() || until <= now() || take_wake()) return;
    if (executor::current().expected_posts() > 0 && world_.next_event() > now()) {
        wait_for_others();
        if (take_wake()) return;
    }
    const std::int64_t next = std::min(until, world_.next_event());
    if (next == std::numeric_limits<std::int64_t>::max()) return;
    world_.advance(next);
    advance_attempts();
    deliver();
}

bool reactor::flush() noexcept {
    advance_attempts();
    return true;
}

/// Attempts what was started and what may succeed after a change, in drawn order, until everybody
/// waits.
void reactor::advance_attempts() {
    std::vector<pending*> round;
    while (!started_.empty()) {
        while (!started_.empty()) round.push_back(&started_.pop_front());
        for (std::size_t i = round.size(); world_.shuffles() && i > 1; --i)
            std::swap(round[i - 1], round[world_.chance().below(i)]);
        for (pending* each : round) attempt(*each);
        round.clear();
    }
}

void reactor::complete(op& operation, std::int32_t result, std::uint32_t flags) {
    done_.push_back({&operation, result, flags});
}

void reactor::end(pending& which, std::int32_t result, std::uint32_t flags) {
    op& operation = which.operation;
    which.leave();
    world_.note(happening::tried, which.kind(), static_cast<std::uint32_t>(result));
    pending_.erase(&operation);
    complete(operation, result, flags);
}

/// Delivers some of the completions, at least one, in drawn order.
bool reactor::deliver() noexcept {
    if (done_.empty()) return false;
    std::size_t count = done_.size();
    if (world_.shuffles() && world_.chance().one_in(4)) count = 1 + world_.chance().below(count);
    while (count-- > 0) {
        std::size_t chosen = 0;
        if (world_.shuffles()) chosen = world_.chance().below(std::min(reach, done_.size()));
        const op* whose = done_[chosen].operation;
        const auto first = std::find_if(done_.begin(), done_.end(), [&](const completion& each) {
            return each.operation == whose;
        });
        const completion next = *first;
        done_.erase(first);
        world_.note(happening::completed, static_cast<std::uint32_t>(next.result), next.flags);
        if (next.flags & completion_has_buffer) buffers_->taken_by_kernel();
        finish(*next.operation, next.result, next.flags);
    }
    return true;
}

// --- Others -----------------------------------------------------------------------------------

void reactor::wake() noexcept { ::sem_post(&wakes_); }

bool reactor::take_wake() noexcept {
    bool woken = false;
    while (::sem_trywait(&wakes_) == 0) woken = true;
    return woken;
}

void reactor::wait_for_others() noexcept {
    timespec until;
    ::clock_gettime(CLOCK_REALTIME, &until);
    const std::int64_t end = until.tv_nsec + patience;
    until.tv_sec += end / 1'000'000'000;
    until.tv_nsec = end % 1'000'000'000;
    if (::sem_timedwait(&wakes_, &until) == 0) wake();
}

bool reactor::world_may_act() const noexcept {
    return has_work() || world_.next_event() != std::numeric_limits<std::int64_t>::max();
}

buffer_pool& reactor::buffers() {
    if (!buffers_) buffers_ = std::make_unique<sim::buffers>(options_);
    return *buffers_;
}

buffer_pool& reactor::own_buffers() {
    if (own_buffers_) return *own_buffers_;
    buffer_pool& first = buffers();
    own_buffers_ = make_plain_buffers(options_);
    first.add_kin(*own_buffers_);
    return *own_buffers_;
}

// --- Descriptors ------------------------------------------------------------------------------

int reactor::add(std::shared_ptr<open_file> file) {
    files_.emplace(next_number_, std::move(file));
    return next_number_++;
}

std::shared_ptr<open_file> reactor::file_of(int fd) const noexcept {
    const auto found = files_.find(fd);
    return found == files_.end() ? nullptr : found->second;
}

socket* reactor::socket_of(int fd) const noexcept {
    const auto found = files_.find(fd);
    return found == files_.end() ? nullptr : found->second->what();
}

link* reactor::way_of(int fd) const noexcept {
    socket* end = socket_of(fd);
    return end ? end->way() : nullptr;
}

int reactor::open_socket(int domain, int type, int) noexcept {
    if (const int failed = world_.failure_of(act::open)) return failed;
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) return -EAFNOSUPPORT;
    if (files_.size() >= world_.descriptors_max()) return -EMFILE;
    const int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (kind == SOCK_STREAM)
        return add(std::make_shared<open_file>(std::make_shared<stream>(world_, domain, kind)));
    if (kind == SOCK_DGRAM)
        return add(std::make_shared<open_file>(std::make_shared<datagram>(world_, domain, kind)));
    return -ESOCKTNOSUPPORT;
}

int reactor::socket_pair(int domain, int type, int (&ends)[2]) noexcept {
    if (domain != AF_UNIX) return -EOPNOTSUPP;
    const int one = open_socket(domain, type, 0);
    if (one < 0) return one;
    const int two = open_socket(domain, type, 0);
    if (two < 0) {
        close(one);
        return two;
    }
    socket& first = *socket_of(one);
    socket& second = *socket_of(two);
    if (first.type() == SOCK_STREAM)
        stream::join(static_cast<stream&>(first), static_cast<stream&>(second));
    else
        datagram::join(static_cast<datagram&>(first), static_cast<datagram&>(second));
    ends[0] = one;
    ends[1] = two;
    return 0;
}

int reactor::bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    socket* which = socket_of(fd);
    if (!which) return -EBADF;
    if (const int failed = world_.failure_of(act::bind)) return failed;
    sim::name to;
    const int read = name::read(address, length, to);
    return read < 0 ? read : which->bind(to);
}

int reactor::listen(int fd, int backlog) noexcept {
    socket* which = socket_of(fd);
    if (!which) return -EBADF;
    if (const int failed = world_.failure_of(act::listen)) return failed;
    return which->listen(backlog);
}

int reactor::local_name(int fd, sockaddr* address, socklen_t* length) noexcept {
    const socket* which = socket_of(fd);
    if (!which) return -EBADF;
    which->local().write(which->domain(), address, length);
    return 0;
}

int reactor::peer_name(int fd, sockaddr* address, socklen_t* length) noexcept {
    const socket* which = socket_of(fd);
    if (!which) return -EBADF;
    sim::name peer;
    const int known = which->peer(peer);
    if (known == 0) peer.write(which->domain(), address, length);
    return known;
}

int reactor::set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept {
    socket* which = socket_of(fd);
    return which ? which->set_option(level, name, value, n) : -EBADF;
}

int reactor::get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept {
    socket* which = socket_of(fd);
    return which ? which->get_option(level, name, value, n) : -EBADF;
}

int reactor::shutdown(int fd, int how) noexcept {
    socket* which = socket_of(fd);
    return which ? which->shutdown(how) : -EBADF;
}

int reactor::close(int fd) noexcept {
    const auto found = files_.find(fd);
    if (found != files_.end()) {
        const auto last = std::move(found->second);
        files_.erase(found);
        return 0;
    }
    if (fd >= first_number) {
        ++bad_closes_;
        return -EBADF;
    }
    return answer(::close(fd));
}

}  // namespace ouro::sim
