// Readiness: an operation is attempted at once, unless that is known to be in vain, and waits if
// the kernel says -EAGAIN.
//
//  1. A descriptor is registered once, edge-triggered, for both directions, when an attempt on it
//     first fails. Registering reports what is ready already, and every later attempt follows the
//     event it waits for, so no edge is lost.
//  2. A slot holds at most one operation that reads and one that writes. A parked operation is in
//     exactly one of them; its last attempt answered -EAGAIN, or rule 5 spared it.
//  3. The kernel drops the registration when the last reference to the description goes, which is
//     not always at close (a passed or inherited copy). Events therefore carry the slot's
//     generation, and stale ones are ignored.
//  4. Completing an operation may submit others, or close its descriptor, which gives the slot to a
//     new generation: what was known of a slot before `finish` is asked again after it.
//  5. A receive from a TCP socket that got less than it asked for has emptied it; what comes later
//     is an edge. So the next receive is parked without an attempt that would answer -EAGAIN,
//     unless an event spoke of an end (which no later edge would tell again) or of urgent data (at
//     which a receive stops short).
//  6. The wake descriptor is edge-triggered too and never read: each write is an edge.

#include <ouro/runtime/engine/reactor.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/io/plain_buffers.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <new>
#include <vector>

namespace ouro {
namespace {

constexpr std::uint32_t interest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr std::uint32_t readable = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t writable = EPOLLOUT | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t peculiar = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;
constexpr std::size_t events_max = 256;
constexpr std::size_t block_slots = 512;
constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t millisecond = 1'000'000;

/// The kernel may end a sleep late by a thousandth of its length, to save power. A long one is cut
/// short by more than that; the rest is short enough to be exact.
constexpr std::int64_t long_sleep = 100 * millisecond;
constexpr std::int64_t long_sleep_cut = 500;  // a 500th

/// True for TCP with nothing on top: with kernel TLS a receive ends where a record does.
bool is_plain_tcp(int fd) noexcept {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0) return false;
    if (protocol != IPPROTO_TCP) return false;
    char layer[16];
    size = sizeof layer;
    return ::getsockopt(fd, IPPROTO_TCP, TCP_ULP, layer, &size) < 0 || size == 0;
}

class epoll_reactor final : public reactor {
public:
    explicit epoll_reactor(const reactor_options& options);
    ~epoll_reactor() override;

    std::string_view name() const noexcept override { return "epoll"; }
    bool submit(op& operation) noexcept override;
    void cancel(op& operation) noexcept override;
    void turn(std::int64_t until) noexcept override;
    void wake() noexcept override;
    buffer_pool& buffers() override;

    int open_socket(int domain, int type, int protocol) noexcept override;
    int socket_pair(int domain, int type, int (&ends)[2]) noexcept override;
    int close(int fd) noexcept override;
    int adopt(int fd) noexcept override;
    void forget(int fd) noexcept override;

private:
    struct slot {
        op* reader = nullptr;
        op* writer = nullptr;
        std::uint32_t generation = 0;
        bool registered = false;
        bool tells_when_empty = false;   // a short receive means that nothing is left: rule 5
        bool empty = false;              // it did, and no event has come since
        bool found_nonblocking = false;  // it was so before it was adopted

        op*& waiting(readiness side) noexcept {
            return side == readiness::readable ? reader : writer;
        }
    };

    int attempt(op& operation) noexcept;
    bool park(op& operation) noexcept;
    static bool park_in(op*& place, op& operation) noexcept;
    int register_slot(int fd, slot& here) noexcept;
    /// Null when there never was one.
    slot* find_slot(std::uint32_t fd) const noexcept {
        const std::size_t block = fd / block_slots;
        if (block >= blocks_.size() || !blocks_[block]) return nullptr;
        return &blocks_[block][fd % block_slots];
    }
    /// Null when there is no memory for one.
    slot* slot_or_null(int fd) noexcept {
        slot* const here = find_slot(static_cast<std::uint32_t>(fd));
        return here ? here : make_slot(static_cast<std::uint32_t>(fd));
    }
    slot* make_slot(std::uint32_t fd) noexcept;
    void clear_slot(int fd) noexcept;
    int poll_busily(std::int64_t length) noexcept;
    int wait(std::int64_t until) noexcept;
    static int checked(int count) noexcept;
    void take_event(const epoll_event& event) noexcept;
    void try_reader(slot& here) noexcept;
    void try_writer(slot& here) noexcept;

