// op.hpp: the base of every operation that a reactor performs.
//
// An operation is a named object with a fixed address. It knows how to be submitted to a ring
// (`prepare`), how to be attempted as a non-blocking system call (`attempt`), and what to do with a
// completion (`completed`); reactors know operations, not what they mean.
//
//   idle ──submit──> in flight ──final completion──> idle
//                       │  ^ completions of a multishot operation
//                       └──cancel: a second request goes out; both must come back
//
//  1. From submission to the final completion the kernel owns the object and everything it points
//     to: the object does not move, is not destroyed, and its frame stays.
//  2. Cancel is a request. The operation's own completion tells what happened, and a result that
//     won the race is delivered.
//  3. `completed` with the final result is called only after the completion of a cancel request has
//     arrived, too, so no completion ever names a dead object.
//  4. A destroyed operation is idle; it is asserted.
#pragma once

#include <ouro/runtime/engine/chain.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>

#include <cstddef>
#include <cstdint>

struct io_uring_sqe;

namespace ouro {

class passage;

/// Flags that come with a completion.
enum completion_flags : std::uint32_t {
    completion_has_buffer = 1U << 0,  ///< IORING_CQE_F_BUFFER: bits 16.. hold the buffer id
    completion_more = 1U << 1,        ///< IORING_CQE_F_MORE: this was not the final completion
};

/// What a descriptor must be able to do before `attempt` can succeed.
enum class readiness : std::uint8_t {
    readable,
    writable,
    always,  ///< `attempt` never answers -EAGAIN
};

/// The reactor's view of an operation.
class op : public list_hook<op> {
public:
    op(const op&) = delete;
    op& operator=(const op&) = delete;

    /// Fills a zeroed submission entry, except for its user data.
    virtual void prepare(io_uring_sqe& entry) noexcept = 0;

    /// Does the same act without blocking: the result, or -errno; -EAGAIN when it cannot yet.
    virtual int attempt() noexcept = 0;

    /// What to wait for before the next attempt.
    virtual readiness needs() const noexcept = 0;

    /// The descriptor it works on; -1 when there is none.
    virtual int fd() const noexcept = 0;

    /// Asks it to end soon. Whoever waits outside the reactor in between, for a buffer or a turn,
    /// overrides it to end that, too.
    virtual void stop() noexcept { request_cancel(); }

    /// What takes it in the reactor's place: what its descriptor has there, or null. Asked only to
    /// cancel it; whoever submits it says so.
    virtual passage* through() const noexcept { return nullptr; }

    bool in_flight() const noexcept { return in_flight_; }
    bool cancel_requested() const noexcept { return cancel_requested_; }

protected:
    op() noexcept = default;
    ~op() { OURO_ASSERT(!in_flight_); }

    /// Takes a result: `bytes or a descriptor or 0`, or -errno; `flags` are completion_flags and,
    /// with completion_has_buffer, the buffer's id. Without completion_more it was the last one.
    virtual void completed(std::int32_t result, std::uint32_t flags) noexcept = 0;

    /// Gives it to the worker's reactor. False when it is already done: `completed` was called.
    bool submit() noexcept;
    /// The same to what stands before the reactor, if anything does (passage.hpp).
    bool submit(passage* through) noexcept;

    /// Asks the reactor to end it soon. No effect when it is not in flight or was asked before.
    void request_cancel() noexcept;

    /// Says before `submit` whether what the operation waits for is probably there: a ring then
    /// attempts it at once, too, as epoll always does.
    void attempt_first(bool yes) noexcept { attempt_first_ = yes; }

    /// Says that -EINTR means done (close), and is not how a request to cancel ends it.
    void done_when_interrupted() noexcept { done_when_interrupted_ = true; }

    /// What an `attempt` to receive from a stream returns: notes that less came than was asked for.
    int received_of(int result, std::size_t asked) noexcept {
        came_short_ = result > 0 && static_cast<std::size_t>(result) < asked;
        return result;
    }

private:
    friend class passage;
    friend class reactor;

    // Kept by the reactors and passages. `held_` is the final result while a cancel's completion is
    // out.
    std::int32_t held_result_ = 0;
    std::uint32_t held_flags_ = 0;
    std::uint8_t cancel_attempts_ = 0;
    bool in_flight_ = false;
    bool cancel_requested_ = false;
    bool cancel_in_flight_ = false;
    bool held_ = false;
    bool came_short_ = false;  // its last attempt; see received_of
    bool attempt_first_ = false;
    bool done_when_interrupted_ = false;
};

}  // namespace ouro
