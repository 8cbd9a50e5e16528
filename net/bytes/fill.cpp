#include <ouro/net/bytes/fill.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/io_await.hpp>

#include <liburing.h>

#include <sys/socket.h>

#include <cerrno>
#include <string>

namespace ouro::net {

bool fill_await::suspend(promise_base& frame) noexcept {
    note_awaited(frame);
    if (frame.owner->cancelled()) {
        error_ = errc::cancelled;
        return false;
    }
    if (over()) return executor::current().answered_at_once(frame);
    wait_regardless(frame);
    return receive() || answered_at_once();
}

// True when nothing is left to wait for; the outcome is then in the derived object or in error_.
bool fill_await::over() noexcept {
    if (error_) return true;
    switch (look()) {
        case progress::done: return true;
        case progress::too_long: error_ = errc::limit_exceeded; return true;
        case progress::need_more: break;
    }
    if (ended())
        error_ = errc::end_of_stream;
    else if (asked_to_stop_)
        error_ = errc::cancelled;
    return static_cast<bool>(error_);
}

// Submits receives for as long as they complete at once. True when one is in flight.
bool fill_await::receive() noexcept {
    do {
        into_ = space();
        if (into_.empty()) {
            error_ = make_error_code(std::errc::not_enough_memory);
            return false;
        }
        if (!on_->begin_read(*this)) {
            error_ = error_of(-EBADF);
            return false;
        }
        submitting_ = true;
        const bool pending = submit(on_->through());
        submitting_ = false;
        if (pending) return true;
        take();
    } while (!over());
    return false;
}

void fill_await::take() noexcept {
    if (result_ < 0)
        error_ = error_of(result_);
    else
        received(static_cast<std::size_t>(result_));
    // What filled its space left a rest behind. A ring would bring that a turn later, and what
    // should be passed on as one piece would go as two.
    attempt_first(result_ > 0 && static_cast<std::size_t>(result_) == into_.size());
}

void fill_await::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_recv(&entry, fd(), into_.data(), into_.size(), 0);
}

int fill_await::attempt() noexcept {
    return received_of(errno_result(::recv(fd(), into_.data(), into_.size(), MSG_DONTWAIT)),
                       into_.size());
}

void fill_await::completed(std::int32_t result, std::uint32_t) noexcept {
    result_ = result;
    on_->end_read();
    if (submitting_) return;
    take();
    if (over() || !receive()) resume();
}

void fill_await::stop() noexcept {
    asked_to_stop_ = true;
    request_cancel();
}

void fill_await::cancel(cancel_reason) noexcept { stop(); }

void fill_await::describe(leaf_description& into) const {
    into.text(std::string(name_) + " fd " + std::to_string(fd()));
}

}  // namespace ouro::net
