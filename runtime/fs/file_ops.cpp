#include <ouro/runtime/fs/file_ops.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/io_await.hpp>

#include <liburing.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ouro {
namespace {

/// The most that one call moves: results are 32 bits wide.
constexpr std::size_t transfer_max = std::size_t{1} << 30;

template <class Byte>
unsigned length_of(std::span<Byte> bytes) noexcept {
    return static_cast<unsigned>(std::min(bytes.size(), transfer_max));
}

}  // namespace

bool file_op::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        result_ = -ECANCELED;
        return false;
    }
    if (!usable()) {
        result_ = -EBADF;
        return answered_at_once();
    }
    begin_use();
    if (executor::current().io().performs_files()) {
        submit();
        return true;
    }
    const auto taken = submit_blocking(*this);
    if (taken) return true;
    refused_ = taken.error();
    end_use();
    unwait();
    return false;
}

bool file_op::usable() const noexcept { return !on_ || on_->fd.is_open(); }

void file_op::begin_use() noexcept {
    if (on_) ++on_->users;
}

void file_op::end_use() noexcept {
    if (on_) --on_->users;
}

void file_op::completed(std::int32_t result, std::uint32_t) noexcept {
    result_ = result;
    done();
}

void file_op::work() noexcept {
    do result_ = attempt();
    while (result_ == -EINTR);
}

void file_op::done() noexcept {
    end_use();
    resume();
}

void file_op::cancel(cancel_reason) noexcept {
    if (in_flight()) {
        request_cancel();
    } else if (withdraw_blocking(*this)) {
        result_ = -ECANCELED;
        done();
    }
}

void file_op::describe(leaf_description& into) const {
    into.text(fd() < 0 ? name_ : std::string(name_) + " fd " + std::to_string(fd()));
}

void open_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_openat(&entry, AT_FDCWD, path_.c_str(), flags_ | O_CLOEXEC, mode_);
}

int open_op::attempt() noexcept {
    return errno_result(::open(path_.c_str(), flags_ | O_CLOEXEC, mode_));
}

void read_at_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_read(&entry, fd(), into_.data(), length_of(into_), offset_);
}

int read_at_op::attempt() noexcept {
    return errno_result(::pread(fd(), into_.data(), length_of(into_), static_cast<off_t>(offset_)));
}

void write_at_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_write(&entry, fd(), from_.data(), length_of(from_), offset_);
}

int write_at_op::attempt() noexcept {
    return errno_result(
        ::pwrite(fd(), from_.data(), length_of(from_), static_cast<off_t>(offset_)));
}

void sync_file_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_fsync(&entry, fd(), what_ == what::data ? IORING_FSYNC_DATASYNC : 0);
}

int sync_file_op::attempt() noexcept {
    return errno_result(what_ == what::data ? ::fdatasync(fd()) : ::fsync(fd()));
}

void file_size_op::prepare(io_uring_sqe& entry) noexcept {
    io_uring_prep_statx(&entry, fd(), "", AT_EMPTY_PATH, STATX_SIZE, &found_);
}

int file_size_op::attempt() noexcept {
    return errno_result(::statx(fd(), "", AT_EMPTY_PATH, STATX_SIZE, &found_));
}

bool close_file_op::usable() const noexcept { return closing_.fd.is_open(); }

void close_file_op::begin_use() noexcept {
    OURO_ASSERT(closing_.users == 0 &&
                "file: closed while an operation is in flight: await that first");
    number_ = closing_.fd.release();
}

void close_file_op::end_use() noexcept {
    if (not_done()) closing_.fd = descriptor(number_);
}

void close_file_op::prepare(io_uring_sqe& entry) noexcept { io_uring_prep_close(&entry, number_); }

int close_file_op::attempt() noexcept {
    const int closed = errno_result(::close(number_));
    return closed == -EINTR ? 0 : closed;  // never twice: the number may be somebody else's by now
}

}  // namespace ouro
