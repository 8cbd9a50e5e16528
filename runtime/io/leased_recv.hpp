// leased_recv.hpp: receiving into a buffer of the worker's pool.
#pragma once

#include <ouro/runtime/engine/op.hpp>
#include <ouro/runtime/io/buffer_pool.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstdint>
#include <utility>

namespace ouro {

/// Receives what is there, up to one buffer of the pool (reactor_options::receive_buffer_bytes),
/// and yields a lease of it; an empty lease means the peer closed its side.
///
/// While nothing has come no buffer is held, so idle connections cost none. When the pool is used
/// up, it waits until a lease ends somewhere on this worker. A descriptor may hold
/// reactor_options::leases_per_descriptor leases at a time; beyond that it fails with
/// errc::no_buffers at once. It throws errc::cancelled, also while it waits for a buffer; data
/// that came first is delivered.
class [[nodiscard, gnu::warn_unused]] leased_recv_op final : public op,
                                                             public leaf,
                                                             private buffer_waiter {
public:
    explicit leased_recv_op(descriptor& on) noexcept : on_(&on) {}
    ~leased_recv_op() { assert_awaited("recv"); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    lease await_resume() {
        if (error_) throw_error(error_);
        return std::move(received_);
    }
    result<lease> await_result() noexcept {
        if (error_) return error_;
        return std::move(received_);
    }

    void describe(leaf_description& into) const override;
    int fd() const noexcept override { return on_->number(); }
    passage* through() const noexcept override { return on_->through(); }
    void stop() noexcept override;

private:
    // What the operation in flight does, or what is waited for when none is.
    enum class stage : std::uint8_t {
        receive,  // into a buffer that the kernel or an attempt chooses, or into `buffer_`
        poll,     // found no buffer: wait for data before waiting for a buffer
        buffer,   // nothing in flight; in the pool's list
    };

    bool suspend(promise_base& frame) noexcept;
    void start() noexcept;
    void go(stage next) noexcept;
    void prepare(io_uring_sqe& entry) noexcept override;
    int attempt() noexcept override;
    int attempt_receive() noexcept;
    readiness needs() const noexcept override { return readiness::readable; }
    void completed(std::int32_t result, std::uint32_t flags) noexcept override;
    void polled(std::int32_t result) noexcept;
    void receive_now() noexcept;
    void received(std::int32_t result) noexcept;
    void finish(std::error_code error) noexcept;
    void buffer_returned() noexcept override;
    void cancel(cancel_reason) noexcept override { stop(); }

    descriptor* on_;
    buffer_pool* pool_ = nullptr;
    lease received_;
    std::error_code error_;
    int buffer_ = -1;  // taken and not lent
    stage stage_ = stage::receive;
    bool woken_ = false;  // owes the pool a buffer used or a wake passed on
    bool asked_to_stop_ = false;
    bool starting_ = false;
    bool done_ = false;
};

}  // namespace ouro
