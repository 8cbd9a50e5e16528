// The ring. What it must be careful about:
//
//  1. Only the thread that made the ring enters it (SINGLE_ISSUER). `wake` writes an eventfd on
//     which a multishot poll is always armed. The eventfd is never read: each write is an event.
//  2. `user_data` is the address of an op, with bit 0 set for the completion of its cancel request.
//     An op stays alive until both have come back, so every address taken from a completion names a
//     living object. The two values below `tags_end` are the reactor's own.
//  3. With DEFER_TASKRUN completions are made only inside `enter` with GETEVENTS, so each turn
//     enters once, unless there is nothing to submit, nothing to wait for and no TASKRUN flag.
//     Completions are taken from the mapped queue directly: the library's peeking may enter again.
//  4. An overflown completion queue loses nothing (NODROP), but must be flushed by entering.
//  5. Completions are taken in one place, never from inside `submit` or `cancel`. When the
//     submission queue is full it is handed over; if the kernel refuses (-EBUSY, -EAGAIN), what
//     does not fit waits in `backlog_` and `cancels_`, linked through the op itself.
//  6. What reads is submitted behind what writes: the kernel works through a submission in order,
//     so a read finds what the peers had to say to this turn's writes, too, and batches grow
//     instead of splitting. (Pub/sub, 64 messages in flight: one piece of 64 instead of two of 32.)
//  7. A close goes out with the turn's submissions. Whoever must know that it has happened uses
//     `close_at_once`; what fails for want of a close in the queue is tried again behind it.
//  8. In a child process after fork the ring is not mapped. Such a child must exec or _exit.

#include <ouro/runtime/engine/reactor.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/io/plain_buffers.hpp>
#include <ouro/runtime/io/ring/buffers.hpp>
#include <ouro/runtime/io/ring/features.hpp>
#include <ouro/runtime/log.hpp>

#include <liburing.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace ouro {
namespace {

constexpr std::uint64_t close_tag = 0;
constexpr std::uint64_t wake_tag = 2;
constexpr std::uint64_t tags_end = 4;
constexpr std::uint64_t cancel_bit = 1;

constexpr std::int64_t second = 1'000'000'000;
/// When the kernel refuses submissions, it is asked again after so many nanoseconds at most.
constexpr std::int64_t retry_delay = 1'000'000;

class uring_reactor final : public reactor {
public:
    uring_reactor(const io_uring& ring, const reactor_options& options);
    ~uring_reactor() override;

    std::string_view name() const noexcept override { return "uring"; }
    bool submit(op& operation) noexcept override;
    void cancel(op& operation) noexcept override;
    void turn(std::int64_t until) noexcept override;
    void wake() noexcept override;
    bool flush() noexcept override;
    bool performs_files() const noexcept override { return true; }
    buffer_pool& buffers() override;
    buffer_pool& own_buffers() override;

    int open_socket(int domain, int type, int protocol) noexcept override;
    int socket_pair(int domain, int type, int (&ends)[2]) noexcept override;
    int bind(int fd, const sockaddr* address, socklen_t length) noexcept override;
    int listen(int fd, int backlog) noexcept override;
    int close(int fd) noexcept override;
    int close_at_once(int fd) noexcept override;
    bool finish_closes() noexcept override;

private:
    /// Does `act`, and once more when a close in the queue may have been what it lacked.
    template <class Act>
    int behind_closes(Act act) noexcept {
        const int result = act();
        return is_shortage(result) && finish_closes() ? act() : result;
    }

    io_uring_sqe* next_entry() noexcept;
    void arm_wake() noexcept;
    bool attempt(op& operation) noexcept;
    bool push(op& operation) noexcept;
    void push_or_keep(op& operation) noexcept;
    void push_reads() noexcept;
    void send_cancel(op& operation) noexcept;
    void retry_refused() noexcept;
    bool all_accepted() noexcept { return backlog_.empty() && cancels_.empty() && wake_armed_; }

