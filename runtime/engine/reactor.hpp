// reactor.hpp: the seam between the runtime and the world.
//
// Three implementations: the kernel's ring, epoll, and a simulated world. Everything that touches
// the outside goes through here, descriptors and clock included, so that what is written on top is
// the same on all three.
#pragma once

#include <ouro/runtime/duration.hpp>
#include <ouro/runtime/engine/counter.hpp>
#include <ouro/runtime/engine/op.hpp>

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

struct mmsghdr;

namespace ouro {

class buffer_pool;

enum class reactor_kind : std::uint8_t { automatic, uring, epoll, sim };

/// How to make a reactor; part of the runtime's options.
struct reactor_options {
    reactor_kind kind = reactor_kind::automatic;
    unsigned entries = 4096;          ///< submission entries of a ring; completions are 4 x
    bool plain_ring = false;          ///< no set-up flags, as on kernels before 5.18
    bool busy_poll_kernel = false;    ///< IORING_SETUP_SQPOLL: a kernel thread submits
    unsigned completion_entries = 0;  ///< 0: four times `entries`; small values test overflow
    unsigned receive_buffers = 1024;  ///< leased receive buffers per worker, a power of two
    unsigned receive_buffer_bytes = 4096;
    unsigned leases_per_descriptor = 16;  ///< how many of them one connection may hold at a time
    /// How long to look for completions before going to sleep, while operations are in flight;
    /// zero: sleep at once. For clients that wait for quick answers: to sleep and be woken takes
    /// tens of microseconds on a virtual machine, longer than many an answer, but to look takes
    /// processor time. A ring looks without system calls. In simulation nothing sleeps.
    duration busy_poll = duration::zero();
};

/// True for an error (-errno) that closing something may mend: no descriptor, no memory, an address
/// that is taken.
bool is_shortage(int error) noexcept;

/// Ends the program with a sentence on standard error: `call`, by which the loop lives, failed with
/// `error` (-errno) for good. Async-signal-safe.
[[noreturn]] void loop_failed(const char* call, int error) noexcept;

/// What a reactor has done so far. Any thread may read it.
struct reactor_stats {
    counter submissions;   ///< operations handed to the kernel
    counter completions;   ///< completions taken
    counter system_calls;  ///< enter, epoll_wait, and each attempt's call
    counter waits;         ///< times it slept
};

/// Performs operations. One per worker; used from its thread only, but for `wake`.
class reactor {
public:
    reactor(const reactor&) = delete;
    reactor& operator=(const reactor&) = delete;
    virtual ~reactor() = default;

    /// "uring", "epoll" or "sim".
    virtual std::string_view name() const noexcept = 0;

    /// Starts an operation. False when it completed at once (`completed` has been called).
    virtual bool submit(op& operation) noexcept = 0;

    /// Asks for an early end of an operation in flight.
    virtual void cancel(op& operation) noexcept = 0;

    /// Submits what is pending, sleeps until a completion, a wake or the moment `until` (in the
    /// clock of `now`; anything in the past: do not sleep), and takes all completions.
    virtual void turn(std::int64_t until) noexcept = 0;

    /// Ends the current or the next sleep. The only call allowed from other threads.
    virtual void wake() noexcept = 0;

    /// Nanoseconds of the steady clock.
    virtual std::int64_t now() const noexcept;

    /// Operations that the world may still complete, without the reactor's own.
    std::size_t in_flight() const noexcept { return in_flight_; }

    /// True when an operation in flight may complete without any task of ours doing something. In
    /// simulation only scheduled events can; a kernel always might.
    virtual bool world_may_act() const noexcept { return in_flight_ != 0; }

    const reactor_stats& stats() const noexcept { return stats_; }

    /// True when it takes operations on files; otherwise helper threads do them.
    virtual bool performs_files() const noexcept { return false; }

