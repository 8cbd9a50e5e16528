#include <ouro/net/relay.hpp>

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>

#include <liburing.h>

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::size_t first_bytes = 4096;

/// Memory for what is on its way; grows for a sender that fills it.
class transit {
public:
    explicit transit(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {
        OURO_ASSERT(bytes_max > 0 && "relay: its buffers have at least one byte");
    }
    transit(const transit&) = delete;
    transit& operator=(const transit&) = delete;
    ~transit() { release(); }

    bool held() const noexcept { return memory_ != nullptr; }

    std::span<std::byte> space() {
        const std::size_t wanted = std::min(filled_ ? bytes_max_ : first_bytes, bytes_max_);
        if (bytes_ != wanted) {
            release();
            memory_ = static_cast<std::byte*>(frame_pool::allocate(wanted));
            bytes_ = wanted;
        }
        return {memory_, bytes_};
    }

    /// `n` bytes have come and gone. One that was filled is needed again if more is there.
    void passed(std::size_t n) noexcept {
        filled_ = n == bytes_;
        if (!filled_) release();
    }

    void release() noexcept {
        if (memory_) frame_pool::release(std::exchange(memory_, nullptr), std::exchange(bytes_, 0));
    }

private:
    const std::size_t bytes_max_;
    std::byte* memory_ = nullptr;
    std::size_t bytes_ = 0;
    bool filled_ = false;
};

/// Waits for bytes, and gives the memory back unless they are there already.
class arrival final : public io_await {
public:
    arrival(descriptor& on, transit& memory) noexcept
        : io_await(on, side::read, "relay"), memory_(memory) {
        attempt_first(memory.held());
    }

    void await_resume() const { success().value(); }

private:
    void prepare(io_uring_sqe& entry) noexcept override {
        memory_.release();
        io_uring_prep_poll_add(&entry, fd(), POLLIN);
    }
    int attempt() noexcept override {
        pollfd state{fd(), POLLIN, 0};
        const int ready = errno_result(::poll(&state, 1, 0));
        if (ready != 0) return ready;
        memory_.release();
        return -EAGAIN;
    }

    transit& memory_;
};

/// Moves bytes until `from` has ended, and counts those that `to` has taken.
task<> move_all(stream& from, stream& to, std::size_t buffer_bytes, std::uint64_t& count) {
    transit memory(buffer_bytes);
    for (;;) {
        co_await arrival(from.handle(), memory);
        const std::span<std::byte> buffer = memory.space();
        const std::size_t got = co_await recv_op(from.handle(), buffer, true);
        if (got == 0) co_return;
        co_await to.send_all(buffer.first(got));
        count += got;
        memory.passed(got);
    }
}

task<> one_way(stream& from, stream& to, std::size_t buffer_bytes, std::uint64_t& count) {
    co_await move_all(from, to, buffer_bytes, count);
    // A receiver that is gone already fails the other direction, if that still matters.
    static_cast<void>(to.shutdown(half::send));
}

}  // namespace

task<std::uint64_t> copy(stream& from, stream& to, relay_options options) {
    std::uint64_t count = 0;
    co_await move_all(from, to, options.buffer_bytes, count);
    co_return count;
}

task<relay_totals> relay(stream& first, stream& second, relay_options options,
                         relay_totals* totals) {
    relay_totals own;
    relay_totals& counted = totals ? *totals : own;
    auto forward = one_way(first, second, options.buffer_bytes, counted.forward);
    auto backward = one_way(second, first, options.buffer_bytes, counted.backward);
    co_await all_of(std::move(forward), std::move(backward));
    co_return counted;
}

}  // namespace ouro::net
