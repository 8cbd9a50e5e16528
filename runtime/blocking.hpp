// blocking.hpp: calling what blocks, without blocking the worker.
#pragma once

#include <ouro/runtime/engine/blocking_pool.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <optional>
#include <stop_token>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ouro {

/// The untyped half of a blocking call: a job, and the leaf of the chain that waits for it.
class blocking_leaf : public leaf, private blocking_job {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;

protected:
    blocking_leaf() noexcept = default;
    ~blocking_leaf() { assert_awaited("blocking"); }

    /// Throws when the call was not made.
    void check() const;

private:
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;
    void done() noexcept override { resume(); }

    /// Asks the running call to stop, where it can be told.
    virtual void request_stop() noexcept {}

    std::error_code refused_;
};

/// A call on a helper thread; made by blocking().
template <class F, class... Args>
class [[nodiscard, gnu::warn_unused]] blocking_await final : public blocking_leaf {
    static constexpr bool stoppable = std::invocable<F, std::stop_token, Args...>;

    using call_type = std::conditional_t<stoppable, std::invoke_result<F, std::stop_token, Args...>,
                                         std::invoke_result<F, Args...>>;
    using value = typename call_type::type;

public:
    template <class G, class... Given>
    explicit blocking_await(std::in_place_t, G&& f, Given&&... args)
        : f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {
        if constexpr (stoppable) stop_.emplace();
    }

    value await_resume() {
        check();
        return outcome_.take();
    }

private:
    value call() {
        return std::apply(
            [this](Args&... args) -> value {
                if constexpr (stoppable)
                    return std::move(f_)(stop_->get_token(), std::move(args)...);
                else
                    return std::move(f_)(std::move(args)...);
            },
            args_);
    }

    void work() noexcept override {
        try {
            if constexpr (std::is_void_v<value>) {
                call();
                outcome_.return_void();
            } else {
                outcome_.return_value(call());
            }
        } catch (...) {
            outcome_.unhandled_exception();
        }
    }

    void request_stop() noexcept override {
        if constexpr (stoppable) stop_->request_stop();
    }

    F f_;
    std::tuple<Args...> args_;
    std::optional<std::stop_source> stop_;  // only for callables that take a token
    task_outcome<value> outcome_;
};

/// `auto text = co_await blocking(read_whole_file, path);` calls `f(args…)` on a helper thread of
/// the run and yields what it returns, or rethrows what it throws. Callable and arguments are
/// copied or moved in and live in the awaiting frame; nothing is allocated.
///
/// A call that has not begun when its chain is cancelled is never made: errc::cancelled. One that
/// has begun cannot be interrupted: the await lasts until the call returns and then yields its
/// result. A callable whose first parameter is a std::stop_token is told through it (that costs one
/// allocation) and may return early.
///
/// Throws errc::overloaded when runtime_options::blocking_queue_max calls wait for a thread, and
/// errc::no_thread when there is none and the system gives none. Inside `f` there is no executor:
/// it must not await, but may use shared_channel, spawn_on and the like. Files and lookups of names
/// have threads of their own.
///
/// A call that goes on when the grace period of the run is over keeps its thread and its frame, and
/// all that it asks of the run is refused; what it refers to in the caller's own objects must live
/// as long as it.
template <class F, class... Args>
auto blocking(F&& f, Args&&... args) {
    return blocking_await<std::decay_t<F>, std::decay_t<Args>...>(std::in_place, std::forward<F>(f),
                                                                  std::forward<Args>(args)...);
}

}  // namespace ouro