    static std::uint64_t tag(int fd, std::uint32_t generation) noexcept {
        return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
    }

    reactor_options options_;
    int epoll_fd_;
    int wake_fd_;
    bool exact_sleeps_ = true;                     // epoll_pwait2 exists (Linux 5.11)
    std::vector<std::unique_ptr<slot[]>> blocks_;  // of slots by descriptor; they never move
    std::array<epoll_event, events_max> events_;
    std::unique_ptr<buffer_pool> buffers_;
};

epoll_reactor::epoll_reactor(const reactor_options& options)
    : options_(options), epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_fd_ < 0) throw_error(error_of(-errno));
    wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = std::numeric_limits<std::uint64_t>::max();
    if (wake_fd_ < 0 || ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) < 0) {
        const int error = -errno;
        if (wake_fd_ >= 0) ::close(wake_fd_);
        ::close(epoll_fd_);
        throw_error(error_of(error));
    }
}

epoll_reactor::~epoll_reactor() {
    ::close(wake_fd_);
    ::close(epoll_fd_);
}

// An operation starts and ends.

bool epoll_reactor::submit(op& operation) noexcept {
    begin(operation);
    const readiness side = operation.needs();
    int result;
    if (side == readiness::readable) {
        slot* const here = slot_or_null(operation.fd());
        if (here && here->empty) return park_in(here->reader, operation);
        result = here ? attempt(operation) : -ENOMEM;
        if (here) here->empty = came_short(operation) && here->tells_when_empty;
    } else {
        result = attempt(operation);
    }
    if (result == -EAGAIN && side != readiness::always) return park(operation);
    finish(operation, result, 0);
    return false;
}

int epoll_reactor::attempt(op& operation) noexcept {
    int result;
    do {
        ++stats_.system_calls;
        result = operation.attempt();
    } while (result == -EINTR);
    return result;
}

bool epoll_reactor::park(op& operation) noexcept {
    const int fd = operation.fd();
    slot* const here = slot_or_null(fd);
    const int result = !here ? -ENOMEM : here->registered ? 0 : register_slot(fd, *here);
    if (result < 0) {
        finish(operation, result, 0);
        return false;
    }
    return park_in(here->waiting(operation.needs()), operation);
}

bool epoll_reactor::park_in(op*& place, op& operation) noexcept {
    OURO_ASSERT(place == nullptr && "one operation per descriptor and direction");
    place = &operation;
    return true;
}

int epoll_reactor::register_slot(int fd, slot& here) noexcept {
    epoll_event event{};
    event.events = interest;
    event.data.u64 = tag(fd, here.generation);
    ++stats_.system_calls;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) < 0) return -errno;
    here.registered = true;
    here.tells_when_empty = is_plain_tcp(fd);
    return 0;
}

void epoll_reactor::cancel(op& operation) noexcept {
    if (!begin_cancel(operation)) return;
    op*& place = slot_or_null(operation.fd())->waiting(operation.needs());
    OURO_ASSERT(place == &operation);
    place = nullptr;
    finish(operation, -ECANCELED, 0);
}

// Sleeping and events.

void epoll_reactor::turn(std::int64_t until) noexcept {
    const int count = wait(until);
    for (int i = 0; i < count; ++i) take_event(events_[static_cast<std::size_t>(i)]);
}

/// Looks for events for at most `length`, and the option's time, without sleeping.
int epoll_reactor::poll_busily(std::int64_t length) noexcept {
    const std::int64_t end =
        saturating_add(now(), std::min<std::int64_t>(length, options_.busy_poll.count()));
    for (;;) {
        ++stats_.system_calls;
        const int count = checked(::epoll_wait(epoll_fd_, events_.data(), events_max, 0));
        if (count != 0 || now() >= end) return count;
    }
}

