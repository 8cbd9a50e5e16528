// scope.hpp: structured concurrency: what a scope starts ends before the scope does.
#pragma once

#include <ouro/runtime/task_group.hpp>

#include <optional>

namespace ouro {

/// How a child keeps argument `At`: as a copy, unless only a reference to the variable will do.
template <std::size_t At, class F, class... Args>
constexpr bool takes_a_copy = []<std::size_t... I>(std::index_sequence<I...>) {
    return task_function<F, std::conditional_t<I == At, std::decay_t<Args>, Args>...>;
}(std::index_sequence_for<Args...>());

/// The children of one with_scope.
///
/// The first child that fails, or the body when it fails, cancels all others; with_scope waits for
/// them and rethrows that failure. Cancelling the chain that waits in with_scope cancels body and
/// children.
class scope final : public task_group {
public:
    /// `home` is the chain that will wait for the children.
    explicit scope(chain& home) noexcept : task_group("scope"), home_(home) {}

    /// Starts a child. It inherits the deadline of the scope, and its end: what is started after
    /// the scope was cancelled or has failed is refused at its first wait. May be called as long as
    /// the body or a child lives. A lambda with captures that made the task must live longer than
    /// the scope; give the lambda itself, without calling it, and the child keeps it. One that was
    /// a temporary, or is a variable of a function that is no coroutine, is an assertion.
    template <class T>
    join_handle<T> spawn(task<T> body,
                         std::source_location place = std::source_location::current()) {
        OURO_ASSERT(
            !body.made_in(place) &&
            "spawn: a lambda's captures end before its task: give spawn the lambda, without ()");
        OURO_ASSERT(!over() && "scope: the scope has ended: spawn from its body or from a child");
        root_task& child = start(std::move(body), &home_, place);
        ++children_;
        if (const auto why = why_stop(); why != cancel_reason::none) child.cancel(why);
        return join_handle<T>(child);
    }

    /// Starts `f(args…)` as a child. Each argument is copied or moved into the child's frame,
    /// unless the parameter is a reference that only a variable fits (`T&`): that variable must
    /// live longer than the scope, as everything declared outside it does.
    template <class F, class... Args>
        requires task_function<std::decay_t<F>, Args...>
    auto spawn(F&& f, Args&&... args) {
        return spawn(keep(std::index_sequence_for<Args...>(), std::forward<F>(f),
                          std::forward<Args>(args)...),
                     std::source_location());
    }

    /// Asks every child to stop, those to come included; the body goes on. Children that end as
    /// cancelled are then no failure, and neither is one that was cancelled through its handle.
    void cancel() noexcept;

    /// Children that have not ended, without the body.
    std::size_t size() const noexcept { return children_; }

private:
    template <class T>
    friend class scope_await;

    template <std::size_t... I, class F, class... Args>
    static auto keep(std::index_sequence<I...>, F&& f, Args&&... args) {
        using callable = std::decay_t<F>;
        using value = task_value<callable, Args...>;
        return call_and_await<
            value, callable,
            std::conditional_t<takes_a_copy<I, callable, Args...>, std::decay_t<Args>, Args>...>(
            std::forward<F>(f), std::forward<Args>(args)...);
    }

    /// The first failure decides how the scope ends.
    void fail(std::exception_ptr why) noexcept;
    cancel_reason why_stop() const noexcept;
    bool over() const noexcept { return begun_ && !waiting(); }

    using task_group::cancel;  // the request from outside, beside the public one
    void member_ended(root_task& member) noexcept override;

    chain& home_;
    root_task* body_ = nullptr;  // while it runs
    std::size_t children_ = 0;
    std::exception_ptr failure_;
    bool asked_to_stop_ = false;
    bool begun_ = false;
};

/// Runs the body of a scope and waits for everything in it.
template <class T>
class [[nodiscard, gnu::warn_unused]] scope_await final {
public:
    template <class Body>
    scope_await(scope& tasks, Body& body) noexcept : tasks_(tasks) {
        try {
            start(body(tasks));
        } catch (...) {
            // A body that is no coroutine may throw at once, having started children.
            tasks_.fail(std::current_exception());
        }
    }

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        tasks_.begun_ = true;
        return tasks_.wait_for_members(by.promise());
    }
    T await_resume() {
        if (tasks_.failure_) std::rethrow_exception(tasks_.failure_);
        return handle_->operator co_await().await_resume();
    }

private:
    void start(task<T> body) {
        root_task& started = tasks_.start(std::move(body), &tasks_.home_, std::source_location());
        tasks_.body_ = &started;
        handle_.emplace(started);
    }

    scope& tasks_;
    std::optional<join_handle<T>> handle_;
};

/// Calls `body(scope&)`, which returns a task, and waits for it and for everything it spawned.
/// Returns what the body returned. The body may capture by reference.
template <class Body>
task<task_value<Body, scope&>> with_scope(Body body) {
    scope tasks(*executor::current().running()->owner);
    scope_await<task_value<Body, scope&>> all(tasks, body);
    co_return co_await all;
}

}  // namespace ouro
