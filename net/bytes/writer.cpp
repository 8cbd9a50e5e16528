// How a writer's bytes get out, and what may die when.
//
//   write ──> queue ──turn end──> vectors ──submit──> kernel ──completed──> queue shrinks ──┐
//               ^                                                    again, if any is left │
//               └──────────────────────────────────────────────────────────────────────────┘
//
//  1. The core is the operation: it lives on the heap at a fixed address, and the writer points to
//     it. At most one send is in flight; it names chunks at the front of the queue, which stay
//     there until its completion says how much was taken.
//  2. While a send is in flight the last chunk may be extended, also one that the send names: what
//     the kernel was given is not touched, and bytes are counted, not pieces.
//  3. Sends are submitted at the end of a turn only. A completion schedules the next one, so what
//     tasks write upon it goes along.
//  4. A writer that dies with a send in flight leaves the core behind as an orphan: it has asked
//     for a cancel, keeps chunks and vectors, and frees itself upon its completion. If the
//     descriptor dies before that, the orphan inherits its number and closes it then.
//  5. The first error, closing or death resumes everybody who waits; afterwards nobody in `waits_`
//     exists and the queue is empty.
#include <ouro/net/bytes/writer.hpp>

#include <ouro/net/bytes/chunk_queue.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/io/io_await.hpp>

#include <liburing.h>

#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace ouro::net {
namespace {

// With 256 pieces a call costs little per piece, and their vectors fit what the pool keeps.
constexpr std::size_t vectors_max = 256;
constexpr std::size_t vectors_inside = 4;

constexpr std::size_t first_tail_bytes = 1024 - sizeof(block);

}  // namespace

class writer_core final : public op, public flusher, public descriptor_heir {
public:
    writer_core(descriptor& to, const writer_options& options) noexcept
        : on_(&to), options_(options) {
        OURO_ASSERT(options.low_bytes <= options.high_bytes &&
                    "writer_options: low_bytes is at most high_bytes");
        OURO_ASSERT(options.high_bytes <= options.pending_bytes_max &&
                    "writer_options: high_bytes is at most pending_bytes_max");
    }

    static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    static void operator delete(void* core, std::size_t size) noexcept {
        frame_pool::release(core, size);
    }

    bool accepts(std::size_t n) const noexcept {
        return open_ && n <= options_.pending_bytes_max - queue_.bytes();
    }
    void push(const chunk& piece);
    void push_copy(std::span<const std::byte> bytes);
    void append_copy(std::span<const std::byte> bytes);
    std::span<std::byte> room(std::size_t n);
    void commit(std::size_t n);
    void retract(std::size_t n) noexcept {
        OURO_ASSERT(filling_ && "writer: a source alone takes back what it has written");
        queue_.retract(n);
    }

    std::size_t pending() const noexcept { return queue_.bytes(); }
    /// The position in the stream behind what was written.
    std::uint64_t written() const noexcept { return sent_ + pending(); }
    std::uint64_t sent() const noexcept { return sent_; }
    const writer_options& options() const noexcept { return options_; }
    std::error_code error() const noexcept { return error_; }
    int fd() const noexcept override { return on_ ? on_->number() : number_; }
    passage* through() const noexcept override { return on_ ? on_->through() : inherited_.get(); }

    void pull(writer_source& from) noexcept {
        OURO_ASSERT((!source_ || source_ == &from) && "writer: it has one source");
        source_ = &from;
        schedule();
    }

    void close() noexcept { open_ = false; }
    /// True when nothing is left to wait for.
    bool reached(const writer::wait_op& wait) const noexcept;
    void add(writer::wait_op& wait) noexcept {
        OURO_ASSERT(!error_ && "writer: nobody waits for one that has ended");
        waits_.push_back(wait);
    }

    /// The writer dies; so does this, now or upon the completion of what is in flight.
    void abandon() noexcept;

private:
    void schedule() noexcept {
        if (!in_flight() && !filling_) executor::current().at_turn_end(*this);
    }
    void flush() noexcept override;
    void open_tail(std::size_t bytes);
    void gather() noexcept;
    void release_vectors() noexcept;
    void fail(std::error_code error) noexcept;
    void wake() noexcept;
    void end_as_orphan() noexcept;

    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;
    readiness needs() const noexcept override { return readiness::writable; }
    void completed(std::int32_t result, std::uint32_t flags) noexcept override;
    void inherit(int number, std::unique_ptr<passage> through) noexcept override {
        OURO_ASSERT(orphaned_ && in_flight());
        number_ = number;
        inherited_ = std::move(through);
        on_ = nullptr;
    }

