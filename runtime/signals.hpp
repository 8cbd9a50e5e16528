// signals.hpp: the signals of the process as something to await.
#pragma once

#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <cstdint>

namespace ouro {

class workers;

/// Receives signals: `signal_set hups{SIGHUP};`, then `int number = co_await hups.next();`.
///
/// From its construction to its end the signals no longer do what they did before (kill, mostly),
/// and none is missed between two calls of `next`; several of one number may arrive as one, as
/// always with signals. Several sets may wait for one signal; each of them gets it. While a set has
/// SIGINT or SIGTERM, run() does not stop for that one: who asked for it decides. What the signals
/// did before is restored with the last set that has them.
class signal_set : public list_hook<signal_set> {
public:
    class next_await;

    /// Signal numbers as in <csignal>, 1 to 64; not those that cannot be caught.
    template <std::same_as<int>... Numbers>
    explicit signal_set(Numbers... numbers) : signal_set(mask_of(numbers...), exact()) {}
    ~signal_set();
    signal_set(const signal_set&) = delete;
    signal_set& operator=(const signal_set&) = delete;

    /// Resumes with the number of a signal that has arrived. Throws errc::cancelled. Several tasks
    /// may wait, also on several workers; each signal goes to one of them.
    next_await next() noexcept;

private:
    friend class signal_hub;

    struct exact {};
    signal_set(std::uint64_t mask, exact);

    template <class... Numbers>
    static std::uint64_t mask_of(Numbers... numbers) noexcept {
        return (bit(numbers) | ... | 0U);
    }
    static std::uint64_t bit(int number) noexcept {
        OURO_ASSERT(number >= 1 && number <= 64 && "signal_set: a signal is a number from 1 to 64");
        return std::uint64_t{1} << (number - 1);
    }

    // Guarded by the hub's lock, but for the first.
    const std::uint64_t mask_;
    std::uint64_t arrived_ = 0;  // nobody waited; never together with waiters_
    intrusive_list<next_await, next_await> waiters_;
};

/// Waits for a signal; see signal_set::next.
class [[nodiscard, gnu::warn_unused]] signal_set::next_await : public leaf,
                                                               private remote_call,
                                                               public list_hook<next_await> {
public:
    explicit next_await(signal_set& of) noexcept : of_(of) {}
    ~next_await() { assert_awaited("signal"); }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }
    int await_resume() const {
        if (number_ == 0) throw_error(errc::cancelled);
        return number_;
    }
    result<int> await_result() const noexcept {
        if (number_ == 0) return errc::cancelled;
        return number_;
    }

    void describe(leaf_description& into) const override;

private:
    friend class signal_hub;

    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void run() noexcept override;

    signal_set& of_;
    executor* home_ = nullptr;
    int number_ = 0;  // 0: cancelled
};

inline signal_set::next_await signal_set::next() noexcept { return next_await(*this); }

/// `co_await signal(SIGHUP)`: waits for one signal, once. For more than one, or for those that come
/// between two awaits, keep a signal_set.
task<int> signal(int number);

/// Does what the arrival of a signal does: wakes whoever waits for it, stops the run for SIGINT and
/// SIGTERM when nobody does. For tests and simulation, where no signal ever arrives.
void deliver_signal(int number) noexcept;

/// What one run does about signals; made by run() for as long as it lasts.
///
/// The first SIGINT or SIGTERM asks the run to stop and restores the default action of both, so
/// that a second one kills; what was ignored before stays ignored. SIGUSR1 prints who waits where,
/// where the options say so. SIGPIPE does nothing, as a write to a closed pipe is an error to be
/// handled; child processes start with its default action. All is as before when it ends, and in a
/// forked child.
class run_signals : public list_hook<run_signals> {
public:
    /// Which of them the run wants. `loop` is woken when a signal has arrived, and then calls
    /// dispatch().
    run_signals(workers& run, executor& loop);
    ~run_signals();
    run_signals(const run_signals&) = delete;
    run_signals& operator=(const run_signals&) = delete;

    /// Hands out what has arrived. Costs a load when nothing has.
    static void dispatch() noexcept;

private:
    friend class signal_hub;

    workers& run_;
    executor& loop_;
    const bool stops_;
    const bool dumps_;
    std::uint64_t handled_ = 0;  // bits of the signals that have a handler for it
};

}  // namespace ouro