    void enter(std::int64_t until) noexcept;
    int submit_and_get_events() noexcept;
    int sleep(std::int64_t length) noexcept;
    int poll_busily(std::int64_t length) noexcept;
    void wait_a_little() noexcept;
    bool must_flush() const noexcept;

    void take_completions() noexcept;
    void take(const io_uring_cqe& entry) noexcept;
    void take_own(const io_uring_cqe& entry) noexcept;
    std::unique_ptr<buffer_pool> make_buffers();

    io_uring ring_;
    reactor_options options_;
    int wake_fd_;
    bool wake_armed_ = false;
    bool closes_queued_ = false;      // perhaps some of the queue's entries are closes
    intrusive_list<op, op> reads_;    // begun in this turn; they go behind its writes
    intrusive_list<op, op> backlog_;  // begun, but not in the submission queue yet
    intrusive_list<op, op> cancels_;  // in flight, the request to cancel is not in the queue yet
    std::unique_ptr<buffer_pool> buffers_;
    std::unique_ptr<buffer_pool> own_buffers_;
};

uring_reactor::uring_reactor(const io_uring& ring, const reactor_options& options)
    : ring_(ring), options_(options), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (wake_fd_ < 0) {
        const int error = -errno;
        io_uring_queue_exit(&ring_);
        throw_error(error_of(error));
    }
    io_uring_ring_dontfork(&ring_);
    // Saves the kernel a look-up per enter. Some kernels before 6.0 deadlock at exit with it.
    if (ring_.flags & IORING_SETUP_DEFER_TASKRUN) io_uring_register_ring_fd(&ring_);
    arm_wake();
}

uring_reactor::~uring_reactor() {
    if (io_uring_sq_ready(&ring_) > 0) submit_and_get_events();  // closes
    buffers_.reset();
    io_uring_queue_exit(&ring_);
    ::close(wake_fd_);
}

// Into the submission queue.

bool uring_reactor::submit(op& operation) noexcept {
    begin(operation);
    if (operation.needs() == readiness::readable) {
        if (attempts_first(operation) && attempt(operation)) return false;
        reads_.push_back(operation);
    } else {
        push_or_keep(operation);
    }
    return true;
}

/// True when it is done.
bool uring_reactor::attempt(op& operation) noexcept {
    ++stats_.system_calls;
    const int result = operation.attempt();
    if (result == -EAGAIN || result == -EINTR) return false;
    finish(operation, result, 0);
    return true;
}

void uring_reactor::cancel(op& operation) noexcept {
    if (!begin_cancel(operation)) return;
    if (operation.linked()) {  // the kernel has never seen it
        operation.unlink();
        finish(operation, -ECANCELED, 0);
    } else {
        send_cancel(operation);
    }
}

/// A zeroed entry; null when the queue is full and the kernel does not take it.
io_uring_sqe* uring_reactor::next_entry() noexcept {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (!entry) {
        ++stats_.system_calls;
        io_uring_submit(&ring_);
        entry = io_uring_get_sqe(&ring_);
    }
    if (entry) std::memset(entry, 0, sizeof *entry);
    return entry;
}

bool uring_reactor::push(op& operation) noexcept {
    io_uring_sqe* entry = next_entry();
    if (!entry) return false;
    operation.prepare(*entry);
    entry->user_data = reinterpret_cast<std::uint64_t>(&operation);
    return true;
}

void uring_reactor::push_or_keep(op& operation) noexcept {
    if (!backlog_.empty() || !push(operation)) backlog_.push_back(operation);
}

void uring_reactor::push_reads() noexcept {
    while (!reads_.empty()) push_or_keep(reads_.pop_front());
}

void uring_reactor::send_cancel(op& operation) noexcept {
    io_uring_sqe* entry = next_entry();
    if (!entry) {
        cancels_.push_back(operation);
        return;
    }
    const auto target = reinterpret_cast<std::uint64_t>(&operation);
    cancel_sent(operation);
    io_uring_prep_cancel64(entry, target, 0);
    entry->user_data = target | cancel_bit;
}