    // In the order of use: with many writers, what counts is how much of each has to be touched.
    descriptor* on_;   // null when the descriptor died before this orphan
    int number_ = -1;  // its number, if so
    bool open_ = true;
    bool orphaned_ = false;
    bool filling_ = false;
    std::uint16_t pieces_ = 0;  // how many the send in flight names
    std::uint64_t sent_ = 0;
    open_block tail_;  // where copies go
    intrusive_list<writer::wait_op, writer::wait_op> waits_;
    chunk_queue queue_;
    writer_options options_;
    writer_source* source_ = nullptr;  // what has more to write
    std::size_t tail_bytes_ = first_tail_bytes;
    std::error_code error_;
    std::unique_ptr<passage> inherited_;  // of the descriptor that died, if there was one

    // For more than one piece.
    msghdr message_{};
    iovec* vectors_ = inside_;
    iovec inside_[vectors_inside];
};

// Appending.

void writer_core::push(const chunk& piece) {
    queue_.push(piece);
    schedule();
}

void writer_core::push_copy(std::span<const std::byte> bytes) {
    if (queue_.append(tail_, bytes)) return schedule();  // nearly always, within a batch
    const std::size_t before = queue_.bytes();
    try {
        append_copy(bytes);
    } catch (const std::bad_alloc&) {
        queue_.retract(queue_.bytes() - before);  // all or nothing
        throw;
    }
}

void writer_core::append_copy(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        if (tail_.free().empty()) open_tail(bytes.size());
        const std::size_t n = std::min(bytes.size(), tail_.free().size());
        const std::size_t begin = tail_.used();
        tail_.append(bytes.first(n));
        push(tail_.share(begin, n));
        bytes = bytes.subspan(n);
    }
}

// A second block within one batch shows that the first was too small; the next batch begins with
// a larger one. Blocks are large only where batches are.
void writer_core::open_tail(std::size_t bytes) {
    if (tail_.capacity() > 0) tail_bytes_ = std::min(4 * tail_bytes_, block_pool::full_bytes);
    tail_ = open_block(std::max(tail_bytes_, std::min(bytes, block_pool::full_bytes)));
}

std::span<std::byte> writer_core::room(std::size_t n) {
    if (n > tail_.free().size()) {
        open_tail(n);
        if (n > tail_.free().size()) tail_ = open_block(n);
    }
    const std::span<std::byte> free = tail_.free();
    return free.first(std::min(free.size(), options_.pending_bytes_max - pending()));
}

void writer_core::commit(std::size_t n) {
    const std::size_t begin = tail_.used();
    tail_.append(n);
    push(tail_.share(begin, n));
}

// Sending.

void writer_core::flush() noexcept {
    if (in_flight()) return;
    OURO_ASSERT(!filling_ && !orphaned_);
    if (source_ && open_) {
        filling_ = true;  // what it writes leaves now, and need not be scheduled
        writer_source* const source = std::exchange(source_, nullptr);
        if (source->fill()) source_ = source;
        filling_ = false;
    }
    if (queue_.empty()) return;
    if (!on_->begin_write(*this)) {
        fail(errc::closed);
        wake();
        return;
    }
    gather();
    submit(on_->through());
}

void writer_core::gather() noexcept {
    std::size_t count = std::min(queue_.size(), vectors_max);
    if (count > vectors_inside) {
        try {
            const std::size_t bytes = std::bit_ceil(count) * sizeof(iovec);
            vectors_ = static_cast<iovec*>(frame_pool::allocate(bytes));
        } catch (const std::bad_alloc&) {
            count = vectors_inside;  // the rest leaves with the next send
        }
    }
    pieces_ = static_cast<std::uint16_t>(count);
    if (count == 1) return;
    queue_.gather({vectors_, count});
    message_.msg_iov = vectors_;
    message_.msg_iovlen = count;
}

void writer_core::release_vectors() noexcept {
    if (pieces_ > vectors_inside)
        frame_pool::release(vectors_, std::bit_ceil(std::size_t{pieces_}) * sizeof(iovec));
    vectors_ = inside_;
}

void writer_core::prepare(io_uring_sqe& entry) noexcept {
    const chunk& front = queue_.front();
    if (pieces_ == 1)
        io_uring_prep_send(&entry, fd(), front.data(), front.size(), MSG_NOSIGNAL);
    else
        io_uring_prep_sendmsg(&entry, fd(), &message_, MSG_NOSIGNAL);
}

int writer_core::attempt() noexcept {
    constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    const chunk& front = queue_.front();
    if (pieces_ == 1) return errno_result(::send(fd(), front.data(), front.size(), flags));
    return errno_result(::sendmsg(fd(), &message_, flags));
}

void writer_core::completed(std::int32_t result, std::uint32_t) noexcept {
    if (pieces_ > 1) release_vectors();
    if (orphaned_) {
        end_as_orphan();
        return;
    }
    on_->end_write();
    if (result > 0) {
        sent_ += static_cast<std::size_t>(result);
        queue_.consume(static_cast<std::size_t>(result));
        if (queue_.empty() && tail_.capacity() > 0) tail_ = {};
    } else if (result == 0 || result == -ECANCELED) {
        fail(errc::closed);  // whoever closes the stream asked for it
    } else if (result != -EINTR) {
        fail(error_of(result));
    }
    if (!queue_.empty() || source_) schedule();
    wake();
}

