// passage.hpp: what stands between the operations on one descriptor and the reactor.
//
// Operations on a socket go straight to the reactor. Where receiving and sending is something else,
// the descriptor has a passage: it takes the operation in the reactor's place, finds out from
// `prepare` what is wanted, does that with operations of its own, and tells the result. Whoever
// awaits knows nothing of it.
//
//   operation ──submit──> reactor                          (a socket: one branch)
//   operation ──submit──> passage ──its own──> reactor     (a pipe, a file, an encrypted stream)
//
//  1. A passage belongs to its descriptor and outlives everything in flight on it: a descriptor is
//     idle when it dies, or else its heir takes over number and passage. What a passage itself has
//     left to do then it does as its own owner (`leave`).
//  2. The rules of op.hpp hold: cancelling is a request, the passage's own operation tells what
//     became of it, and a result that won the race is delivered.
//  3. The last thing a passage does with a result is `finish`: whoever is told may destroy it.
#pragma once

#include <ouro/runtime/engine/op.hpp>

#include <cstdint>
#include <memory>

namespace ouro {

class buffer_pool;
class descriptor;

/// Takes the operations on one descriptor in the reactor's place.
class passage {
public:
    passage(const passage&) = delete;
    passage& operator=(const passage&) = delete;
    virtual ~passage() = default;

    /// As reactor::submit: false when it completed at once.
    virtual bool submit(op& operation) noexcept = 0;
    /// As reactor::cancel.
    virtual void cancel(op& operation) noexcept = 0;

    /// The buffers that receives on it lend: by default the worker's.
    virtual buffer_pool& buffers();

    /// Ends one direction of `on`, whose passage this is (SHUT_RD, SHUT_WR, SHUT_RDWR): 0 or
    /// -errno. May close `on`, and itself with it.
    virtual int shutdown(descriptor& on, int how) noexcept = 0;

    /// Whether nothing of its own is in flight, so that it may end while the number lives on.
    virtual bool is_idle() const noexcept { return true; }

    /// `number` is about to be closed; no operation on it is in flight. True when something is left
    /// to be done there: then it has taken over `self` and the number, and closes that in the end.
    virtual bool leave(int number, std::unique_ptr<passage>& self) noexcept;

protected:
    passage() noexcept = default;

    // How implementations keep an operation's state; see reactor.
    static void begin(op& operation) noexcept;
    /// True when the operation is now asked to cancel for the first time.
    [[nodiscard]] static bool begin_cancel(op& operation) noexcept;
    static void finish(op& operation, std::int32_t result, std::uint32_t flags) noexcept;
};

inline bool op::submit(passage* through) noexcept {
    if (through) [[unlikely]]
        return through->submit(*this);
    return submit();
}

}  // namespace ouro