void uring_reactor::arm_wake() noexcept {
    io_uring_sqe* entry = next_entry();
    wake_armed_ = entry != nullptr;
    if (!entry) return;
    io_uring_prep_poll_multishot(entry, wake_fd_, POLLIN);
    entry->user_data = wake_tag;
}

void uring_reactor::retry_refused() noexcept {
    if (!wake_armed_) arm_wake();
    while (!cancels_.empty() && io_uring_sq_space_left(&ring_) > 0)
        send_cancel(cancels_.pop_front());
    while (!backlog_.empty() && push(backlog_.front())) backlog_.pop_front();
}

// Into the kernel.

void uring_reactor::turn(std::int64_t until) noexcept {
    push_reads();
    if (!all_accepted()) retry_refused();
    enter(until);
    take_completions();
}

bool uring_reactor::flush() noexcept {
    push_reads();
    submit_and_get_events();
    return io_uring_sq_ready(&ring_) == 0 && all_accepted();
}

bool uring_reactor::must_flush() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
}

void uring_reactor::enter(std::int64_t until) noexcept {
    std::int64_t left = sleep_length(until);
    if (!all_accepted()) left = std::min(left, retry_delay);
    int result = 0;
    if (left > 0 && io_uring_cq_ready(&ring_) == 0)
        result = in_flight() > 0 ? poll_busily(left) : sleep(left);
    else if (io_uring_sq_ready(&ring_) > 0 || must_flush())
        result = submit_and_get_events();
    OURO_ASSERT(result != -EBADR && "the kernel had no memory for completions and lost some");
    if (result >= 0 || result == -EINTR || result == -ETIME) return;  // these end it like a wake
    if (result != -EBUSY && result != -EAGAIN && result != -ENOMEM)
        loop_failed("io_uring_enter", result);
    wait_a_little();
}

int uring_reactor::submit_and_get_events() noexcept {
    ++stats_.system_calls;
    return io_uring_submit_and_get_events(&ring_);
}

int uring_reactor::sleep(std::int64_t length) noexcept {
    ++stats_.system_calls;
    ++stats_.waits;
    if (length == std::numeric_limits<std::int64_t>::max())
        return io_uring_submit_and_wait(&ring_, 1);
    __kernel_timespec limit{length / second, length % second};
    io_uring_cqe* first;
    return io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
}

/// Looks for completions for at most the option's time, and then sleeps for the rest of `length`.
/// What the kernel has for us it says in the mapped queues, so looking makes no system call.
int uring_reactor::poll_busily(std::int64_t length) noexcept {
    const std::int64_t most = std::min<std::int64_t>(length, options_.busy_poll.count());
    if (most == 0) return sleep(length);
    const std::int64_t began = now();
    bool enters = io_uring_sq_ready(&ring_) > 0;
    for (;;) {
        const int result = enters || must_flush() ? submit_and_get_events() : 0;
        if (result < 0 || io_uring_cq_ready(&ring_) > 0) return result;
        enters = false;
        const std::int64_t past = now() - began;
        if (past >= length) return 0;
        if (past >= most) return sleep(length - past);
    }
}

/// The kernel takes no submissions for now; completions make room.
void uring_reactor::wait_a_little() noexcept {
    if (io_uring_cq_ready(&ring_) > 0) return;
    ++stats_.system_calls;
    __kernel_timespec limit{0, retry_delay};
    io_uring_cqe* first;
    io_uring_wait_cqe_timeout(&ring_, &first, &limit);
}

