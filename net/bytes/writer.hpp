// writer.hpp: batched writing: what is written in one turn of the loop leaves in one send.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace ouro::net {

struct writer_options {
    std::size_t high_bytes = 256 * 1024;               ///< more pending than that: producers wait …
    std::size_t low_bytes = 64 * 1024;                 ///< … until it is no more than that
    std::size_t pending_bytes_max = 16 * 1024 * 1024;  ///< a write that would exceed it is refused
};

class writer_core;

/// Writes at the last moment: asked when the writer is about to send, with nothing in flight.
///
/// What waits here and is not yet written can still be taken back; a session's requests do.
class writer_source {
public:
    /// Writes what is there, or some of it. Called again when that has been sent, as long as the
    /// answer is true: more is waiting.
    virtual bool fill() noexcept = 0;

protected:
    ~writer_source() = default;
};

/// Sends what is written to it on a stream: in order, at the end of the turn, in one call.
///
/// Writing never waits. It takes a copy of small pieces and a share of chunks, and returns; one
/// send is in flight at a time, and whatever is written meanwhile leaves together with the next.
/// A producer that must not run away waits with `below_low` when `above_high`; whoever does not is
/// stopped by `pending_bytes_max`.
///
/// The first error ends it: what is pending is dropped, nothing more is taken, and everybody who
/// waits or asks is told that error. When the stream is closed, or somebody closes it in the
/// middle, that error is errc::closed.
///
/// The stream must stay where it is while the writer lives, and nobody else may send on it.
/// Destroying a writer drops what is pending, so `co_await out.close()` comes first where the end
/// matters. A send that is in flight then is cancelled and left to itself: it keeps its bytes, and
/// the descriptor, until the kernel has let go of them. Nothing more can be sent on that stream,
/// which may be closed or destroyed at once.
///
/// Allocates nothing per write once the thread's pools are warm. An idle writer holds no buffer.
class writer {
public:
    class wait_op;

    explicit writer(stream& to, const writer_options& options = {})
        : writer(to.handle(), options) {}
    explicit writer(descriptor& to, const writer_options& options = {});
    writer(writer&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    writer& operator=(writer&&) = delete;
    ~writer();

    /// Appends a copy. False, and nothing is taken, when it has ended (`error()` or close()) or
    /// when `pending_bytes_max` would be exceeded. Throws std::bad_alloc, and then, too, nothing
    /// is taken; so do the other ways of writing.
    [[nodiscard]] bool write(std::span<const std::byte> bytes);
    [[nodiscard]] bool write(std::string_view text) {
        return write(std::as_bytes(std::span(text)));
    }
    /// Appends a share of the bytes, copying nothing. One that continues what was written last is
    /// sent as one piece with it.
    [[nodiscard]] bool write(const chunk& shared);

    /// For encoders: memory for at least `n` > 0 bytes, of which `commit` appends what was filled
    /// in, with no await in between. Empty when a write of `n` bytes would be refused.
    [[nodiscard]] std::span<std::byte> prepare(std::size_t n);
    void commit(std::size_t n);

    /// Takes back the last `n` bytes that were written. For a source, in its `fill`: nothing is in
    /// flight then.
    void retract(std::size_t n) noexcept;

    /// Has `from` asked for more at the end of this turn, or once what is in flight has been sent.
    /// The source must outlive the writer or its end, and nothing else may write.
    void pull(writer_source& from) noexcept;

    /// Bytes that the kernel has not taken yet.
    std::size_t pending_bytes() const noexcept;
    /// Bytes that the kernel has taken since the writer was made.
    std::uint64_t sent_bytes() const noexcept;
    /// The same and those it may be taking now: a send is in flight, and how much of it has left is
    /// not known.
    std::uint64_t offered_bytes() const noexcept;
    bool above_high() const noexcept;
    /// Why it has ended; zero while it has not.
    std::error_code error() const noexcept;

    /// Waits until the kernel has taken everything that was written before this call.
    wait_op flush() noexcept;
    /// Waits until no more than `low_bytes` are pending.
    wait_op below_low() noexcept;
    /// Takes nothing more from now on and waits until the kernel has taken everything. The stream
    /// stays open; limit the time with timeout(), since the peer may not read.
    wait_op close() noexcept;

private:
    writer_core* core_;
};

/// Waits for a writer; several tasks may wait for one. When the writer is destroyed meanwhile, they
/// get errc::closed.
class [[nodiscard, gnu::warn_unused]] writer::wait_op final : public leaf,
                                                              public list_hook<writer::wait_op> {
public:
    ~wait_op() { assert_awaited(name()); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    void await_resume() const { await_result().value(); }
    result<void> await_result() const noexcept { return error_; }

    void describe(leaf_description& into) const override;

private:
    friend class writer;
    friend class writer_core;

    enum class goal : std::uint8_t { flushed, low, closed };

    wait_op(writer_core& on, goal what) noexcept;
    const char* name() const noexcept;

    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void finish(std::error_code error) noexcept;

    writer_core* core_;
    std::uint64_t mark_;  // the position in the stream to reach, if flushed is the goal
    std::error_code error_;
    goal goal_;
};

}  // namespace ouro::net
