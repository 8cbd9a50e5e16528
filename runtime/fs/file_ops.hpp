// file_ops.hpp: the operations on files. A ring does them itself; where there is none, a helper
// thread does, since files know no readiness.
#pragma once

#include <ouro/runtime/engine/blocking_pool.hpp>
#include <ouro/runtime/engine/op.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ouro {

/// A file's descriptor, and how many operations use it now: any number may.
struct file_handle {
    descriptor fd;
    unsigned users = 0;
};

/// One operation on a file, in the awaiting frame, for one await.
///
/// A request to cancel withdraws what has not begun. What has begun goes on to its end, since disks
/// do not take back, and its result is delivered.
class file_op : public op, public leaf, private blocking_job {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;
    int fd() const noexcept final { return on_ ? on_->fd.number() : -1; }

protected:
    /// `on` is null when the operation makes the descriptor.
    file_op(file_handle* on, const char* name) noexcept
        : blocking_job(blocking_lane::files), on_(on), name_(name) {}
    ~file_op() { assert_awaited(name_); }

    /// A count or descriptor, or the error.
    result<std::size_t> outcome() const noexcept {
        if (refused_) return refused_;
        if (result_ < 0) return error_of(result_);
        return static_cast<std::size_t>(result_);
    }
    result<void> success() const noexcept { return outcome().error(); }
    /// It was withdrawn or refused: nothing was done.
    bool not_done() const noexcept { return refused_ || result_ == -ECANCELED; }

private:
    /// False when what it works on is not open.
    virtual bool usable() const noexcept;
    /// Around the time in which the kernel or a helper thread uses the descriptor.
    virtual void begin_use() noexcept;
    virtual void end_use() noexcept;

    bool suspend(promise_base& frame) noexcept;
    readiness needs() const noexcept final { return readiness::always; }
    void cancel(cancel_reason) noexcept final;
    void completed(std::int32_t result, std::uint32_t flags) noexcept final;
    void work() noexcept final;
    void done() noexcept final;

    file_handle* on_;
    const char* name_;
    std::int32_t result_ = 0;
    std::error_code refused_;  // by the helper threads
};

/// Opens a file; see open(2) for flags and mode. The descriptor is closed on exec.
class [[nodiscard, gnu::warn_unused]] open_op final : public file_op {
public:
    explicit open_op(std::string path, int flags = O_RDONLY, mode_t mode = 0666) noexcept
        : file_op(nullptr, "open"), path_(std::move(path)), flags_(flags), mode_(mode) {}

    descriptor await_resume() const { return descriptor(static_cast<int>(outcome().value())); }
    result<descriptor> await_result() const noexcept {
        const auto number = outcome();
        if (!number) return number.error();
        return descriptor(static_cast<int>(*number));
    }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    std::string path_;
    int flags_;
    mode_t mode_;
};

/// Reads up to `into.size()` bytes at `offset`; 0 at the end of the file.
class [[nodiscard, gnu::warn_unused]] read_at_op final : public file_op {
public:
    read_at_op(file_handle& on, std::span<std::byte> into, std::uint64_t offset) noexcept
        : file_op(&on, "read"), into_(into), offset_(offset) {}

    std::size_t await_resume() const { return outcome().value(); }
    result<std::size_t> await_result() const noexcept { return outcome(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    std::span<std::byte> into_;
    std::uint64_t offset_;
};

/// Writes from the front of `from` at `offset`; yields how many bytes were written.
class [[nodiscard, gnu::warn_unused]] write_at_op final : public file_op {
public:
    write_at_op(file_handle& on, std::span<const std::byte> from, std::uint64_t offset) noexcept
        : file_op(&on, "write"), from_(from), offset_(offset) {}

    std::size_t await_resume() const { return outcome().value(); }
    result<std::size_t> await_result() const noexcept { return outcome(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    std::span<const std::byte> from_;
    std::uint64_t offset_;
};

/// Waits until what was written has reached the disk.
class [[nodiscard, gnu::warn_unused]] sync_file_op final : public file_op {
public:
    enum class what : std::uint8_t {
        everything,  ///< fsync
        data,        ///< fdatasync: without times and the like
    };

    sync_file_op(file_handle& on, what how_much) noexcept : file_op(&on, "sync"), what_(how_much) {}

    void await_resume() const { success().value(); }
    result<void> await_result() const noexcept { return success(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    what what_;
};

/// Asks for the size in bytes.
class [[nodiscard, gnu::warn_unused]] file_size_op final : public file_op {
public:
    explicit file_size_op(file_handle& on) noexcept : file_op(&on, "size") {}

    std::uint64_t await_resume() const {
        success().value();
        return found_.stx_size;
    }
    result<std::uint64_t> await_result() const noexcept {
        if (const auto failed = success(); !failed) return failed.error();
        return std::uint64_t{found_.stx_size};
    }

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    struct statx found_;  // written by the kernel
};

/// Closes and reports what only then comes to light, such as a full disk behind a network.
class [[nodiscard, gnu::warn_unused]] close_file_op final : public file_op {
public:
    explicit close_file_op(file_handle& on) noexcept : file_op(nullptr, "close"), closing_(on) {
        done_when_interrupted();
    }

    void await_resume() const { await_result().value(); }
    result<void> await_result() const noexcept {
        // An interrupted close has closed.
        const result<void> done = success();
        return done.error() == std::errc::interrupted ? result<void>() : done;
    }

private:
    bool usable() const noexcept override;
    void begin_use() noexcept override;
    void end_use() noexcept override;
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;

    file_handle& closing_;
    int number_ = -1;  // meanwhile it is nobody else's
};

}  // namespace ouro
