// How a receive finds its buffer:
//
//   receive ──data──> done              The kernel (or the attempt) takes a buffer when data is
//      │ -ENOBUFS                       there. Without a free one it says so even before there is
//      ▼                                data, so first wait for data: somebody who would not use
//    poll ──readable──┐                 a buffer must not be woken for one.
//                     ├─ one is free ──> receive
//                     └─ none ──> buffer ──one came back──> receive
//
//  1. `buffer_returned` hands this operation one wake. It is settled by a lease, by waiting again
//     after -ENOBUFS (somebody else used that buffer), or by pool.pass_on().
//  2. A request to stop that meets a receive in flight only asks; the completion tells. Data that
//     came first is delivered.
//  3. A buffer that a completion names is out, whatever the result: lent or given back.

#include <ouro/runtime/io/leased_recv.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/io_await.hpp>
#include <ouro/runtime/io/ring/buffers.hpp>

#include <liburing.h>

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <string>

namespace ouro {

bool leased_recv_op::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        error_ = errc::cancelled;
        return false;
    }
    if (on_->begin_read(*this)) {
        starting_ = true;
        start();
        starting_ = false;
        if (!done_) return true;
    } else {
        error_ = error_of(-EBADF);
    }
    return answered_at_once();
}

void leased_recv_op::start() noexcept {
    try {
        passage* const way = on_->through();
        pool_ = way ? &way->buffers() : &executor::current().io().buffers();
    } catch (const std::system_error& failure) {
        finish(failure.code());
        return;
    } catch (const std::bad_alloc&) {
        finish(std::make_error_code(std::errc::not_enough_memory));
        return;
    }
    if (on_->leases().held() >= pool_->leases_max())
        finish(errc::no_buffers);
    else
        go(pool_->supply() == buffer_supply::after_poll ? stage::poll : stage::receive);
}

void leased_recv_op::go(stage next) noexcept {
    stage_ = next;
    OURO_ASSERT(!done_);
    if (next == stage::buffer)
        pool_->wait(*this);
    else
        submit(on_->through());
}

void leased_recv_op::prepare(io_uring_sqe& entry) noexcept {
    if (stage_ == stage::poll) {
        io_uring_prep_poll_add(&entry, fd(), POLLIN);
    } else if (buffer_ >= 0) {
        const std::span<std::byte> into = pool_->memory(static_cast<std::uint16_t>(buffer_));
        io_uring_prep_recv(&entry, fd(), into.data(), into.size(), 0);
    } else {
        io_uring_prep_recv(&entry, fd(), nullptr, pool_->buffer_bytes(), 0);
        entry.flags |= IOSQE_BUFFER_SELECT;
        entry.buf_group = buffer_group;
    }
}

int leased_recv_op::attempt() noexcept {
    if (stage_ == stage::receive) return attempt_receive();
    pollfd state{fd(), POLLIN, 0};
    const int ready = errno_result(::poll(&state, 1, 0));
    return ready == 0 ? -EAGAIN : ready;
}

int leased_recv_op::attempt_receive() noexcept {
    OURO_ASSERT(buffer_ < 0);
    const int id = pool_->take();
    if (id < 0) return -ENOBUFS;
    const std::span<std::byte> into = pool_->memory(static_cast<std::uint16_t>(id));
    const int result = received_of(
        errno_result(::recv(fd(), into.data(), into.size(), MSG_DONTWAIT)), into.size());
    if (result > 0) {
        buffer_ = id;
    } else {
        woken_ = false;  // giving it back wakes the next
        pool_->give_back(static_cast<std::uint16_t>(id));
    }
    return result;
}

void leased_recv_op::completed(std::int32_t result, std::uint32_t flags) noexcept {
    if (flags & completion_has_buffer) {
        OURO_ASSERT(buffer_ < 0);
        buffer_ = static_cast<int>(flags >> 16);
    }
    if (stage_ == stage::poll)
        polled(result);
    else
        received(result);
}

void leased_recv_op::polled(std::int32_t result) noexcept {
    if (result < 0)
        finish(error_of(result));
    else if (asked_to_stop_)
        finish(errc::cancelled);
    else if (pool_->available() > 0)
        receive_now();
    else
        go(stage::buffer);
}

void leased_recv_op::receive_now() noexcept {
    if (pool_->supply() == buffer_supply::after_poll) {
        buffer_ = pool_->take();
        OURO_ASSERT(buffer_ >= 0);
    }
    go(stage::receive);
}

void leased_recv_op::received(std::int32_t result) noexcept {
    if (result > 0) {
        OURO_ASSERT(buffer_ >= 0);
        woken_ = false;
        const auto id = static_cast<std::uint16_t>(std::exchange(buffer_, -1));
        received_ = pool_->lend(id, static_cast<std::size_t>(result), on_->leases());
        finish({});
    } else if (result == -ENOBUFS && buffer_ < 0) {
        woken_ = false;
        if (asked_to_stop_)
            finish(errc::cancelled);
        else
            go(stage::poll);
    } else {
        finish(result < 0 ? error_of(result) : std::error_code());
    }
}

void leased_recv_op::finish(std::error_code error) noexcept {
    OURO_ASSERT(!done_ && !in_flight() && !buffer_waiter::linked());
    error_ = error;
    done_ = true;
    on_->end_read();
    const bool waits = !starting_;
    if (buffer_ >= 0) {
        woken_ = false;
        pool_->give_back(static_cast<std::uint16_t>(std::exchange(buffer_, -1)));
    }
    if (std::exchange(woken_, false)) pool_->pass_on();
    if (waits) resume();
}

void leased_recv_op::buffer_returned() noexcept {
    OURO_ASSERT(stage_ == stage::buffer && !woken_ && !done_);
    woken_ = pool_->available() > 0;
    if (woken_)
        receive_now();
    else
        go(stage::buffer);  // somebody else was faster
}

void leased_recv_op::stop() noexcept {
    asked_to_stop_ = true;
    if (in_flight()) {
        request_cancel();
    } else if (!done_) {
        buffer_waiter::unlink();
        finish(errc::cancelled);
    }
}

void leased_recv_op::describe(leaf_description& into) const {
    into.text("recv fd " + std::to_string(fd()) +
              (stage_ == stage::buffer ? ", waits for a buffer" : ""));
}

}  // namespace ouro
