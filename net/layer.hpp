// layer.hpp: what changes the bytes of a stream on their way, as encryption does.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>

namespace ouro::net {

/// Changes the bytes of a stream: clear ones on the side of the task, others on the wire.
///
/// Bytes in, bytes out: a layer has no socket, does not wait, and lends its own memory. Once it is
/// put on a stream (stream::put_layer), every receive and send there passes through it; readers,
/// writers and relays know nothing of it. What has to be agreed on before, such as a handshake, the
/// stream below does as it is, before the layer is put there.
///
///     the wire ──receive──> space() … received() ──> take() ──> the task
///     the task ──> put() ──> pending() … sent() ──send──> the wire
///
/// Results are those of `recv` and `send` without waiting: a count of bytes, or -errno. It is used
/// by one worker only, and by one call at a time.
class layer {
public:
    virtual ~layer() = default;

    // What the other side sends.

    /// Moves clear bytes to `into`, at least one, and answers how many. 0: the other side has ended
    /// well. -EAGAIN: more has to be received first. Anything else (-EPROTO; -ECONNRESET for an end
    /// in the middle) ends the receive with that error, and each later one. Like `received`, it may
    /// leave something pending: an answer to what it read, an alert.
    virtual int take(std::span<std::byte> into) noexcept = 0;
    /// True when `take` would not answer -EAGAIN.
    virtual bool ready() noexcept = 0;
    /// Where to receive from the wire: the layer's own memory, which stays until `received`.
    /// Asked only when it is not ready; empty when there is no memory.
    virtual std::span<std::byte> space() noexcept = 0;
    /// `n` bytes came from the wire; 0: it has ended, and the layer is ready from now on.
    virtual void received(std::size_t n) noexcept = 0;

    // What this side sends.

    /// Takes clear bytes from the front of `from`, which has some, and answers how many: at least
    /// one, and as few as it likes. What they become is then pending. Asked only while nothing is.
    virtual int put(std::span<const iovec> from) noexcept = 0;
    /// What is to be sent on the wire, by `put`, `end`, or as an answer to what was received. Stays
    /// where it is until it was sent; more may only come behind it once it is empty.
    virtual std::span<const std::byte> pending() const noexcept = 0;
    /// The first `n` pending bytes have been sent.
    virtual void sent(std::size_t n) noexcept = 0;
    /// No more clear bytes are to be sent: what tells the other side so is then pending, too, and 0
    /// is answered; or -errno, when it cannot be told, for want of memory or after an error.
    /// Called at most once, and while nothing is pending.
    virtual int end() noexcept = 0;
};

}  // namespace ouro::net
