// io_await.hpp: an operation that a task awaits: the meeting of op and leaf.
#pragma once

#include <ouro/runtime/engine/op.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

#include <cerrno>
#include <cstdint>

namespace ouro {

/// One operation on one descriptor, in the awaiting frame, for one await.
class [[nodiscard, gnu::warn_unused]] io_await : public op, public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;
    int fd() const noexcept final { return on_->number(); }
    passage* through() const noexcept final { return on_->through(); }

protected:
    enum class side : std::uint8_t { read, write };

    /// `name` is what dumps say: "recv", "accept".
    io_await(descriptor& on, side which, const char* name) noexcept
        : on_(&on), name_(name), side_(which) {}
    ~io_await() { assert_awaited(name_); }

    readiness needs() const noexcept override {
        return side_ == side::read ? readiness::readable : readiness::writable;
    }

    std::int32_t result() const noexcept { return result_; }
    std::uint32_t flags() const noexcept { return flags_; }

    /// A count of bytes, or the error.
    ouro::result<std::size_t> bytes() const noexcept {
        if (result_ < 0) return error_of(result_);
        return static_cast<std::size_t>(result_);
    }
    ouro::result<void> success() const noexcept {
        return result_ < 0 ? ouro::result<void>(error_of(result_)) : ouro::result<void>();
    }

private:
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept final { request_cancel(); }
    void completed(std::int32_t result, std::uint32_t flags) noexcept final;

    descriptor* on_;
    const char* name_;
    std::int32_t result_ = 0;
    std::uint32_t flags_ = 0;
    side side_;
    bool starting_ = false;
};

/// The result of a system call that answers -1 and errno, as op::attempt wants it.
inline int errno_result(long result) noexcept {
    return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace ouro
