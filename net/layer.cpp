// How operations pass through a layer.
//
//  1. Two operations of its own work on the wire: one receives into the layer's memory, one sends
//     from it. What tasks await is asked for with `prepare`, as a ring is.
//  2. A receive goes on until the layer has clear bytes, the end or an error. A send ends when the
//     layer has taken some of its bytes and all that is pending has left. One that is cancelled
//     after that has taken them: they leave with the next send.
//  3. What the layer wants to send upon a receive (an answer, an alert) leaves at once, or behind
//     the send that is in flight. Nobody awaits it: a stream that is closed meanwhile leaves its
//     number and this behind until it has left, or has not gone on for `patience`, since the peer
//     does not read. A program that ends waits for that, too.
//  4. A peer that makes the layer receive or send again and again gets no more than `rounds_max`
//     rounds in a turn.
//  5. The end of a layer that stands on another is what that one sends last before its own end.
#include <ouro/net/layer.hpp>

#include <ouro/net/stream.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/duration.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/passage.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/io/io_await.hpp>

#include <liburing.h>

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <utility>

namespace ouro::net {
namespace {

constexpr int rounds_max = 8;
constexpr duration patience = std::chrono::seconds(3);
constexpr std::size_t bytes_per_call_max = 1U << 30;

template <class T>
T* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

class layered;

/// An operation of the layer's own on the wire, and the one that it is done for.
class wire_op : public op, public flusher {
public:
    wire_op(layered& of, readiness side) noexcept : of_(of), side_(side) {}

    op* asked() const noexcept { return asked_; }
    passage* through() const noexcept final;
    /// Ends what it does for `asked`, soon.
    void cancel_it() noexcept {
        if (!flusher::linked()) {
            request_cancel();
            return;
        }
        flusher::unlink();
        over(-ECANCELED);
    }
    bool busy() const noexcept { return in_flight() || flusher::linked(); }

    int fd() const noexcept final;
    readiness needs() const noexcept final { return side_; }

protected:
    ~wire_op() = default;

    /// Goes on with nothing in flight; true while it may go on at once.
    virtual bool step() noexcept = 0;
    /// What was in flight has come to `result`; true when it may go on.
    virtual bool took(std::int32_t result) noexcept = 0;
    /// Ends what was asked for.
    virtual void over(std::int32_t result) noexcept = 0;

    void advance() noexcept {
        for (int round = 0; round < rounds_max; ++round)
            if (!step()) return;
        executor::current().at_turn_end(*this);
    }
    /// Submits; true when it is over already, and well.
    bool done_at_once() noexcept {
        submitting_ = true;
        const bool pending = submit(through());
        submitting_ = false;
        return !pending && took(result_);
    }
    void tell(std::int32_t result, std::uint32_t flags) noexcept;

    layered& of_;
    op* asked_ = nullptr;

private:
    void flush() noexcept final { advance(); }
    void completed(std::int32_t result, std::uint32_t) noexcept final {
        if (submitting_)
            result_ = result;
        else if (took(result))
            advance();
    }

    const readiness side_;
    std::int32_t result_ = 0;
    bool submitting_ = false;
};

class inward final : public wire_op {
public:
    explicit inward(layered& of) noexcept : wire_op(of, readiness::readable) {}

    /// False when it is nothing that a layer can do.
    bool start(op& by, const io_uring_sqe& wanted) noexcept {
        switch (wanted.opcode) {
            case IORING_OP_POLL_ADD: what_ = what::poll; break;
            case IORING_OP_RECV: {
                const bool lend = wanted.flags & IOSQE_BUFFER_SELECT;
                what_ = lend ? what::lease : what::receive;
                into_ = {pointer<std::byte>(wanted.addr), lend ? 0 : wanted.len};
                break;
            }
            default: return false;
        }
        asked_ = &by;
        advance();
        return true;
    }

private:
    enum class what : std::uint8_t { receive, lease, poll };

    bool step() noexcept override;
    bool took(std::int32_t result) noexcept override;
    void over(std::int32_t result) noexcept override { tell(result, 0); }
    void lend() noexcept;
    /// Sends what the layer has to say to what came.
    void answer() noexcept;

    void prepare(io_uring_sqe& entry) noexcept override {
        io_uring_prep_recv(&entry, fd(), space_.data(), space_.size(), 0);
    }
    int attempt() noexcept override {
        return received_of(errno_result(::recv(fd(), space_.data(), space_.size(), MSG_DONTWAIT)),
                           space_.size());
    }

    what what_ = what::receive;
    std::span<std::byte> into_;   // what is asked for
    std::span<std::byte> space_;  // the layer's
};

class outward final : public wire_op, private timer {
public:
    explicit outward(layered& of) noexcept : wire_op(of, readiness::writable) {}

    bool start(op& by, const io_uring_sqe& wanted) noexcept {
        polls_ = false;
        switch (wanted.opcode) {
            case IORING_OP_POLL_ADD:
                polls_ = true;
                from_ = {};
                break;
            case IORING_OP_SEND:
                one_ = {pointer<void>(wanted.addr), wanted.len};
                from_ = {&one_, 1};
                break;
            case IORING_OP_SENDMSG: {
                const msghdr& message = *pointer<msghdr>(wanted.addr);
                if (message.msg_controllen > 0 || message.msg_name) return false;
                from_ = {message.msg_iov, message.msg_iovlen};
                break;
            }
            default: return false;
        }
        taken_ = 0;
        asked_ = &by;
        go_on();
        return true;
    }

