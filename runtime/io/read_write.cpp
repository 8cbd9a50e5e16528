#include <ouro/runtime/io/read_write.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/buffer_pool.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/io/io_await.hpp>
#include <ouro/runtime/io/ring/buffers.hpp>

#include <liburing.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace ouro {
namespace {

constexpr std::uint64_t where_it_stands = static_cast<std::uint64_t>(-1);

template <class T>
T* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

/// Makes the entry of a receive or send one of a read or write. False when there is none like it.
bool translate(io_uring_sqe& entry) noexcept {
    switch (entry.opcode) {
        case IORING_OP_POLL_ADD: return true;
        case IORING_OP_RECV: entry.opcode = IORING_OP_READ; break;
        case IORING_OP_SEND: entry.opcode = IORING_OP_WRITE; break;
        case IORING_OP_SENDMSG: {
            const msghdr& message = *pointer<msghdr>(entry.addr);
            if (message.msg_controllen > 0 || message.msg_name) return false;
            entry.opcode = IORING_OP_WRITEV;
            entry.addr = reinterpret_cast<std::uint64_t>(message.msg_iov);
            entry.len = static_cast<std::uint32_t>(message.msg_iovlen);
            break;
        }
        default: return false;
    }
    return true;
}

/// One direction: at most one operation at a time.
class half final : public op {
public:
    explicit half(readiness side) noexcept : side_(side) {}

    op* asked() const noexcept { return asked_; }

    /// Begins what `by` wants. False when it cannot.
    bool start(op& by) noexcept {
        OURO_ASSERT(asked_ == nullptr && "one operation for each direction");
        io_uring_sqe entry{};
        by.prepare(entry);
        if (!translate(entry)) return false;
        fd_ = by.fd();
        what_ = entry.opcode;
        picks_ = entry.flags & IOSQE_BUFFER_SELECT;
        memory_ = pointer<void>(entry.addr);
        length_ = entry.len;
        polling_ = false;
        picked_ = -1;
        asked_ = &by;
        submit();
        return true;
    }
    void cancel_it() noexcept { request_cancel(); }

    int fd() const noexcept override { return fd_; }
    readiness needs() const noexcept override { return side_; }

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        if (polling_ || what_ == IORING_OP_POLL_ADD) {
            io_uring_prep_poll_add(&entry, fd_, events());
            return;
        }
        io_uring_prep_rw(what_, &entry, fd_, memory_, length_, where_it_stands);
        if (!picks_) return;
        entry.flags |= IOSQE_BUFFER_SELECT;
        entry.buf_group = buffer_group;
    }

    int attempt() noexcept override {
        switch (what_) {
            case IORING_OP_READ:
                return picks_ ? attempt_pick() : errno_result(::read(fd_, memory_, length_));
            case IORING_OP_WRITE: return errno_result(::write(fd_, memory_, length_));
            case IORING_OP_WRITEV:
                return errno_result(
                    ::writev(fd_, static_cast<const iovec*>(memory_), static_cast<int>(length_)));
            default: break;
        }
        pollfd state{fd_, static_cast<short>(events()), 0};
        const int ready = errno_result(::poll(&state, 1, 0));
        return ready == 0 ? -EAGAIN : ready;
    }

    /// Reads into a buffer of the worker's pool, as a ring does.
    int attempt_pick() noexcept {
        OURO_ASSERT(picked_ < 0);
        buffer_pool& pool = executor::current().io().buffers();
        const int id = pool.take();
        if (id < 0) return -ENOBUFS;
        const std::span<std::byte> into = pool.memory(static_cast<std::uint16_t>(id));
        const int got = errno_result(::read(fd_, into.data(), into.size()));
        if (got > 0)
            picked_ = id;
        else
            pool.give_back(static_cast<std::uint16_t>(id));
        return got;
    }

    void completed(std::int32_t result, std::uint32_t flags) noexcept override;

    unsigned events() const noexcept { return side_ == readiness::readable ? POLLIN : POLLOUT; }

    readiness side_;
    int fd_ = -1;
    op* asked_ = nullptr;
    int picked_ = -1;  // the buffer that an attempt read into
    std::uint32_t length_ = 0;
    void* memory_ = nullptr;
    std::uint8_t what_ = IORING_OP_POLL_ADD;
    bool picks_ = false;    // a ring, or an attempt, picks the buffer
    bool polling_ = false;  // instead, since it would have waited
};

class read_write final : public passage {
public:
    explicit read_write(bool adopted) noexcept : adopted_(adopted) {}

    bool submit(op& operation) noexcept override {
        begin(operation);
        if (!side_of(operation).start(operation)) finish(operation, -EOPNOTSUPP, 0);
        return operation.in_flight();
    }

    void cancel(op& operation) noexcept override {
        if (begin_cancel(operation)) side_of(operation).cancel_it();
    }

    int shutdown(descriptor& on, int how) noexcept override {
        const int flags = ::fcntl(on.number(), F_GETFL);
        if (flags < 0) return -errno;
        const int mode = flags & O_ACCMODE;
        const bool reads = mode != O_WRONLY, writes = mode != O_RDONLY;
        const bool ends_reads = how != SHUT_WR, ends_writes = how != SHUT_RD;
        if ((!ends_reads || !reads) && (!ends_writes || !writes)) return 0;
        if ((reads && !ends_reads) || (writes && !ends_writes)) return -EOPNOTSUPP;
        if (!on.idle()) return -EBUSY;
        on.close_at_once();
        return 0;
    }

    bool leave(int number, std::unique_ptr<passage>&) noexcept override {
        if (adopted_) executor::current().io().forget(number);  // for others who have it open, too
        return false;
    }

    static void tell(op& operation, std::int32_t result, std::uint32_t flags) noexcept {
        finish(operation, result, flags);
    }

private:
    half& side_of(const op& operation) noexcept {
        return operation.needs() == readiness::readable ? reads_ : writes_;
    }

    const bool adopted_;
    half reads_{readiness::readable};
    half writes_{readiness::writable};
};

void half::completed(std::int32_t result, std::uint32_t flags) noexcept {
    // A ring does not wait where somebody, perhaps another process, made it non-blocking.
    const bool would_wait = !polling_ && result == -EAGAIN;
    const bool is_ready = polling_ && result >= 0;
    if (would_wait || is_ready || result == -EINTR) {
        polling_ = would_wait || (polling_ && !is_ready);
        if (!asked_->cancel_requested()) {
            submit();
            return;
        }
        result = -ECANCELED;
    }
    if (picked_ >= 0 && result > 0)
        flags |= completion_has_buffer | static_cast<std::uint32_t>(picked_) << 16;
    read_write::tell(*std::exchange(asked_, nullptr), result, flags);
}

}  // namespace

std::unique_ptr<passage> make_read_write(bool adopted) {
    return std::make_unique<read_write>(adopted);
}

}  // namespace ouro
