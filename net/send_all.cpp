#include <ouro/net/send_all.hpp>

#include <ouro/runtime/check.hpp>

#include <liburing.h>

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace ouro::net {
namespace {

constexpr std::size_t bytes_per_call_max = 1U << 30;  // the kernel's own limit is just below 2 GiB

// How many short sends in a row may complete at once before others have their turn: a peer that
// reads as fast as we send must not keep the worker to itself.
constexpr int rounds_max = 8;

}  // namespace

std::size_t send_all_op::next_bytes() const noexcept {
    return std::min(rest_.size(), bytes_per_call_max);
}

void send_all_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_send(&entry, fd(), rest_.data(), next_bytes(), MSG_NOSIGNAL | MSG_WAITALL);
}

int send_all_op::attempt() noexcept {
    const ssize_t sent = ::send(fd(), rest_.data(), next_bytes(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : static_cast<int>(sent);
}

bool send_all_op::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        error_ = -ECANCELED;
        return false;
    }
    if (!on_.begin_write(*this)) {
        error_ = -EBADF;
    } else {
        if (!rest_.empty() && !advance()) return true;
        on_.end_write();
    }
    return answered_at_once();
}

/// Submits until an operation is in flight or nothing is left to do; true in the latter case.
bool send_all_op::advance() noexcept {
    for (int round = 0; round < rounds_max; ++round) {
        submitting_ = true;
        const bool pending = submit(on_.through());
        submitting_ = false;
        if (pending) return false;
        if (take(result_)) return true;
    }
    executor::current().at_turn_end(*this);
    return false;
}

/// Accounts for one completion; true when it was the last.
bool send_all_op::take(std::int32_t result) noexcept {
    if (result <= 0) {
        error_ = result < 0 ? result : -EPIPE;
        return true;
    }
    OURO_ASSERT(static_cast<std::size_t>(result) <= rest_.size());
    rest_ = rest_.subspan(static_cast<std::size_t>(result));
    if (rest_.empty()) return true;
    if (cancel_requested()) error_ = -ECANCELED;
    return error_ != 0;
}

void send_all_op::completed(std::int32_t result, std::uint32_t) noexcept {
    if (submitting_) {
        result_ = result;
    } else if (take(result) || advance()) {
        finish();
    }
}

void send_all_op::flush() noexcept {
    if (advance()) finish();
}

void send_all_op::stop() noexcept {
    if (!flusher::linked()) {
        request_cancel();
        return;
    }
    flusher::unlink();
    error_ = -ECANCELED;
    finish();
}

void send_all_op::finish() noexcept {
    OURO_ASSERT(!flusher::linked() && "send_all: it ends, and would go on");
    on_.end_write();
    resume();
}

void send_all_op::describe(leaf_description& into) const {
    into.text("send fd " + std::to_string(fd()) + ", " + std::to_string(total_ - rest_.size()) +
              " of " + std::to_string(total_) + " bytes sent");
}

}  // namespace ouro::net