    /// Sends what is pending, unless that is being done.
    void go_on() noexcept {
        if (!busy()) advance();
    }
    /// The end, once everything before it has left; `how` is that of shutdown(2). What the layer
    /// answers, if its turn has come already.
    int end(int how) noexcept {
        ending_ = how;
        go_on();
        return end_answer_;
    }
    bool ended() const noexcept { return ending_ >= 0; }
    int end_answer() const noexcept { return end_answer_; }
    /// The stream is gone: this closes its number and frees the layer, at once or soon.
    void be_left(int number, std::unique_ptr<passage> self) noexcept {
        left_ = std::move(self);
        left_number_ = number;
        be_patient();
    }

private:
    void be_patient() noexcept {
        if (armed()) executor::current().timers().disarm(*this);
        const time_point until = after(clock::now(), patience);
        executor::current().timers().arm(*this, until.time_since_epoch().count());
    }
    void fire() noexcept override {
        if (in_flight())
            request_cancel();
        else
            be_patient();  // its turn comes at the end of this one
    }
    bool step() noexcept override;
    bool took(std::int32_t result) noexcept override;
    void over(std::int32_t result) noexcept override;
    bool something_is_asked() const noexcept {
        return std::any_of(from_.begin(), from_.end(),
                           [](const iovec& each) { return each.iov_len > 0; });
    }

