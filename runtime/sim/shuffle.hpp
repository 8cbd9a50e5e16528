// shuffle.hpp: which of the ready tasks runs next.
#pragma once

#include <ouro/runtime/engine/ready_queue.hpp>
#include <ouro/runtime/sim/world.hpp>

#include <unordered_set>

namespace ouro::sim {

/// Draws who runs next, within what the runtime promises.
///
/// Tasks that became ready in any order may run in any order. But a spawned task runs after all
/// that were ready when it was spawned, and so does one that yields: those two are never preferred
/// to somebody who stands before them.
class shuffle {
public:
    /// Without a world, or when it does not shuffle, the oldest is next.
    explicit shuffle(world* in) noexcept : world_(in) {}

    /// The position of the frame that runs next.
    std::size_t choose(const ready_queue& ready) noexcept;

    /// A number in [0, bound) from the seed of the run; `bound` without a world.
    std::size_t draw(std::size_t bound) noexcept;

    // Told of every resumption.
    void resuming(promise_base& frame) noexcept;
    void resumed(const ready_queue& ready) noexcept;

private:
    bool may_overtake(const promise_base& frame) const noexcept;

    world* world_;
    promise_base* running_ = nullptr;
    std::unordered_set<const promise_base*> yielded_;  // asked for members only, never walked
};

}  // namespace ouro::sim
