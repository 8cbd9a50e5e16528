// spawn.hpp: starting tasks of their own, and awaiting, cancelling or letting go of them.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <string_view>
#include <type_traits>

namespace ouro {

/// Owns the interest in a spawned task: await it, cancel it, or drop it, which detaches. It stays
/// on the task's worker and does not outlive it.
///
/// `T x = co_await handle;` resumes when the task has finished and hands over its value or rethrows
/// its exception; once. When the awaiting chain is cancelled, only the waiting ends. Awaiting a
/// temporary or a moved handle uses the handle up.
template <class T>
class join_handle;

/// Untyped half of join_handle.
class join_handle_base {
public:
    join_handle_base(join_handle_base&& other) noexcept
        : task_(std::exchange(other.task_, nullptr)) {}
    join_handle_base& operator=(join_handle_base&& other) noexcept {
        detach();
        task_ = std::exchange(other.task_, nullptr);
        return *this;
    }

    /// True until detached or moved from.
    explicit operator bool() const noexcept { return task_ != nullptr; }
    bool finished() const noexcept { return record().finished(); }
    /// True when it has finished with an exception.
    bool failed() const noexcept { return record().failure() != nullptr; }
    task_id id() const noexcept { return record().id(); }

    /// Asks the task to stop; it ends when it ends.
    void cancel(cancel_reason reason = cancel_reason::user) noexcept {
        record().assert_at_home();
        record().cancel(reason);
    }

    /// Gives the task a name for dumps; the text must outlive it.
    void set_name(std::string_view name) noexcept { record().set_name(name); }

    /// Lets the task go on alone. Its failure, if any, is logged and counted.
    void detach() noexcept {
        if (task_) std::exchange(task_, nullptr)->let_go();
    }

protected:
    explicit join_handle_base(root_task& task) noexcept : task_(&task) { task.hold(); }
    ~join_handle_base() { detach(); }

    root_task& record() const noexcept {
        OURO_ASSERT(task_ != nullptr && "join_handle: used after it was detached or moved from");
        return *task_;
    }

    /// Leaves its hold to the caller.
    root_task& give_up() noexcept {
        root_task& task = record();
        task_ = nullptr;
        return task;
    }

private:
    root_task* task_;
};

/// Waits for the end of a spawned task, and keeps its outcome meanwhile, so that the handle may go.
class join_await : public leaf, private task_owner {
public:
    /// Takes over one hold of the task.
    explicit join_await(root_task& task) noexcept : task_(task) {}

    bool await_ready() const noexcept { return task_.finished(); }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;

protected:
    ~join_await() { task_.let_go(); }

    /// Throws errc::cancelled unless the task has finished.
    void check() const;

    root_task& task_;

private:
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void task_ended(root_task&) noexcept override { resume(); }
};

template <class T>
class join_handle : public join_handle_base {
    using handle_type = typename task<T>::handle_type;

public:
    explicit join_handle(root_task& task) noexcept : join_handle_base(task) {}

    class awaiter final : public join_await {
    public:
        using join_await::join_await;
        T await_resume() {
            check();
            return take();
        }
        as_result_type<T> await_result() {
            if (!task_.finished()) return errc::cancelled;
            return result_of([this]() -> T { return take(); });
        }

    private:
        T take() {
            task_.take_outcome();
            auto& promise = static_cast<typename task<T>::promise_type&>(task_.frame());
            return promise.take();
        }
    };

    awaiter operator co_await() & noexcept {
        record().hold();
        return awaiter(record());
    }
    awaiter operator co_await() && noexcept { return awaiter(give_up()); }
};

/// Starts the frame of a task as a root of its own. May throw std::bad_alloc; then it frees the
/// task.
template <class T>
root_task& start_root(task<T> body, task_owner* owner, chain* parent, std::source_location place) {
    auto read_failure = [](promise_base& frame) noexcept {
        return static_cast<typename task<T>::promise_type&>(frame).failure();
    };
    task_map& tasks = executor::current("spawn").tasks();
    body.assert_captures_stay();
    tasks.make_room(1);  // may throw: the frame is still the task's
    promise_base& frame = std::move(body).release().promise();
    return tasks.start({&frame, read_failure, owner, parent, place});
}

/// Calls `f(args…)` and awaits the task it returns; the copies of both live in this frame.
template <class T, class F, class... Args>
task<T> call_and_await(F f, Args... args) {
    co_return co_await std::move(f)(std::forward<Args>(args)...);
}

/// A callable that returns a task when called with `Args`.
template <class F, class... Args>
concept task_function = requires(F f, Args&&... args) {
    typename decltype(std::move(f)(static_cast<Args&&>(args)...))::promise_type;
};

/// What the task returned by `f(args…)` yields.
template <class F, class... Args>
using task_value = typename decltype(std::declval<F>()(std::declval<Args>()...))::value_type;

/// Asserts that a task to be spawned may outlive the expression that made it.
template <class T>
void assert_keeps_itself(const task<T>& body) noexcept {
    OURO_ASSERT(
        !body.of_captures() &&
        "spawn: a lambda's captures end before its task: give spawn the lambda, without ()");
}

/// Starts `body` on this worker; it first runs after everything that is ready now. Never blocks.
///
/// Not for the task of a lambda with captures: spawn(the_lambda, args…) keeps them, too.
template <class T>
join_handle<T> spawn(task<T> body, std::source_location place = std::source_location::current()) {
    assert_keeps_itself(body);
    return join_handle<T>(start_root(std::move(body), nullptr, nullptr, place));
}

/// Starts `f(args…)` on this worker. The callable and copies of the arguments are kept until it
/// ends, so captures do not dangle; pass std::ref for what is known to live longer.
template <class F, class... Args>
    requires task_function<std::decay_t<F>, std::decay_t<Args>...>
auto spawn(F&& f, Args&&... args) {
    using value = task_value<std::decay_t<F>, std::decay_t<Args>...>;
    return spawn(call_and_await<value, std::decay_t<F>, std::decay_t<Args>...>(
                     std::forward<F>(f), std::forward<Args>(args)...),
                 std::source_location());
}

/// Lets everything that is ready run first. Throws errc::cancelled when the chain was cancelled.
class [[nodiscard, gnu::warn_unused]] yield_await {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        promise_base& frame = by.promise();
        cancelled_ = frame.owner->cancelled();
        if (!cancelled_) executor::current().make_ready(frame);
        return !cancelled_;
    }
    void await_resume() const {
        if (cancelled_) throw_error(errc::cancelled);
    }
    result<void> await_result() const noexcept {
        return cancelled_ ? result<void>(errc::cancelled) : result<void>();
    }

private:
    bool cancelled_ = false;
};

[[nodiscard]] inline yield_await yield() noexcept { return {}; }

}  // namespace ouro