int epoll_reactor::wait(std::int64_t until) noexcept {
    std::int64_t left = sleep_length(until);
    if (left == 0 && in_flight() == 0) return 0;  // nobody waits for an event
    if (left > 0 && in_flight() > 0 && options_.busy_poll.count() > 0) {
        const int count = poll_busily(left);
        if (count != 0) return count;
        left = sleep_length(until);
    }
    const bool forever = left == std::numeric_limits<std::int64_t>::max();
    if (left > long_sleep) left -= left / long_sleep_cut;
    ++stats_.system_calls;
    if (left > 0) ++stats_.waits;
    int count = -1;
    if (exact_sleeps_) {
        const timespec limit{left / second, left % second};
        count = ::epoll_pwait2(epoll_fd_, events_.data(), events_max, forever ? nullptr : &limit,
                               nullptr);
        // Unknown (ENOSYS) or forbidden (EPERM, or what else a filter says). Where nothing goes any
        // more, epoll_wait says so.
        exact_sleeps_ = count >= 0 || errno == EINTR;
    }
    if (!exact_sleeps_) {
        const std::int64_t rounded_up = (left + millisecond - 1) / millisecond;
        const std::int64_t longest = std::numeric_limits<int>::max();
        count = ::epoll_wait(epoll_fd_, events_.data(), events_max,
                             forever ? -1 : static_cast<int>(std::min(rounded_up, longest)));
    }
    return checked(count);
}

/// The number of events; -1 for EINTR: a signal ends the sleep as a wake does.
int epoll_reactor::checked(int count) noexcept {
    if (count < 0 && errno != EINTR) loop_failed("epoll_wait", -errno);
    return count;
}

void epoll_reactor::take_event(const epoll_event& event) noexcept {
    const auto fd = static_cast<std::uint32_t>(event.data.u64);
    const auto generation = static_cast<std::uint32_t>(event.data.u64 >> 32);
    slot* const here = find_slot(fd);
    if (!here || here->generation != generation) return;  // a wake, or stale
    here->empty = false;
    if (event.events & peculiar) here->tells_when_empty = false;
    if ((event.events & readable) && here->reader) {
        try_reader(*here);
        if (here->generation != generation) return;
    }
    if ((event.events & writable) && here->writer) try_writer(*here);
}

void epoll_reactor::try_reader(slot& here) noexcept {
    op& operation = *here.reader;
    const int result = attempt(operation);
    if (result == -EAGAIN) return;
    here.reader = nullptr;
    here.empty = came_short(operation) && here.tells_when_empty;
    finish(operation, result, 0);
}

void epoll_reactor::try_writer(slot& here) noexcept {
    op& operation = *here.writer;
    const int result = attempt(operation);
    if (result == -EAGAIN) return;
    here.writer = nullptr;
    finish(operation, result, 0);
}

void epoll_reactor::wake() noexcept {
    const int saved = errno;  // it may be called from a signal handler
    const std::uint64_t one = 1;
    while (::write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

buffer_pool& epoll_reactor::buffers() {
    if (!buffers_) buffers_ = make_plain_buffers(options_);
    return *buffers_;
}

// Descriptors.

epoll_reactor::slot* epoll_reactor::make_slot(std::uint32_t fd) noexcept {
    const std::size_t block = fd / block_slots;
    try {
        if (block >= blocks_.size()) blocks_.resize(block + 1);
        blocks_[block] = std::make_unique<slot[]>(block_slots);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    return &blocks_[block][fd % block_slots];
}

void epoll_reactor::clear_slot(int fd) noexcept {
    slot* const here = find_slot(static_cast<std::uint32_t>(fd));
    if (!here) return;
    OURO_ASSERT(!here->reader && !here->writer && "closed under an operation");
    here->registered = here->tells_when_empty = here->empty = here->found_nonblocking = false;
    ++here->generation;
}

int epoll_reactor::open_socket(int domain, int type, int protocol) noexcept {
    return reactor::open_socket(domain, type | SOCK_NONBLOCK, protocol);
}

int epoll_reactor::socket_pair(int domain, int type, int (&ends)[2]) noexcept {
    return reactor::socket_pair(domain, type | SOCK_NONBLOCK, ends);
}

int epoll_reactor::close(int fd) noexcept {
    clear_slot(fd);
    ++stats_.system_calls;
    return reactor::close(fd);
}

int epoll_reactor::adopt(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    slot* const here = slot_or_null(fd);
    if (!here) return -ENOMEM;
    here->found_nonblocking = (flags & O_NONBLOCK) != 0;
    if (here->found_nonblocking || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) return fd;
    return -errno;
}

void epoll_reactor::forget(int fd) noexcept {
    slot* const here = find_slot(static_cast<std::uint32_t>(fd));
    if (here && here->registered) ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    const bool leave = here && here->found_nonblocking;
    clear_slot(fd);
    const int flags = leave ? -1 : ::fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK)) ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

}  // namespace

std::unique_ptr<reactor> make_epoll_reactor(const reactor_options& options) {
    return std::make_unique<epoll_reactor>(options);
}

}  // namespace ouro