    /// The worker's leased receive buffers; made at first use.
    virtual buffer_pool& buffers() = 0;
    /// Such buffers for bytes that no kernel puts there: the same ones, or others where a kernel
    /// takes those; made at first use.
    virtual buffer_pool& own_buffers() { return buffers(); }

    // The world's immediate acts. They return what the system call does, or -errno.
    virtual int open_socket(int domain, int type, int protocol) noexcept;
    virtual int socket_pair(int domain, int type, int (&ends)[2]) noexcept;
    virtual int bind(int fd, const sockaddr* address, socklen_t length) noexcept;
    virtual int listen(int fd, int backlog) noexcept;
    virtual int local_name(int fd, sockaddr* address, socklen_t* length) noexcept;
    virtual int peer_name(int fd, sockaddr* address, socklen_t* length) noexcept;
    virtual int set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept;
    virtual int get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept;
    virtual int shutdown(int fd, int how) noexcept;
    /// Datagrams that can be taken or sent without waiting: how many were.
    virtual int receive_messages(int fd, mmsghdr* messages, unsigned count) noexcept;
    virtual int send_messages(int fd, mmsghdr* messages, unsigned count) noexcept;
    /// Closes a descriptor on which nothing is in flight. A ring may put it off to the end of the
    /// turn, where it costs no call of its own; what fails for want of it meanwhile is tried again
    /// behind it.
    virtual int close(int fd) noexcept;
    /// Closes it before this returns.
    virtual int close_at_once(int fd) noexcept { return close(fd); }
    /// Does what `close` has put off. True when there was something to do.
    virtual bool finish_closes() noexcept { return false; }
    /// Makes a foreign descriptor fit for this reactor (epoll wants it non-blocking).
    virtual int adopt(int fd) noexcept;
    /// Lets go of a descriptor that somebody else will close; it blocks again unless `adopt` found
    /// it non-blocking. Nothing is in flight on it.
    virtual void forget(int fd) noexcept;
    /// Hands over now what `submit`, `cancel` and `close` have collected; takes no completions.
    /// True when all of it has been started: from then on a number may be closed although an
    /// operation on it has not come back yet.
    virtual bool flush() noexcept;

protected:
    reactor() noexcept = default;

    /// How long to sleep for a deadline: 0 when it has passed, else to a moment up to 33 µs after
    /// it, so that deadlines which lie close together are met by one wake. (The kernel's own slack
    /// is 50 µs.) INT64_MAX for none.
    std::int64_t sleep_length(std::int64_t deadline) const noexcept;

    // How implementations keep an operation's state; see op.hpp for the rules.
    void begin(op& operation) noexcept;
    /// True when the operation is now asked to cancel for the first time.
    bool begin_cancel(op& operation) noexcept;
    /// A completion of the operation itself.
    void finish(op& operation, std::int32_t result, std::uint32_t flags) noexcept;
    /// A ring's cancel request went out for the operation.
    void cancel_sent(op& operation) noexcept;
    /// The completion of that request. True when it must be sent again: the kernel did not find the
    /// operation, and yet it has not completed.
    [[nodiscard]] bool cancel_answered(op& operation, std::int32_t result) noexcept;
    /// True when the last attempt received less than it asked for.
    static bool came_short(const op& operation) noexcept { return operation.came_short_; }
    static bool attempts_first(const op& operation) noexcept { return operation.attempt_first_; }

    std::size_t in_flight_ = 0;
    reactor_stats stats_;
};

/// Makes the reactor that `options` and the environment (OURO_REACTOR=uring|epoll) ask for; with
/// `automatic`, a ring if the kernel grants one, else epoll. `reason` tells why it was chosen.
/// Throws std::system_error when a forced kind cannot be had.
std::unique_ptr<reactor> make_reactor(const reactor_options& options, std::string& reason);

std::unique_ptr<reactor> make_uring_reactor(const reactor_options& options, std::string& reason);
std::unique_ptr<reactor> make_epoll_reactor(const reactor_options& options);

}  // namespace ouro
