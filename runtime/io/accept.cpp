// The acceptor's operation. Its states:
//
//   idle ──a waiter comes──> in flight ──final completion──> idle (again in flight if one waits)
//                              │    ^ connections of a multishot accept: queued or handed out
//                              └──abandoned: the acceptor is gone; the core closes what still
//                                 comes and frees itself with the final completion
//
//  1. The core starts an accept exactly when a task waits, nothing is in flight and it is not
//     paused. A multishot accept then goes on by itself until the queue is full.
//  2. A waiter exists only while the queue is empty.
//  3. A multishot accept may end at any time, with or without a connection; rule 1 starts it again.
//  4. Starting may complete at once (epoll). One loop starts again, so the stack stays flat.

#include <ouro/runtime/io/accept.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/io_await.hpp>

#include <liburing.h>

#include <sys/socket.h>

#include <cerrno>
#include <deque>
#include <new>
#include <string>

namespace ouro {
namespace {

/// After so many connections that failed before they were taken, the waiter is told.
constexpr int failures_in_a_row_max = 64;

/// The connection failed on its way, not the listener (accept(2) lists them).
bool is_passing(int error) noexcept {
    switch (-error) {
        case ECONNABORTED:
        case EINTR:
        case EAGAIN:
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case ENETUNREACH: return true;
        default: return false;
    }
}

}  // namespace

class accept_core final : public op {
public:
    accept_core(descriptor listening, accept_options options)
        : listening_(std::move(listening)), options_(options) {
        OURO_ASSERT(listening_.is_open() && options_.queue_max > 0 &&
                    "acceptor: made of a listening socket, with a queue of at least 1");
    }

    int fd() const noexcept override { return listening_.number(); }
    std::size_t queued() const noexcept { return queue_.size(); }
    bool paused() const noexcept { return paused_; }

    /// Serves `waiter` from the queue or makes it wait.
    void serve(accept_op& waiter) noexcept {
        OURO_ASSERT(!abandoned_);
        OURO_ASSERT((waiters_.empty() || queue_.empty()) && "somebody waits for what is there");
        if (lost_) {
            lost_ = false;
            waiter.finish(descriptor(), -ENOMEM);
        } else if (queue_.empty()) {
            waiters_.push_back(waiter);
            start();
        } else {
            waiter.finish(std::move(queue_.front()), 0);
            queue_.pop_front();
        }
    }

    void pause() noexcept {
        paused_ = true;
        request_cancel();
    }

    void resume() noexcept {
        paused_ = false;
        start();
    }

    /// The acceptor is gone. Frees the core, now or with the final completion.
    void abandon() noexcept {
        OURO_ASSERT(
            waiters_.empty() &&
            "listener: closed or destroyed while a task awaits accept(): cancel that task first");
        reactor& io = executor::current().io();
        paused_ = true;
        // Not shut down: others may hold the socket, too, and go on listening.
        request_cancel();
        queue_.clear();
        if (!in_flight()) {
            listening_.close_at_once();
            delete this;
            return;
        }
        abandoned_ = true;
        if (io.flush()) listening_.close_at_once();
    }

private:
    ~accept_core() = default;

    void prepare(io_uring_sqe& entry) noexcept override {
        if (multishot_)
            io_uring_prep_multishot_accept(&entry, fd(), nullptr, nullptr, SOCK_CLOEXEC);
        else
            io_uring_prep_accept(&entry, fd(), nullptr, nullptr, SOCK_CLOEXEC);
    }

    int attempt() noexcept override {
        return errno_result(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    }

    readiness needs() const noexcept override { return readiness::readable; }

    void start() noexcept {
        if (starting_) return;
        starting_ = true;
        while (!waiters_.empty() && !in_flight() && !paused_) submit();
        starting_ = false;
    }

    void completed(std::int32_t result, std::uint32_t flags) noexcept override {
        if (result >= 0) {
            failures_in_a_row_ = 0;
            take(descriptor(result));
        }
        if (flags & completion_more) {
            if (queue_.size() >= options_.queue_max) request_cancel();
        } else if (abandoned_) {
            OURO_ASSERT(waiters_.empty() && queue_.empty());
            delete this;
        } else {
            if (result < 0) failed(result);
            start();
        }
    }

    void take(descriptor connection) noexcept {
        if (abandoned_) return;  // closes it
        if (!waiters_.empty()) {
            OURO_ASSERT(queue_.empty());
            waiters_.pop_front().finish(std::move(connection), 0);
            return;
        }
        try {
            queue_.push_back(std::move(connection));
        } catch (const std::bad_alloc&) {
            lost_ = true;      // the connection is closed, and the next accept() hears of it
            request_cancel();  // the backlog keeps the others
        }
    }

    void failed(int error) noexcept {
        if (error == -ECANCELED) return;  // for the queue's sake, or paused
        if (error == -EINVAL && multishot_) {
            multishot_ = false;  // Linux before 5.19
            return;
        }
        if (is_shortage(error) && executor::current().io().finish_closes()) return;
        if (is_passing(error) && ++failures_in_a_row_ < failures_in_a_row_max) return;
        failures_in_a_row_ = 0;
        if (!waiters_.empty()) waiters_.pop_front().finish(descriptor(), error);
    }

    descriptor listening_;
    accept_options options_;
    std::deque<descriptor> queue_;
    intrusive_list<accept_op, accept_op> waiters_;
    int failures_in_a_row_ = 0;
    bool lost_ = false;  // there was no memory to queue a connection
    bool multishot_ = true;
    bool paused_ = false;
    bool starting_ = false;
    bool abandoned_ = false;
};

bool accept_op::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        error_ = -ECANCELED;
        return false;
    }
    if (from_) {
        starting_ = true;
        from_->serve(*this);
        starting_ = false;
        if (!done_) return true;
    } else {
        error_ = -EBADF;
    }
    return answered_at_once();
}

void accept_op::finish(descriptor taken, int error) noexcept {
    taken_ = std::move(taken);
    error_ = error;
    done_ = true;
    if (!starting_) leaf::resume();
}

void accept_op::cancel(cancel_reason) noexcept {
    if (done_) return;
    unlink();
    finish(descriptor(), -ECANCELED);
}

void accept_op::describe(leaf_description& into) const {
    into.text("accept fd " + std::to_string(from_->fd()));
}

acceptor::acceptor(descriptor listening, accept_options options)
    : core_(new accept_core(std::move(listening), options)) {
    if (const int refused = executor::current().io().adopt(core_->fd()); refused < 0) {
        close();
        throw_error(error_of(refused));
    }
}

void acceptor::pause() noexcept {
    if (core_) core_->pause();
}
void acceptor::resume() noexcept {
    if (core_) core_->resume();
}
bool acceptor::paused() const noexcept { return core_ && core_->paused(); }
std::size_t acceptor::queued() const noexcept { return core_ ? core_->queued() : 0; }
int acceptor::number() const noexcept { return core_ ? core_->fd() : -1; }

void acceptor::close() noexcept {
    if (accept_core* core = std::exchange(core_, nullptr)) core->abandon();
}

}  // namespace ouro
