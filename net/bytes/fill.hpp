// fill.hpp: receiving again and again until what was waited for is there.
#pragma once

#include <ouro/runtime/engine/op.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

namespace ouro::net {

/// What the reads of reader and block_reader are made of: an operation in the awaiting frame that
/// receives into its reader's memory until the reader is satisfied. The frame is resumed once, at
/// the end, however many receives it took; not at all when everything was there before.
///
/// A cancelled one ends when its receive has ended. What had arrived stays with the reader.
class [[nodiscard, gnu::warn_unused]] fill_await : public op, public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;
    int fd() const noexcept final { return on_->number(); }
    passage* through() const noexcept final { return on_->through(); }
    void stop() noexcept final;

protected:
    /// `filled` says that the reader's last receive filled its space: more is probably there.
    fill_await(descriptor& on, const char* name, bool filled) noexcept : on_(&on), name_(name) {
        attempt_first(filled);
    }
    ~fill_await() { assert_awaited(name_); }

    /// What looking at the reader's bytes came to.
    enum class progress : std::uint8_t {
        done,       ///< what was asked for is there, and the operation has taken it
        need_more,  ///< receive
        too_long,   ///< what was asked for is longer than its limit
    };

    /// Looks; `ended` says that nothing more will come.
    virtual progress look() noexcept = 0;
    /// Where to receive; asked after need_more, and empty only when there is no memory: then the
    /// read ends with std::errc::not_enough_memory, and what had arrived stays.
    virtual std::span<std::byte> space() noexcept = 0;
    /// `n` bytes were received there; 0 when the stream has ended.
    virtual void received(std::size_t n) noexcept = 0;
    virtual bool ended() const noexcept = 0;

    /// Why there is nothing, or zero. errc::end_of_stream when it ended before `look` was done.
    std::error_code error() const noexcept { return error_; }

private:
    bool suspend(promise_base& frame) noexcept;
    bool over() noexcept;
    bool receive() noexcept;
    void take() noexcept;

    void prepare(io_uring_sqe& entry) noexcept final;
    int attempt() noexcept final;
    readiness needs() const noexcept final { return readiness::readable; }
    void completed(std::int32_t result, std::uint32_t flags) noexcept final;
    void cancel(cancel_reason) noexcept final;

    descriptor* on_;
    const char* name_;
    std::span<std::byte> into_;
    std::error_code error_;
    std::int32_t result_ = 0;
    bool submitting_ = false;  // a completion now belongs to submit(), which is still running
    bool asked_to_stop_ = false;
};

}  // namespace ouro::net
