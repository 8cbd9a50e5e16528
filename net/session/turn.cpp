#include <ouro/net/session/turn.hpp>

#include <ouro/net/session/session.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>

#include <utility>

namespace ouro::net {

turn::~turn() {
    OURO_ASSERT(place_ != place::queued);
    if (place_ != place::sent) return;
    resume_reading();
    on().leave_turn(*this);
}

// Its steps.

bool turn::suspend(promise_base& frame, goal what) noexcept {
    goal_ = what;
    step_error_ = {};
    if (what == goal::begun) {
        OURO_ASSERT(!began_ && !error_ && "turn: it begins once");
        return start(frame);
    }
    OURO_ASSERT((began_ || error_) && "turn: begin() comes first");
    OURO_ASSERT((what != goal::end || !is_open()) && "turn: finish() comes before end()");
    if (frame.owner->cancelled()) {
        note_awaited(frame);
        step_error_ = errc::cancelled;
        return false;
    }
    if (error_ || reached(what)) {
        note_awaited(frame);
        executor& here = executor::current();
        if (here.spend()) return false;
        here.make_ready(frame);  // nothing to wait for, only others to let run
        return true;
    }
    OURO_ASSERT(!paused_ && "turn: it waits for what it does not let in: resume_reading() first");
    wait_regardless(frame);
    on().waits(*this);
    return true;
}

bool turn::reached(goal what) const noexcept {
    if (what == goal::begun) return began_;
    return has_ended() || (what == goal::news && has_news_);
}

result<void> turn::outcome(goal what) noexcept {
    if (step_error_) return step_error_;
    if (what == goal::news && has_news_) {
        has_news_ = false;  // what came before the end is told before it
        return {};
    }
    if (error_) return error_;
    return {};
}

void turn::has_begun() noexcept {
    OURO_ASSERT(!began_ && waiting() && goal_ == goal::begun);
    began_ = true;
    leaf::resume();
}

void turn::wake() noexcept {
    OURO_ASSERT(began_ && "turn: news before it has begun");
    has_news_ = true;
    if (waiting() && goal_ == goal::news) leaf::resume();
}

void turn::cancel(cancel_reason) noexcept {
    if (place_ == place::queued) return on().take_back(*this);
    step_error_ = errc::cancelled;
    leaf::resume();
}

void turn::failed(std::error_code why, fate how_far) noexcept {
    OURO_ASSERT(!error_);
    error_ = why;
    how_far_ = how_far;
    paused_ = false;
}

// Sending.

bool turn::is_open() const noexcept { return on().is_open(*this); }

bool turn::write(std::span<const std::byte> bytes) {
    if (!is_open() || !on().out().write(bytes)) return false;
    on().wrote(bytes.size());
    return true;
}

bool turn::write(const chunk& shared) {
    if (!is_open() || !on().out().write(shared)) return false;
    on().wrote(shared.size());
    return true;
}

void turn::expect(std::uint32_t replies) noexcept {
    if (is_open()) on().slot_of_turn().left += replies;
}

task<> turn::room() {
    if (is_open() && on().out().above_high()) {
        const result<void> waited = co_await as_result(on().out().below_low());
        if (!waited) throw_error(error_ ? error_ : waited.error());
    }
    if (error_) throw_error(error_);
}

void turn::finish() noexcept {
    if (on().turn_ == this) on().close_turn(*this);
}

// Receiving.

void turn::pause_reading() noexcept {
    if (place_ != place::sent) return;
    OURO_ASSERT(slot_ == on().head_ && "turn: others still wait for their replies");
    paused_ = true;
    on().pause_reading();
}

void turn::resume_reading() noexcept {
    if (std::exchange(paused_, false)) on().resume_reading();
}

}  // namespace ouro::net
