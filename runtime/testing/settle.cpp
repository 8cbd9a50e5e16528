#include <ouro/runtime/testing/settle.hpp>

#include <ouro/runtime/sim/world.hpp>

#include <sched.h>

namespace ouro {
namespace {

// In simulation a second look is enough, if nothing has happened since the first: a flusher that
// runs after this one may start an operation, and do so again in the turn after its completion.
constexpr int quiet_turns_in_simulation = 2;
// The kernel finishes local work in another context; let it have the processor in between.
constexpr int quiet_turns_in_reality = 32;

}  // namespace

bool settle_await::suspend(promise_base& frame) noexcept {
    cancelled_ = !wait(frame);
    if (cancelled_) return false;
    executor::current().at_turn_end(*this);
    return true;
}

void settle_await::cancel(cancel_reason) noexcept {
    if (linked()) unlink();
    cancelled_ = true;
    resume();
}

void settle_await::flush() noexcept {
    executor& here = executor::current();
    const sim::world* world = sim::world::current_or_null();
    const std::uint64_t happened = world ? world->trace_size() : 0;
    if (happened != happened_) quiet_turns_ = 0;
    happened_ = happened;
    const bool quiet = here.ready().empty() && !(world && world->busy());
    quiet_turns_ = quiet ? quiet_turns_ + 1 : 0;
    if (quiet_turns_ == (world ? quiet_turns_in_simulation : quiet_turns_in_reality)) {
        resume();
        return;
    }
    if (!world) ::sched_yield();
    here.at_turn_end(*this);
}

void settle_await::describe(leaf_description& into) const { into.text("settle"); }

}  // namespace ouro