    void prepare(io_uring_sqe& entry) noexcept override {
        if (polling_)
            io_uring_prep_poll_add(&entry, fd(), POLLOUT);
        else
            io_uring_prep_send(&entry, fd(), wire_.data(), wire_.size(),
                               MSG_NOSIGNAL | MSG_WAITALL);
    }
    int attempt() noexcept override {
        if (!polling_)
            return errno_result(
                ::send(fd(), wire_.data(), wire_.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        pollfd state{fd(), POLLOUT, 0};
        const int ready = errno_result(::poll(&state, 1, 0));
        return ready == 0 ? -EAGAIN : ready;
    }

    std::span<const iovec> from_;  // what is asked for
    iovec one_{};
    std::span<const std::byte> wire_;  // the layer's; in flight
    std::int32_t taken_ = 0;           // of what is asked for, by the layer
    bool polls_ = false;               // it is asked whether a send would wait
    bool polling_ = false;             // that is in flight
    int ending_ = -1;                  // how to shut down; -1: not
    int end_answer_ = 0;               // the layer's
    bool shut_ = false;
    std::unique_ptr<passage> left_;
    int left_number_ = -1;
};

class layered final : public passage {
public:
    explicit layered(std::shared_ptr<layer> by) noexcept : layer_(std::move(by)) {}

    /// What was there before takes the operations on the wire.
    void put_above(std::unique_ptr<passage> below) noexcept {
        OURO_ASSERT(!below_);
        below_ = std::move(below);
        layer_below_ = dynamic_cast<layered*>(below_.get());
    }
    passage* below() const noexcept { return below_.get(); }

    bool submit(op& operation) noexcept override {
        begin(operation);
        fd_ = operation.fd();
        io_uring_sqe wanted{};
        operation.prepare(wanted);
        const bool reads = operation.needs() == readiness::readable;
        if (!reads && out_.ended())
            finish(operation, -EPIPE, 0);
        else if (reads ? !in_.start(operation, wanted) : !out_.start(operation, wanted))
            finish(operation, -EOPNOTSUPP, 0);
        return operation.in_flight();
    }

    void cancel(op& operation) noexcept override {
        if (!begin_cancel(operation)) return;
        if (operation.needs() == readiness::readable)
            in_.cancel_it();
        else
            out_.cancel_it();
    }

    int shutdown(descriptor& on, int how) noexcept override {
        if (!on.is_open()) return -EBADF;
        return end(on.number(), how);
    }

    bool is_idle() const noexcept override {
        return !in_.busy() && !out_.busy() && (!below_ || below_->is_idle());
    }

    bool leave(int number, std::unique_ptr<passage>& self) noexcept override {
        if (!out_.busy()) return below_ && below_->leave(number, below_);
        out_.be_left(number, std::move(self));
        return true;
    }

    buffer_pool& buffers() override { return executor::current().io().own_buffers(); }

    layer& on_top() noexcept { return *layer_; }
    outward& out() noexcept { return out_; }
    int fd() const noexcept { return fd_; }
    /// Ends one direction of what passes through here, and then of what lies below.
    int end(int number, int how) noexcept {
        if (how == SHUT_RD) return shut_wire(number, how);
        if (out_.ended()) return out_.end_answer();
        if (out_.asked()) return -EBUSY;
        fd_ = number;
        return out_.end(how);
    }
    /// Half closes of what lies below: a layer there has an end of its own; a pipe there ends with
    /// its stream.
    int shut_wire(int number, int how) noexcept {
        if (layer_below_) return layer_below_->end(number, how);
        return below_ ? 0 : executor::current().io().shutdown(number, how);
    }
    std::unique_ptr<passage> take_below() noexcept {
        layer_below_ = nullptr;
        return std::move(below_);
    }

    static void tell(op& operation, std::int32_t result, std::uint32_t flags) noexcept {
        finish(operation, result, flags);
    }

private:
    std::shared_ptr<layer> layer_;
    std::unique_ptr<passage> below_;
    layered* layer_below_ = nullptr;  // the same, if it is one
    int fd_ = -1;
    inward in_{*this};
    outward out_{*this};
};

int wire_op::fd() const noexcept { return of_.fd(); }

passage* wire_op::through() const noexcept { return of_.below(); }

void wire_op::tell(std::int32_t result, std::uint32_t flags) noexcept {
    layered::tell(*std::exchange(asked_, nullptr), result, flags);
}

// Receiving.

void inward::answer() noexcept {
    if (!of_.on_top().pending().empty()) of_.out().go_on();
}

bool inward::step() noexcept {
    layer& on = of_.on_top();
    if (what_ == what::receive) {  // it tells by itself whether it is ready
        const int taken = on.take(into_);
        answer();
        if (taken != -EAGAIN) {
            over(taken);
            return false;
        }
    } else if (on.ready()) {
        if (what_ == what::lease)
            lend();
        else
            over(POLLIN);
        return false;
    }
    space_ = on.space();
    if (space_.empty()) {
        over(-ENOMEM);
        return false;
    }
    space_ = space_.first(std::min(space_.size(), bytes_per_call_max));
    return done_at_once();
}

bool inward::took(std::int32_t result) noexcept {
    if (result < 0) {
        over(result);
        return false;
    }
    of_.on_top().received(static_cast<std::size_t>(result));
    OURO_ASSERT((result > 0 || of_.on_top().ready()) && "layer: an end that was received is ready");
    const bool goes_on = !asked_->cancel_requested() || of_.on_top().ready();
    answer();
    if (goes_on) return true;
    over(-ECANCELED);
    return false;
}

/// Clear bytes into a buffer of the worker's pool, which the completion names.
void inward::lend() noexcept {
    buffer_pool& pool = executor::current().io().own_buffers();
    const int id = pool.take();
    if (id < 0) {
        over(-ENOBUFS);
        return;
    }
    const int taken = of_.on_top().take(pool.memory(static_cast<std::uint16_t>(id)));
    answer();
    if (taken > 0) {
        tell(taken, completion_has_buffer | static_cast<std::uint32_t>(id) << 16);
        return;
    }
    pool.give_back(static_cast<std::uint16_t>(id));
    over(taken);
}

// Sending.

bool outward::step() noexcept {
    layer& on = of_.on_top();
    wire_ = on.pending();
    if (!wire_.empty()) {
        wire_ = wire_.first(std::min(wire_.size(), bytes_per_call_max));
        return done_at_once();
    }
    if (asked_) {
        if (polls_) {
            polling_ = true;
            return done_at_once();
        }
        if (taken_ == 0 && something_is_asked()) {
            taken_ = on.put(from_);
            OURO_ASSERT(taken_ != 0 && "layer: put() takes at least one byte or fails");
            if (taken_ > 0) return true;
        }
        over(taken_);
        return false;
    }
    if (ending_ >= 0 && !shut_) {
        shut_ = true;
        end_answer_ = on.end();
        if (!on.pending().empty()) return true;
        of_.shut_wire(fd(), ending_);
    }
    if (left_) over(0);
    return false;
}

bool outward::took(std::int32_t result) noexcept {
    if (std::exchange(polling_, false)) {
        over(result);
        return false;
    }
    if (result > 0) {
        of_.on_top().sent(static_cast<std::size_t>(result));
        if (left_) be_patient();
        const bool stopped = asked_ ? asked_->cancel_requested() : cancel_requested();
        if (!stopped || of_.on_top().pending().empty()) {
            if (shut_ && of_.on_top().pending().empty()) of_.shut_wire(fd(), ending_);
            return true;
        }
        result = -ECANCELED;
    }
    over(result == 0 ? -EPIPE : result);
    return false;
}

void outward::over(std::int32_t result) noexcept {
    if (asked_) {
        // What the layer has taken is sent sooner or later, unless the wire is broken.
        tell(result == -ECANCELED && taken_ > 0 ? taken_ : result, 0);
    } else if (left_) {
        if (flusher::linked()) flusher::unlink();
        if (armed()) executor::current().timers().disarm(*this);
        const auto self = std::move(left_);  // goes with the end of this
        close_inherited(left_number_, of_.take_below());
    }
}

}  // namespace

void stream::put_layer(std::shared_ptr<layer> on_top) {
    OURO_ASSERT(on_top && "stream: put_layer without a layer");
    if (!is_open()) throw_error(error_of(-EBADF));
    auto made = std::make_unique<layered>(std::move(on_top));
    layered& above = *made;
    above.put_above(fd_.pass_through(std::move(made)));
}

}  // namespace ouro::net