void writer_core::fail(std::error_code error) noexcept {
    open_ = false;
    source_ = nullptr;
    error_ = error;
    queue_.clear();
    tail_ = {};
}

// Waiting.

bool writer_core::reached(const writer::wait_op& wait) const noexcept {
    switch (wait.goal_) {
        case writer::wait_op::goal::flushed: return sent_ >= wait.mark_;
        case writer::wait_op::goal::low: return pending() <= options_.low_bytes;
        case writer::wait_op::goal::closed: return pending() == 0;
    }
    return true;
}

void writer_core::wake() noexcept {
    if (waits_.empty()) return;
    waits_.for_each([this](writer::wait_op& wait) {
        if (error_ || reached(wait)) wait.finish(error_);
    });
    OURO_ASSERT((!error_ || waits_.empty()) && "writer: everybody is told of its end");
}

// The end.

void writer_core::abandon() noexcept {
    OURO_ASSERT(!orphaned_);
    OURO_ASSERT(!filling_ && "writer: destroyed inside its source's fill()");
    if (flusher::linked()) flusher::unlink();
    if (!error_) error_ = errc::closed;
    source_ = nullptr;
    wake();
    if (!in_flight()) {
        delete this;
        return;
    }
    orphaned_ = true;
    on_->leave_write_to(*this);
    request_cancel();  // may complete, and thus free, at once
}

void writer_core::end_as_orphan() noexcept {
    OURO_ASSERT(waits_.empty() && error_);
    if (on_)
        on_->end_write();
    else
        close_inherited(number_, std::move(inherited_));
    delete this;
}

// The writer itself.

writer::writer(descriptor& to, const writer_options& options)
    : core_(new writer_core(to, options)) {}

writer::~writer() {
    if (core_) core_->abandon();
}

bool writer::write(std::span<const std::byte> bytes) {
    if (!core_->accepts(bytes.size())) return false;
    core_->push_copy(bytes);
    return true;
}

bool writer::write(const chunk& shared) {
    if (!core_->accepts(shared.size())) return false;
    if (!shared.empty()) core_->push(shared);
    return true;
}

std::span<std::byte> writer::prepare(std::size_t n) {
    OURO_ASSERT(n > 0 && "writer: prepare() for at least one byte");
    if (!core_->accepts(n)) return {};
    return core_->room(n);
}

void writer::commit(std::size_t n) {
    if (n > 0) core_->commit(n);
}

void writer::retract(std::size_t n) noexcept { core_->retract(n); }

void writer::pull(writer_source& from) noexcept { core_->pull(from); }

std::size_t writer::pending_bytes() const noexcept { return core_->pending(); }

std::uint64_t writer::sent_bytes() const noexcept { return core_->sent(); }

std::uint64_t writer::offered_bytes() const noexcept {
    return core_->in_flight() ? core_->written() : core_->sent();
}

bool writer::above_high() const noexcept { return core_->pending() > core_->options().high_bytes; }

std::error_code writer::error() const noexcept { return core_->error(); }

writer::wait_op writer::flush() noexcept { return {*core_, wait_op::goal::flushed}; }

writer::wait_op writer::below_low() noexcept { return {*core_, wait_op::goal::low}; }

writer::wait_op writer::close() noexcept {
    core_->close();
    return {*core_, wait_op::goal::closed};
}

// Its waits.

writer::wait_op::wait_op(writer_core& on, goal what) noexcept
    : core_(&on), mark_(on.written()), goal_(what) {}

bool writer::wait_op::suspend(promise_base& frame) noexcept {
    note_awaited(frame);
    if (frame.owner->cancelled()) {
        error_ = errc::cancelled;
        return false;
    }
    error_ = core_->error();
    if (error_ || core_->reached(*this)) return executor::current().answered_at_once(frame);
    wait_regardless(frame);
    core_->add(*this);
    return true;
}

void writer::wait_op::cancel(cancel_reason) noexcept { finish(errc::cancelled); }

void writer::wait_op::finish(std::error_code error) noexcept {
    unlink();
    error_ = error;
    resume();
}

const char* writer::wait_op::name() const noexcept {
    return goal_ == goal::flushed  ? "flush"
           : goal_ == goal::closed ? "close of a writer"
                                   : "room in a writer";
}

void writer::wait_op::describe(leaf_description& into) const {
    into.text(std::string(name()) + " fd " + std::to_string(core_->fd()) + ", " +
              std::to_string(core_->pending()) + " bytes pending");
}

}  // namespace ouro::net
