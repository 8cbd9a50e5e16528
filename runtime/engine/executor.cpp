#include <ouro/runtime/engine/executor.hpp>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <thread>
#include <utility>

namespace ouro {
namespace {

// The clock is read after that many resumptions of a turn, and then ever less often.
constexpr int resumptions_until_first_look = 16;
constexpr int resumptions_per_look_max = 128;

/// Has the memory of a frame on its way into the cache while another one runs: of many thousands,
/// each has been pushed out since it ran last.
void fetch_ahead(const promise_base& frame) noexcept {
    __builtin_prefetch(&frame);
    __builtin_prefetch(reinterpret_cast<const char*>(&frame) + 64);
}

}  // namespace

constinit thread_local executor* executor::of_thread_ = nullptr;

executor::executor(std::unique_ptr<reactor> io, unsigned worker, turn_limits limits)
    : io_(std::move(io)),
      worker_(worker),
      now_(io_->now()),
      chance_(0x9e3779b97f4a7c15 + worker),
      limits_(limits),
      timers_(now_) {
    OURO_ASSERT(of_thread_ == nullptr &&
                "run: called on a worker, inside a run: co_await the task instead");
    OURO_ASSERT(limits_.resumptions > 0 && "turn_limits: resumptions is at least 1");
    of_thread_ = this;
}

executor::~executor() {
    OURO_ASSERT(of_thread_ == this);
    of_thread_ = nullptr;
    while (posters_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

std::uint64_t executor::new_serial() noexcept {
    static std::atomic<std::uint64_t> latest = 0;
    return latest.fetch_add(1, std::memory_order_relaxed) + 1;
}

void executor::turn() noexcept {
    OURO_ASSERT(running_ == nullptr && "a turn inside a turn");
    OURO_ASSERT(ended_ == nullptr && "a chain has ended, and its owner was not told");
    turn_began_ = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    ++stats_.turns;
    if (observer_) observer_->turn_started(now());
    take_posted();
    stats_.timers_fired += timers_.fire(now_);
    run_ready();
    run_turn_end();
    poll();
    turn_began_ = 0;
}

void executor::run_ready() noexcept {
    stats_.ready_depth = ready_.size();
    stats_.ready_depth_max = std::max<std::uint64_t>(stats_.ready_depth_max, ready_.size());
    budget_ = limits_.resumptions;
    next_look_ = std::max(0, budget_ - resumptions_until_first_look);
    while (!ready_.empty() && may_go_on()) {
        promise_base& frame =
            observer_ ? ready_.pop_at(observer_->choose(ready_.size())) : ready_.pop();
        if (!ready_.empty()) fetch_ahead(ready_.first());
        run_frame(frame);
    }
    stats_.resumptions += static_cast<std::uint64_t>(limits_.resumptions - budget_);
}

void executor::run_frame(promise_base& first) noexcept {
    inline_left_ = limits_.inline_completions;
    for (promise_base* frame = &first; frame;) {
        next_ = nullptr;
        running_ = frame;
        --budget_;
        if (observer_) observer_->resuming(*frame);
        frame->handle().resume();
        if (observer_) observer_->resumed();
        running_ = nullptr;
        if (ended_) std::exchange(ended_, nullptr)->ended();
        // What completed without suspending may have been system calls, of which many resumptions
        // would make far more than a turn has time for.
        if (inline_left_ < 0) next_look_ = budget_;
        frame = next_;
        if (frame && !may_go_on()) {
            ready_.push(*frame);
            frame = nullptr;
        }
    }
}

bool executor::look_at_clock() noexcept {
    if (budget_ <= 0 || io_->now() - now_ > limits_.time.count()) return false;
    // As many steps as have been made may be made before the next look: so long ones are noticed
    // soon, and short ones are not burdened.
    const int made = limits_.resumptions - budget_;
    next_look_ = std::max(0, budget_ - std::min(made, resumptions_per_look_max));
    return true;
}

std::size_t executor::draw(std::size_t bound) noexcept {
    OURO_ASSERT(bound > 0 && "a choice is made among at least one");
    if (observer_) {
        const std::size_t drawn = observer_->draw(bound);
        if (drawn < bound) return drawn;
    }
    chance_ ^= chance_ << 13;
    chance_ ^= chance_ >> 7;
    chance_ ^= chance_ << 17;
    return static_cast<std::size_t>((chance_ >> 32) % bound);
}

void executor::used_outside(const char* who) noexcept {
    char text[400];
    std::snprintf(text, sizeof text,
                  "%s: used on a thread without a worker; what belongs to a worker is made, used "
                  "and destroyed in tasks of run() or block_on(): move it into one",
                  who);
    assertion_failed(text, __FILE__, __LINE__);
}

void executor::run_turn_end() noexcept {
    intrusive_list<flusher, flusher> due;
    due.splice_back(turn_end_);
    while (!due.empty()) due.pop_front().flush();
}

void executor::poll() noexcept {
    constexpr std::int64_t at_once = std::numeric_limits<std::int64_t>::min();
    std::int64_t until = at_once;
    bool guarded = false;
    if (observer_) observer_->polling();
    if (ready_.empty() && turn_end_.empty()) {
        // The order matters: announce the sleep, then look at the inbox once more. A poster does
        // the opposite, so one of the two sees the other.
        asleep_.store(true, std::memory_order_seq_cst);
        if (!has_posted()) {
            guarded = sleep_guard_ != nullptr;
            if (guarded ? sleep_guard_->may_sleep(stuck()) : !stuck()) until = timers_.next();
        }
    }
    io_->turn(until);
    asleep_.store(false, std::memory_order_relaxed);
    if (guarded) sleep_guard_->woke();
    const std::int64_t before = std::exchange(now_, io_->now());
    OURO_ASSERT(before <= now_ && "a reactor's clock does not go back");
    OURO_ASSERT(running_ == nullptr && "a reactor completes operations and resumes nobody");
}

void executor::post(remote_call& call) noexcept {
    posters_.fetch_add(1, std::memory_order_relaxed);
    call.next_posted_ = inbox_.load(std::memory_order_relaxed);
    while (!inbox_.compare_exchange_weak(call.next_posted_, &call, std::memory_order_seq_cst,
                                         std::memory_order_relaxed)) {
    }
    // Of several posters only one wakes a sleeping loop.
    if (asleep_.load(std::memory_order_seq_cst) &&
        asleep_.exchange(false, std::memory_order_seq_cst))
        io_->wake();
    posters_.fetch_sub(1, std::memory_order_release);
}

void executor::take_posted() noexcept {
    if (!inbox_.load(std::memory_order_relaxed)) return;
    remote_call* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
    remote_call* oldest = nullptr;
    while (newest) {
        remote_call* call = newest;
        newest = call->next_posted_;
        call->next_posted_ = oldest;
        oldest = call;
    }
    while (oldest) {
        remote_call* call = std::exchange(oldest, oldest->next_posted_);
        ++stats_.remote_calls;
        call->run();
    }
}

bool executor::stuck() const noexcept {
    return ready_.empty() && turn_end_.empty() && timers_.empty() && expected_posts_ == 0 &&
           !inbox_.load(std::memory_order_relaxed) && !io_->world_may_act();
}

time_point clock::now() noexcept {
    if (const executor* here = executor::current_or_null()) return here->now();
    return exact_now();
}

time_point clock::exact_now() noexcept {
    if (executor* here = executor::current_or_null()) return time_point(duration(here->io().now()));
    return time_point(duration(std::chrono::steady_clock::now().time_since_epoch()));
}

}  // namespace ouro
