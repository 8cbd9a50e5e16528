// remote.hpp: the only door between workers: starting and calling on another one.
//
// What crosses is a posted message, and nothing else; each side touches only what is its own.
//
//   call_on   the awaiting frame               the other worker
//             call ───── posted ─────────────> starts f(args…) as a root task
//             cancel ─── posted, once ───────> asks that task to stop
//             call <──── posted ────────────── when it has ended, its value in the frame
//             cancel <── posted ────────────── at once
//
//  1. The two messages live in the awaiting frame and belong to the side that posted them last. The
//     frame goes on when both are home, so neither is ever in flight to or from a dead frame.
//  2. What f returns or throws is put into the frame before the call is posted back; inboxes order
//     that. While the call is out, the home side reads none of it.
//  3. The waiting task keeps its own worker from leaving its loop, and that one keeps the others.
//     What is spawned without anybody waiting is counted by the run until it has been started.
//     A call of a task that was left behind may arrive too late: it stays where it is, as the task
//     does.
#pragma once

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/workers.hpp>

#include <atomic>
#include <concepts>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro {

/// Which worker, and from where in the source it was named: what a number becomes when it is given
/// to spawn_on or call_on.
struct target_worker {
    target_worker(unsigned worker,
                  std::source_location from = std::source_location::current()) noexcept
        : number(worker), place(from) {}

    unsigned number;
    std::source_location place;
};

/// What `f(args…)` yields, awaited if it is a task.
template <class Returned>
struct yielded {
    using type = Returned;
};
template <class T>
struct yielded<task<T>> {
    using type = T;
};
template <class F, class... Args>
using yielded_by = typename yielded<std::invoke_result_t<F, Args...>>::type;

/// A spawned task of another worker, seen from here; copies name the same one. Letting go of it
/// does nothing to the task.
class remote_task {
public:
    class record;

    /// Takes over one reference.
    explicit remote_task(record& of) noexcept : of_(&of) {}
    remote_task(const remote_task& other) noexcept;
    remote_task& operator=(remote_task other) noexcept {
        std::swap(of_, other.of_);
        return *this;
    }
    ~remote_task();

    unsigned worker() const noexcept;

    /// Asks the task to stop; it ends when it ends, and if it, or its run, has ended nothing
    /// happens. From any thread.
    void cancel() noexcept;

private:
    record* of_;
};

/// What is posted to start a task elsewhere, and later to cancel it. Lives until nobody refers to
/// it: the handles, and each message while it is on its way.
class remote_task::record : private remote_call {
public:
    unsigned worker() const noexcept { return where_.number; }

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() noexcept;

    /// Posts it; once.
    void send() noexcept;
    void cancel() noexcept;

protected:
    explicit record(target_worker where) noexcept
        : run_(workers::current().shared_from_this()), where_(where), canceller_(*this) {}
    virtual ~record() = default;

    std::source_location place() const noexcept { return where_.place; }

private:
    struct canceller final : remote_call {
        explicit canceller(record& of) noexcept : record_(of) {}
        void run() noexcept override { record_.pass_on_cancel(); }
        record& record_;
    };

    /// Starts the task; on its worker.
    virtual root_task& start() = 0;

    void run() noexcept override;
    void pass_on_cancel() noexcept;

    /// Says in the log that it will not be started.
    void report_refused() const noexcept;

    std::shared_ptr<workers> run_;  // a handle may outlive run()
    target_worker where_;
    canceller canceller_;
    task_id id_ = 0;  // known on the task's worker only
    std::atomic<bool> cancel_sent_ = false;
    std::atomic<unsigned> references_ = 2;  // the first handle, and the message
};

/// The callable and its arguments, until the task is started.
template <class F, class... Args>
class remote_spawn final : public remote_task::record {
public:
    /// Makes the task; to be called on its worker.
    using maker = task<task_value<F, Args...>> (*)(F&&, Args&&...);

    template <class G, class... Given>
    explicit remote_spawn(target_worker where, maker make, G&& f, Given&&... args)
        : record(where), make_(make), f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {}

private:
    root_task& start() override {
        return std::apply([this](Args&... args) -> root_task& { return start_with(args...); },
                          args_);
    }

    root_task& start_with(Args&... args) {
        return start_root(make_(std::move(f_), std::move(args)...), nullptr, nullptr, place());
    }

    maker make_;
    F f_;
    std::tuple<Args...> args_;
};

/// Starts `f(args…)`, which returns a task, on a worker of this run; does not wait. Callable and
/// arguments are copied or moved, and the call is made there. A task that fails is logged with this
/// place and counted on its worker, as any detached one is; one that is started while the run stops
/// begins cancelled. From any thread of the run, also inside blocking(); when such a call has
/// outlived the run or its grace period, the task is not started, and the log has a warning.
template <class F, class... Args>
    requires task_function<std::decay_t<F>, std::decay_t<Args>...>
auto spawn_on(target_worker where, F&& f, Args&&... args) -> remote_task {
    using call = remote_spawn<std::decay_t<F>, std::decay_t<Args>...>;
    auto make = [](std::decay_t<F>&& callee, std::decay_t<Args>&&... given) {
        using value = task_value<std::decay_t<F>, std::decay_t<Args>...>;
        return call_and_await<value, std::decay_t<F>, std::decay_t<Args>...>(std::move(callee),
                                                                             std::move(given)...);
    };
    auto* made = new call(where, make, std::forward<F>(f), std::forward<Args>(args)...);
    remote_task handle(*made);
    made->send();
    return handle;
}

