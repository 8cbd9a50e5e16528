// executor.hpp: one worker's life: what is ready, what waits for time, what came from elsewhere.
//
// The loop is a trampoline: only it resumes coroutines, one at a time. Awaiting a task, finishing
// one, completing an operation merely say who is next. So no chain of awaits, however long and
// however compiled, uses more than one frame of the machine's stack.
//
//   turn:  posted calls → due timers → ready frames → turn-end list → submit, sleep, reap
//             ▲                           │  ▲                              │
//             └── post (any thread)       └──┘ run_next, make_ready         └─ now() is read
//
//  1. `running_` is the frame that runs, and null between resumptions. What runs says who is next:
//     run_next at most once (a task that is awaited, the parent of one that has ended), make_ready
//     for whoever else can go on, end_chain when its root frame has finished. All of it happens
//     after the frame has suspended, so a frame that has ended may be freed then.
//  2. What is ready runs in order of arrival, also what becomes ready meanwhile, until the turn has
//     used up its resumptions or its time. Whoever was to run next then goes to the back.
//  3. now() is read when the reactor has been left, and stays the same for a whole turn. Whether
//     the turn has used up its time is looked at after a few resumptions and then ever less often,
//     and each time that a frame has used up its inline completions.
//  4. A frame may complete `inline_completions` operations without suspending in one go; then
//     spend() refuses, and it goes to the back. Every awaiter that can answer at once asks it.
//  5. Turn's end: each flusher is called once, after the frames and before the reactor. Who signs
//     in while they are called is called in the next turn, which then does not sleep.
//  6. To sleep, the loop says so (`asleep_`) and then looks at the inbox; who posts puts the call
//     in and then looks at `asleep_`. Both are sequentially consistent, so one sees the other. Of
//     several posters the one that takes `asleep_` back wakes it.
//  7. A posted call belongs to the executor until it has run, and may be gone then; calls of one
//     thread run in the order in which it posted them. Whoever posts is counted while inside, and
//     the destructor waits for him.
//  8. Stuck means: nothing is ready, no timer, no flusher, nothing posted, no operation under way,
//     and nobody outside has said that he will post (`expect_post`). Only another worker can wake
//     such a loop, and when all of a run are stuck, that is a deadlock. So helper threads and
//     signals are announced before they post.
//  9. All but post, has_posted, wake and the counters is for the executor's own thread alone.
#pragma once

#include <ouro/runtime/engine/counter.hpp>
#include <ouro/runtime/engine/reactor.hpp>
#include <ouro/runtime/engine/ready_queue.hpp>
#include <ouro/runtime/engine/remote_call.hpp>
#include <ouro/runtime/engine/task_map.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/engine/turn_end.hpp>

#include <atomic>
#include <cstdint>
#include <memory>

namespace ouro {

/// How much one turn of the loop may do before the world is looked at again.
struct turn_limits {
    int resumptions = 1024;
    /// Operations that a task may complete without suspending; then it goes to the back, and the
    /// clock is looked at.
    int inline_completions = 128;
    duration time = std::chrono::microseconds(500);
};

/// Counters of one worker; see metrics.hpp for the histograms. Any thread may read them.
struct executor_stats {
    counter turns;
    counter resumptions;
    counter spawned;
    counter failed_detached;  ///< detached tasks that ended with an exception
    counter ready_depth;      ///< frames that were ready when the last turn began to run them
    counter ready_depth_max;
    counter timers_fired;
    counter remote_calls;
};

/// Watches the loop of one worker; metrics, the stall detector and simulation derive from it.
class loop_observer {
public:
    virtual ~loop_observer() = default;
    virtual void turn_started(time_point) noexcept {}
    virtual void resuming(promise_base&) noexcept {}
    virtual void resumed() noexcept {}
    /// Which of `ready` frames runs next (0: the oldest).
    virtual std::size_t choose(std::size_t) noexcept { return 0; }
    /// A number in [0, bound) for a fair choice; simulation draws it from its seed. `bound`: no
    /// opinion, the worker draws for itself.
    virtual std::size_t draw(std::size_t bound) noexcept { return bound; }
    /// Everything of this turn has run; the reactor is entered next.
    virtual void polling() noexcept {}
};

/// Is asked before the loop sleeps.
class sleep_guard {
public:
    /// False: the loop looks at the world without sleeping. `stuck`: no ready task, timer,
    /// operation or expected post of its own, so only another worker of the run could wake it.
    virtual bool may_sleep(bool stuck) noexcept = 0;
    /// Called after each question, once the world was looked at, and before posted calls are taken.
    virtual void woke() noexcept = 0;

protected:
    ~sleep_guard() = default;
};

/// One thread, one reactor, one timer wheel, one ready queue, one task map.
class executor {
public:
    explicit executor(std::unique_ptr<reactor> io, unsigned worker = 0, turn_limits limits = {});
    ~executor();
    executor(const executor&) = delete;
    executor& operator=(const executor&) = delete;

    /// The executor of the calling thread; asserts that there is one. `who` is what the assertion
    /// says needs it.
    static executor& current(const char* who = "tasks, timers, sockets and what waits") noexcept {
#ifndef OURO_NO_ASSERT
        if (of_thread_ == nullptr) [[unlikely]]
            used_outside(who);
#else
        static_cast<void>(who);
#endif
        return *of_thread_;
    }
    static executor* current_or_null() noexcept { return of_thread_; }

    /// Makes the thread forget its executor, which must then never be destroyed: for a harness that
    /// goes on after tasks that could not be ended.
    static void forget() noexcept { of_thread_ = nullptr; }