void uring_reactor::wake() noexcept {
    const int saved = errno;  // it may be called from a signal handler
    const std::uint64_t one = 1;
    while (::write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}

// Out of the completion queue.

void uring_reactor::take_completions() noexcept {
    constexpr unsigned batch = 64;  // entries stay where they are until the head is moved on
    for (unsigned left = io_uring_cq_ready(&ring_); left > 0;) {
        const unsigned head = *ring_.cq.khead;
        const unsigned count = std::min(left, batch);
        for (unsigned i = 0; i < count; ++i) take(ring_.cq.cqes[(head + i) & ring_.cq.ring_mask]);
        io_uring_cq_advance(&ring_, count);
        left -= count;
    }
}

void uring_reactor::take(const io_uring_cqe& entry) noexcept {
    if (entry.user_data < tags_end) {
        take_own(entry);
        return;
    }
    op& operation = *reinterpret_cast<op*>(entry.user_data & ~cancel_bit);
    if (entry.user_data & cancel_bit) {
        if (cancel_answered(operation, entry.res)) send_cancel(operation);
        return;
    }
    if (entry.flags & completion_has_buffer) buffers_->taken_by_kernel();
    if (!(entry.flags & completion_more) && operation.linked()) operation.unlink();
    finish(operation, entry.res, entry.flags);
}

void uring_reactor::take_own(const io_uring_cqe& entry) noexcept {
    if (entry.user_data == wake_tag) {
        if (!(entry.flags & IORING_CQE_F_MORE)) arm_wake();
    } else if (entry.res < 0 && entry.res != -EINTR && log_enabled()) {
        char text[48];  // nothing is allocated here
        std::snprintf(text, sizeof text, "close failed: errno %d", -entry.res);
        log(log_level::warning, text);
    }
}

// Descriptors.

int uring_reactor::open_socket(int domain, int type, int protocol) noexcept {
    return behind_closes([&] { return reactor::open_socket(domain, type, protocol); });
}

int uring_reactor::socket_pair(int domain, int type, int (&ends)[2]) noexcept {
    return behind_closes([&] { return reactor::socket_pair(domain, type, ends); });
}

int uring_reactor::bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    return behind_closes([&] { return reactor::bind(fd, address, length); });
}

int uring_reactor::listen(int fd, int backlog) noexcept {
    return behind_closes([&] { return reactor::listen(fd, backlog); });
}

int uring_reactor::close(int fd) noexcept {
    // A kernel thread that submits does so whenever it likes.
    io_uring_sqe* entry = ring_.flags & IORING_SETUP_SQPOLL ? nullptr : next_entry();
    if (!entry) return close_at_once(fd);
    io_uring_prep_close(entry, fd);
    if (ring_.features & IORING_FEAT_CQE_SKIP) entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    entry->user_data = close_tag;
    closes_queued_ = true;
    return 0;
}

int uring_reactor::close_at_once(int fd) noexcept {
    ++stats_.system_calls;
    return reactor::close(fd);
}

bool uring_reactor::finish_closes() noexcept {
    if (!std::exchange(closes_queued_, false) || io_uring_sq_ready(&ring_) == 0) return false;
    submit_and_get_events();
    return true;
}

buffer_pool& uring_reactor::buffers() {
    if (!buffers_) buffers_ = make_buffers();
    return *buffers_;
}

buffer_pool& uring_reactor::own_buffers() {
    if (buffers().supply() != buffer_supply::kernel) return *buffers_;
    if (own_buffers_) return *own_buffers_;
    own_buffers_ = make_plain_buffers(options_);
    buffers_->add_kin(*own_buffers_);
    return *own_buffers_;
}

std::unique_ptr<buffer_pool> uring_reactor::make_buffers() {
    if (options_.plain_ring) return make_plain_buffers(options_, buffer_supply::after_poll);
    try {
        return make_uring_buffers(ring_, options_);
    } catch (const std::system_error& refused) {
        if (refused.code() != std::errc::invalid_argument) throw;
        return make_plain_buffers(options_, buffer_supply::after_poll);
    }
}

}  // namespace

std::unique_ptr<reactor> make_uring_reactor(const reactor_options& options, std::string& reason) {
    io_uring ring;
    if (!open_ring(ring, options, reason)) return nullptr;
    return std::make_unique<uring_reactor>(ring, options);
}

}  // namespace ouro
