// turn_end.hpp: what wants to run once, after the ready tasks and just before submission.
#pragma once

#include <ouro/runtime/engine/intrusive_list.hpp>

namespace ouro {

/// Something with a batch to hand over: a connection with bytes to send, a channel.
///
/// Batching without timers or delays: whatever became ready in one turn of the loop appends to the
/// batch, and the flusher runs once when all of it has.
class flusher : public list_hook<flusher> {
public:
    /// Runs at the end of the turn in which it was scheduled. It may start operations and make
    /// tasks ready, and may schedule itself again for the next turn.
    virtual void flush() noexcept = 0;

protected:
    ~flusher() = default;
};

}  // namespace ouro