    // Who is next.

    /// Runs `frame` after everything that is ready now.
    void make_ready(promise_base& frame) noexcept { ready_.push(frame); }
    /// Runs `frame` as soon as the running one has suspended.
    void run_next(promise_base& frame) noexcept {
        OURO_ASSERT(next_ == nullptr && "one frame runs next");
        next_ = &frame;
    }
    /// Calls `over.ended()` as soon as the running frame has suspended at its end.
    void end_chain(chain& over) noexcept {
        OURO_ASSERT(ended_ == nullptr && "one chain ends at a time");
        ended_ = &over;
    }

    /// Takes one unit of the running task's budget for completing without suspending. When it
    /// answers false, the task must go to the back of the ready queue.
    bool spend() noexcept { return --inline_left_ >= 0; }
    /// What `frame` awaits was answered without waiting: false when it goes on at once, true when
    /// its budget is used up and it goes on after everything that is ready now. It is what
    /// await_suspend returns.
    bool answered_at_once(promise_base& frame) noexcept {
        if (spend()) [[likely]]
            return false;
        make_ready(frame);
        return true;
    }

    /// A number in [0, bound) for choices that are to be fair, not secret; `bound` is positive.
    std::size_t draw(std::size_t bound) noexcept;

    /// The frame that runs now; null between resumptions.
    promise_base* running() const noexcept { return running_; }

    /// True for what lies on the machine's stack within this turn: it is gone before anything runs
    /// that is not running yet.
    bool ends_with_resumption(const void* what) const noexcept {
        constexpr std::uintptr_t gone_already = 16 * 1024;  // of a function that has returned
        const auto at = reinterpret_cast<std::uintptr_t>(what);
        const auto top = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        return at < turn_began_ && at > top - gone_already;
    }

    // What it is made of.

    reactor& io() noexcept { return *io_; }
    timer_wheel& timers() noexcept { return timers_; }
    task_map& tasks() noexcept { return tasks_; }
    ready_queue& ready() noexcept { return ready_; }
    unsigned worker() const noexcept { return worker_; }
    /// A number, not 0, that no other executor of this process has or had.
    std::uint64_t serial() const noexcept { return serial_; }
    time_point now() const noexcept { return time_point(duration(now_)); }
    const executor_stats& stats() const noexcept { return stats_; }
    executor_stats& stats() noexcept { return stats_; }
    void observe(loop_observer* observer) noexcept { observer_ = observer; }
    /// Without a guard, a stuck loop never sleeps: whoever turns it looks at stuck().
    void guard_sleep(sleep_guard* guard) noexcept { sleep_guard_ = guard; }

    /// Runs `what.flush()` once at the end of this turn; no effect when it already will.
    void at_turn_end(flusher& what) noexcept {
        if (!what.linked()) turn_end_.push_back(what);
    }

    /// Runs `call` on this worker soon. From any thread; the call object must stay alive until run.
    /// The executor must be alive when this is called, but may end as soon as `call` has run: its
    /// destructor waits for those who are still in here.
    void post(remote_call& call) noexcept;

    /// True when something was posted and has not been taken. From any thread.
    bool has_posted() const noexcept { return inbox_.load(std::memory_order_seq_cst) != nullptr; }

    /// Counts something outside (a helper thread, a signal, another worker) that will post.
    void expect_post(int change) noexcept {
        expected_posts_ += change;
        OURO_ASSERT(expected_posts_ >= 0 && "a post came that nobody had expected");
    }
    int expected_posts() const noexcept { return expected_posts_; }

    /// A signal handler may call this to have the loop look around; async-signal-safe.
    void wake() noexcept { io_->wake(); }

    // Its life, called by run().

    /// One turn: posted calls, due timers, ready tasks, turn-end list, submit and reap.
    [[gnu::noinline]] void turn() noexcept;

    /// True when nothing is ready and nothing can ever become so.
    bool stuck() const noexcept;

private:
    [[noreturn]] static void used_outside(const char* who) noexcept;
    void take_posted() noexcept;
    void run_ready() noexcept;
    /// True while this turn may resume somebody more.
    bool may_go_on() noexcept { return budget_ > next_look_ || look_at_clock(); }
    bool look_at_clock() noexcept;
    void run_frame(promise_base& frame) noexcept;
    void run_turn_end() noexcept;
    void poll() noexcept;

    static std::uint64_t new_serial() noexcept;

    static constinit thread_local executor* of_thread_;

    std::unique_ptr<reactor> io_;
    ready_queue ready_;
    promise_base* next_ = nullptr;
    promise_base* running_ = nullptr;
    chain* ended_ = nullptr;
    loop_observer* observer_ = nullptr;
    int budget_ = 0;                 // resumptions left in this turn
    int next_look_ = 0;              // the budget at which the clock is read
    std::uintptr_t turn_began_ = 0;  // where its stack begins; 0 between turns
    int inline_left_ = 0;
    int expected_posts_ = 0;
    unsigned worker_;
    const std::uint64_t serial_ = new_serial();
    std::int64_t now_;
    std::uint64_t chance_;  // xorshift64, never 0
    turn_limits limits_;
    intrusive_list<flusher, flusher> turn_end_;
    timer_wheel timers_;
    task_map tasks_;
    executor_stats stats_;
    sleep_guard* sleep_guard_ = nullptr;

    // What other threads write, away from what the loop writes all the time.
    alignas(64) std::atomic<remote_call*> inbox_ = nullptr;
    std::atomic<bool> asleep_ = false;
    std::atomic<unsigned> posters_ = 0;  // threads inside post()
};

}  // namespace ouro