/// The worker with the fewest tasks, those and the calls on their way to it included; the calling
/// one when it is among them, else each of them in turn. 0 when the run is over.
unsigned least_loaded_worker() noexcept;

/// Starts `f(args…)` on the least loaded worker; see spawn_on.
template <class F, class... Args>
    requires task_function<std::decay_t<F>, std::decay_t<Args>...>
auto spawn_anywhere(F&& f, Args&&... args) {
    const target_worker where(least_loaded_worker(), std::source_location());
    return spawn_on(where, std::forward<F>(f), std::forward<Args>(args)...);
}

/// The untyped half of a call to another worker.
class remote_leaf : public leaf, protected task_owner {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;

protected:
    explicit remote_leaf(target_worker where) noexcept
        : where_(where), call_(*this), canceller_(*this) {}
    ~remote_leaf() { assert_awaited("call_on"); }

    /// Throws when the call was not made.
    void check() const {
        if (refused_) throw_error(errc::cancelled);
    }

private:
    /// Goes there and comes back.
    struct message : remote_call {
        explicit message(remote_leaf& of) noexcept : leaf_(of) {}
        remote_leaf& leaf_;
        bool there_ = false;  // it has been there
    };
    struct call_message final : message {
        using message::message;
        void run() noexcept override { there_ ? leaf_.came_home() : leaf_.begin(); }
    };
    struct cancel_message final : message {
        using message::message;
        void run() noexcept override { there_ ? leaf_.came_home() : leaf_.pass_on_cancel(); }
        cancel_reason reason_ = cancel_reason::none;
    };

    // At home.
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason reason) noexcept override;
    void came_home() noexcept;

    // There.
    void begin() noexcept;
    void pass_on_cancel() noexcept;
    void send_home(message& what) noexcept;
    void task_ended(root_task&) noexcept override;

    /// Makes the call. The task it started, told to report to `owner`; null when it is over.
    virtual root_task* call(task_owner& owner, std::source_location place) noexcept = 0;

    target_worker where_;
    call_message call_;
    cancel_message canceller_;
    executor* home_ = nullptr;
    time_point deadline_ = time_point::max();
    unsigned out_ = 0;           // messages that are not home
    bool refused_ = false;       // the chain was cancelled before
    root_task* task_ = nullptr;  // there; while it lives
};

/// Awaits `given` and keeps what it returns or throws. The inner frame is gone when this ends.
template <class T>
task<> keep_remote_outcome(task<T> given, task_outcome<T>& into) {
    try {
        task<T> body = std::move(given);
        if constexpr (std::is_void_v<T>) {
            co_await std::move(body);
            into.return_void();
        } else {
            into.return_value(co_await std::move(body));
        }
    } catch (...) {
        into.unhandled_exception();
    }
}

/// A call to another worker; made by call_on.
template <class F, class... Args>
class [[nodiscard, gnu::warn_unused]] call_on_await final : public remote_leaf {
    using returned = std::invoke_result_t<F, Args...>;
    using value = yielded_by<F, Args...>;

public:
    template <class G, class... Given>
    explicit call_on_await(target_worker where, G&& f, Given&&... args)
        : remote_leaf(where), f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {}

    value await_resume() {
        check();
        return outcome_.take();
    }

private:
    root_task* call(task_owner& owner, std::source_location place) noexcept override {
        try {
            if constexpr (is_task<returned>::value) {
                auto body =
                    keep_remote_outcome(std::apply(std::move(f_), std::move(args_)), outcome_);
                return &start_root(std::move(body), &owner, nullptr, place);
            } else if constexpr (std::is_void_v<returned>) {
                std::apply(std::move(f_), std::move(args_));
                outcome_.return_void();
            } else {
                outcome_.return_value(std::apply(std::move(f_), std::move(args_)));
            }
        } catch (...) {
            outcome_.unhandled_exception();
        }
        return nullptr;
    }

    F f_;
    std::tuple<Args...> args_;
    task_outcome<value> outcome_;
};

/// `int n = co_await call_on(1, count, word);` calls `f(args…)` on a worker of this run, awaits the
/// task there when it returns one, and yields the value, or rethrows the exception, here. Callable
/// and arguments live in the awaiting frame; only the task itself is allocated, over there.
///
/// When the awaiting chain is cancelled the request is passed on, and the await lasts until the
/// task has ended; a value that came first is returned. The task inherits the deadline.
template <class F, class... Args>
    requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
auto call_on(target_worker where, F&& f, Args&&... args) {
    return call_on_await<std::decay_t<F>, std::decay_t<Args>...>(where, std::forward<F>(f),
                                                                 std::forward<Args>(args)...);
}

/// call_on as a task of its own.
template <class F>
task<yielded_by<F>> call_on_as_task(target_worker where, F f) {
    co_return co_await call_on(where, std::move(f));
}

/// Calls a copy of `f` on every worker at the same time, this one included, awaits all, and yields
/// their values in the order of the workers (nothing when they are void). The first failure cancels
/// the others.
template <class F>
auto on_each_worker(F f, std::source_location place = std::source_location::current())
    -> task<std::conditional_t<std::is_void_v<yielded_by<F>>, void,
                               std::vector<branch_value<yielded_by<F>>>>> {
    std::vector<task<yielded_by<F>>> calls;
    for (unsigned worker = 0; worker < worker_count(); ++worker)
        calls.push_back(call_on_as_task(target_worker(worker, place), f));
    auto values = co_await all_of(std::move(calls));
    if constexpr (!std::is_void_v<yielded_by<F>>) co_return values;
}

}  // namespace ouro
