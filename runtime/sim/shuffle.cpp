#include <ouro/runtime/sim/shuffle.hpp>

#include <array>

namespace ouro::sim {
namespace {

// How far behind the oldest somebody may be preferred; bounds the cost with many ready tasks.
constexpr std::size_t reach = 16;

}  // namespace

std::size_t shuffle::choose(const ready_queue& ready) noexcept {
    if (!world_ || !world_->shuffles()) return 0;
    std::array<std::size_t, reach> candidates{};
    std::size_t count = 1;  // the oldest always may
    const promise_base* at = ready.first().next_ready;
    for (std::size_t i = 1; i < reach && at; ++i, at = at->next_ready)
        if (may_overtake(*at)) candidates[count++] = i;
    if (count == 1) return 0;
    const std::size_t chosen = candidates[world_->chance().below(count)];
    world_->note(happening::chosen, chosen);
    return chosen;
}

std::size_t shuffle::draw(std::size_t bound) noexcept {
    if (!world_) return bound;
    if (bound == 1 || !world_->shuffles()) return 0;
    const auto drawn = static_cast<std::size_t>(world_->chance().below(bound));
    world_->note(happening::chosen, drawn);
    return drawn;
}

bool shuffle::may_overtake(const promise_base& frame) const noexcept {
    const bool fresh = frame.where.line() == 0 && !frame.parent;
    return !fresh && !yielded_.contains(&frame);
}

void shuffle::resuming(promise_base& frame) noexcept {
    if (!world_) return;
    running_ = &frame;
    yielded_.erase(&frame);
    world_->note(happening::resumed, frame.where.line());
}

void shuffle::resumed(const ready_queue& ready) noexcept {
    // Who put itself at the back has yielded, or used up its budget.
    if (world_ && !ready.empty() && &ready.last() == running_) yielded_.insert(running_);
}

}  // namespace ouro::sim
