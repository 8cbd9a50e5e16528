// send_all.hpp: sends everything it is given, in as many calls as the kernel wants.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/op.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ouro::net {

/// Resumes when the kernel has taken the last byte. After an error or a cancellation it is unknown
/// how many bytes have left, so that the connection is good for closing only.
///
/// One operation that submits itself again after a short send; no frame, no allocation. The ring
/// is asked to go on by itself, so that this is rare there.
class [[nodiscard, gnu::warn_unused]] send_all_op final : public op, public leaf, private flusher {
public:
    send_all_op(descriptor& on, std::span<const std::byte> from) noexcept
        : on_(on), rest_(from), total_(from.size()) {}
    ~send_all_op() { assert_awaited("send_all"); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    void await_resume() const { await_result().value(); }
    result<void> await_result() const noexcept {
        return error_ == 0 ? result<void>() : result<void>(error_of(error_));
    }

    void describe(leaf_description& into) const override;
    void stop() noexcept override;

private:
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;
    readiness needs() const noexcept override { return readiness::writable; }
    int fd() const noexcept override { return on_.number(); }
    passage* through() const noexcept override { return on_.through(); }
    void completed(std::int32_t result, std::uint32_t flags) noexcept override;
    void cancel(cancel_reason) noexcept override { stop(); }
    void flush() noexcept override;

    bool suspend(promise_base& frame) noexcept;
    [[nodiscard]] bool advance() noexcept;
    [[nodiscard]] bool take(std::int32_t result) noexcept;
    void finish() noexcept;
    std::size_t next_bytes() const noexcept;

    descriptor& on_;
    std::span<const std::byte> rest_;
    std::size_t total_;
    std::int32_t error_ = 0;   // -errno
    std::int32_t result_ = 0;  // of an operation that completed inside submit()
    bool submitting_ = false;
};

}  // namespace ouro::net
