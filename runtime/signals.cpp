// How a signal gets from a handler to a task:
//
//  1. The handler runs on whatever thread the kernel picks. It only sets a bit of `arrived` and
//     wakes the loops that dispatch (an eventfd each); both are async-signal-safe.
//  2. A loop that dispatches looks at the bits before each turn. The wake ends the current or the
//     next sleep, so a bit set in between is not overlooked.
//  3. Whoever takes the bits hands them to all sets and runs of the process, under the hub's lock;
//     waiting tasks are resumed by a post to their own worker.
//  4. A loop may end while a handler runs on another thread. The handler counts itself in, so
//     that removing a loop can wait until no handler knows it.
//
// What children get: a handler goes back to the default action on exec, so SIGPIPE has one that
// does nothing instead of being ignored. A child that is forked and goes on has no part in the runs
// of its parent: their handlers would wake the parent's loops, and make the child deaf. They are
// taken off at once.

#include <ouro/runtime/signals.hpp>

#include <ouro/runtime/workers.hpp>

#include <signal.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <mutex>
#include <string>
#include <thread>

namespace ouro {
namespace {

constexpr int number_max = 64;
constexpr std::size_t loops_max = 16;  // runs at a time; of more, the others dispatch

constexpr std::uint64_t bit_of(int number) noexcept { return std::uint64_t{1} << (number - 1); }
constexpr std::uint64_t stopping = bit_of(SIGINT) | bit_of(SIGTERM);

constinit std::atomic<std::uint64_t> arrived = 0;
constinit std::atomic<std::uint64_t> only_once = 0;  // the default action comes back at once
constinit std::atomic<int> in_handler = 0;
constinit std::array<std::atomic<executor*>, loops_max> loops{};

std::string name_of(int number) {
    switch (number) {
        case SIGHUP: return "SIGHUP";
        case SIGINT: return "SIGINT";
        case SIGQUIT: return "SIGQUIT";
        case SIGUSR1: return "SIGUSR1";
        case SIGUSR2: return "SIGUSR2";
        case SIGALRM: return "SIGALRM";
        case SIGTERM: return "SIGTERM";
        case SIGCHLD: return "SIGCHLD";
        case SIGWINCH: return "SIGWINCH";
        default: return std::to_string(number);
    }
}

void restore_default(std::uint64_t mask) noexcept {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    for (; mask != 0; mask &= mask - 1) ::sigaction(std::countr_zero(mask) + 1, &action, nullptr);
}

void on_pipe(int) {}

void on_signal(int number) {
    const int saved = errno;
    in_handler.fetch_add(1);
    if (only_once.load() & bit_of(number)) restore_default(only_once.exchange(0));
    arrived.fetch_or(bit_of(number));
    for (auto& loop : loops)
        if (executor* one = loop.load()) one->wake();
    in_handler.fetch_sub(1);
    errno = saved;
}

}  // namespace

/// Who wants which signals, in this process.
class signal_hub {
public:
    static signal_hub& instance() {
        static signal_hub& one = make();  // handlers may run until the very end
        return one;
    }

    void add(signal_set& set) {
        const std::lock_guard held(lock_);
        sets_.push_back(set);
        install(set.mask_);
    }

    void remove(signal_set& set) noexcept {
        const std::lock_guard held(lock_);
        OURO_ASSERT(set.waiters_.empty() &&
                    "signal_set: destroyed while a task awaits next(): end that task first");
        set.unlink();
        uninstall(set.mask_);
    }

    void add(run_signals& run) {
        const std::lock_guard held(lock_);
        runs_.push_back(run);
        run.handled_ = wanted_by(run);
        install(run.handled_);
        if (run.stops_) ignore_pipe();
        for (auto& loop : loops) {
            executor* none = nullptr;
            if (loop.compare_exchange_strong(none, &run.loop_)) break;
        }
    }

    void remove(run_signals& run) noexcept {
        {
            const std::lock_guard held(lock_);
            take_off(run);
        }
        for (auto& loop : loops) {
            executor* mine = &run.loop_;
            loop.compare_exchange_strong(mine, nullptr);
        }
        while (in_handler.load() > 0) std::this_thread::yield();
    }

    bool wait(signal_set& set, signal_set::next_await& waiter) noexcept {
        const std::lock_guard held(lock_);
        if (set.arrived_ == 0) {
            set.waiters_.push_back(waiter);
            return true;
        }
        waiter.number_ = std::countr_zero(set.arrived_) + 1;
        set.arrived_ &= set.arrived_ - 1;
        return false;
    }

    /// False when a signal is on its way to the waiter.
    bool leave(signal_set::next_await& waiter) noexcept {
        const std::lock_guard held(lock_);
        auto& hook = static_cast<list_hook<signal_set::next_await>&>(waiter);
        if (!hook.linked()) return false;
        hook.unlink();
        return true;
    }

    void deliver(int number) noexcept {
        const std::lock_guard held(lock_);
        bool taken = false;
        sets_.for_each([&](signal_set& set) {
            if (!(set.mask_ & bit_of(number))) return;
            taken = true;
            deliver(set, number);
        });
        runs_.for_each([&](run_signals& run) {
            if (number == SIGUSR1 && run.dumps_) run.run_.print_tasks();
            if ((stopping & bit_of(number)) && run.stops_ && !taken) run.run_.request_stop();
        });
    }

private:
    static signal_hub& make() {
        static signal_hub& one = *new signal_hub;
        ::pthread_atfork([] { one.lock_.lock(); }, [] { one.lock_.unlock(); },
                         [] { one.forked(); });
        return one;
    }

    /// In the child, which has one thread and holds the lock.
    void forked() noexcept {
        for (auto& loop : loops) loop = nullptr;
        arrived = 0;
        in_handler = 0;
        runs_.for_each([this](run_signals& run) { take_off(run); });
        lock_.unlock();
    }

    void take_off(run_signals& run) noexcept {
        if (!run.linked()) return;  // a child had it taken off before
        run.unlink();
        uninstall(run.handled_);
        if (run.stops_) restore_pipe();
    }

    /// What was ignored from outside stays so, unless a set has asked for it.
    std::uint64_t wanted_by(const run_signals& run) const noexcept {
        std::uint64_t mask = run.dumps_ ? bit_of(SIGUSR1) : 0;
        if (!run.stops_) return mask;
        for (const int number : {SIGINT, SIGTERM}) {
            struct sigaction now = before_[number];
            if (users_[number] == 0) ::sigaction(number, nullptr, &now);
            if (now.sa_handler != SIG_IGN) mask |= bit_of(number);
        }
        return mask;
    }

    static void deliver(signal_set& set, int number) noexcept {
        if (set.waiters_.empty()) {
            set.arrived_ |= bit_of(number);
            return;
        }
        signal_set::next_await& waiter = set.waiters_.pop_front();
        waiter.number_ = number;
        waiter.home_->post(waiter);
    }

    void install(std::uint64_t mask) {
        for (std::uint64_t left = mask; left != 0; left &= left - 1) {
            const int number = std::countr_zero(left) + 1;
            if (users_[number]++ > 0) continue;
            struct sigaction action = {};
            action.sa_handler = on_signal;
            action.sa_flags = SA_RESTART;
            ::sigfillset(&action.sa_mask);
            const int done = ::sigaction(number, &action, &before_[number]);
            OURO_ASSERT(done == 0 &&
                        "signal_set: SIGKILL and SIGSTOP cannot be caught: leave them out");
        }
        find_only_once();
    }

    void uninstall(std::uint64_t mask) noexcept {
        for (std::uint64_t left = mask; left != 0; left &= left - 1) {
            const int number = std::countr_zero(left) + 1;
            if (--users_[number] == 0) ::sigaction(number, &before_[number], nullptr);
        }
        find_only_once();
    }

    /// The signals that stop a run stop it once, unless a set has taken them over.
    void find_only_once() noexcept {
        std::uint64_t mask = 0;
        runs_.for_each([&](run_signals& run) { mask |= run.handled_ & stopping; });
        sets_.for_each([&](signal_set& set) { mask &= ~set.mask_; });
        only_once.store(mask);
    }

    void ignore_pipe() noexcept {
        if (pipe_users_++ > 0) return;
        struct sigaction ignore = {};
        ignore.sa_handler = on_pipe;
        ignore.sa_flags = SA_RESTART;
        ::sigaction(SIGPIPE, nullptr, &before_pipe_);
        pipe_ignored_ = before_pipe_.sa_handler == SIG_DFL;
        if (pipe_ignored_) ::sigaction(SIGPIPE, &ignore, nullptr);
    }

    void restore_pipe() noexcept {
        if (--pipe_users_ == 0 && pipe_ignored_) ::sigaction(SIGPIPE, &before_pipe_, nullptr);
    }

    std::mutex lock_;  // guards everything here and in the sets
    std::array<struct sigaction, number_max + 1> before_{};
    std::array<unsigned, number_max + 1> users_{};
    unsigned pipe_users_ = 0;
    struct sigaction before_pipe_ = {};
    bool pipe_ignored_ = false;
    intrusive_list<signal_set, signal_set> sets_;
    intrusive_list<run_signals, run_signals> runs_;
};

signal_set::signal_set(std::uint64_t mask, exact) : mask_(mask) {
    signal_hub::instance().add(*this);
}

signal_set::~signal_set() { signal_hub::instance().remove(*this); }

bool signal_set::next_await::suspend(promise_base& frame) noexcept {
    if (!leaf::wait(frame)) return false;
    home_ = &executor::current();
    home_->expect_post(+1);
    if (signal_hub::instance().wait(of_, *this)) return true;
    home_->expect_post(-1);
    unwait();
    return false;
}

void signal_set::next_await::cancel(cancel_reason) noexcept {
    if (!signal_hub::instance().leave(*this)) return;
    home_->expect_post(-1);
    resume();
}

void signal_set::next_await::run() noexcept {
    home_->expect_post(-1);
    resume();
}

void signal_set::next_await::describe(leaf_description& into) const {
    std::string text = "signal";
    for (std::uint64_t left = of_.mask_; left != 0; left &= left - 1)
        text += ' ' + name_of(std::countr_zero(left) + 1);
    into.text(std::move(text));
}

task<int> signal(int number) {
    signal_set once{number};
    const int got = co_await once.next();
    co_return got;
}

void deliver_signal(int number) noexcept { signal_hub::instance().deliver(number); }

run_signals::run_signals(workers& run, executor& loop)
    : run_(run),
      loop_(loop),
      stops_(run.options().stop_on_signals),
      dumps_(run.options().dump_on_sigusr1) {
    signal_hub::instance().add(*this);
}

run_signals::~run_signals() { signal_hub::instance().remove(*this); }

void run_signals::dispatch() noexcept {
    if (arrived.load(std::memory_order_relaxed) == 0) [[likely]]
        return;
    for (std::uint64_t bits = arrived.exchange(0); bits != 0; bits &= bits - 1)
        signal_hub::instance().deliver(std::countr_zero(bits) + 1);
}

}  // namespace ouro
