// abandonable.hpp: calling what blocks and may hang, such that nobody has to wait for it.
#pragma once

#include <ouro/runtime/engine/blocking_pool.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace ouro {

/// The untyped half of an abandonable call: the leaf of the chain that waits for it.
class abandonable_leaf : public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return suspend(by.promise());
    }

    void describe(leaf_description& into) const override;

protected:
    /// Belongs to the leaf, or to the thread that it was left to.
    class job : public blocking_job {
    public:
        explicit job(blocking_lane lane) noexcept : blocking_job(lane) {}
        virtual ~job() = default;

    private:
        friend class abandonable_leaf;

        void done() noexcept final { waiter_->resume(); }
        void left() noexcept final { delete this; }

        abandonable_leaf* waiter_ = nullptr;
    };

    explicit abandonable_leaf(std::unique_ptr<job> made) noexcept : job_(std::move(made)) {}
    ~abandonable_leaf() { assert_awaited("abandonable"); }

    /// Throws when there is no outcome.
    void check() const {
        if (refused_) throw_error(refused_);
    }

    std::unique_ptr<job> job_;  // null when it was left

private:
    bool suspend(promise_base& frame) noexcept;
    void cancel(cancel_reason) noexcept override;

    std::error_code refused_;
};

/// A call whose thread owns all that it needs; made by abandonable().
template <class F, class... Args>
class [[nodiscard, gnu::warn_unused]] abandonable_await final : public abandonable_leaf {
    using value = std::invoke_result_t<F, Args...>;

public:
    template <class G, class... Given>
    explicit abandonable_await(blocking_lane lane, G&& f, Given&&... args)
        : abandonable_leaf(
              std::make_unique<call>(lane, std::forward<G>(f), std::forward<Given>(args)...)) {}

    value await_resume() {
        check();
        return static_cast<call&>(*job_).outcome.take();
    }

private:
    class call final : public job {
    public:
        template <class G, class... Given>
        explicit call(blocking_lane lane, G&& f, Given&&... args)
            : job(lane), f_(std::forward<G>(f)), args_(std::forward<Given>(args)...) {}

        task_outcome<value> outcome;

    private:
        void work() noexcept override {
            try {
                if constexpr (std::is_void_v<value>) {
                    std::apply(std::move(f_), std::move(args_));
                    outcome.return_void();
                } else {
                    outcome.return_value(std::apply(std::move(f_), std::move(args_)));
                }
            } catch (...) {
                outcome.unhandled_exception();
            }
        }

        F f_;
        std::tuple<Args...> args_;
    };
};

/// Like blocking(), but whoever is cancelled goes on at once with errc::cancelled: a call that has
/// begun is left to its thread, which drops the outcome, and no run waits for it. For calls that
/// may hang and have no effect that matters, such as getaddrinfo(3).
///
/// Callable and arguments are copied or moved into memory of their own (one allocation) and must
/// refer to nothing that may die sooner than the call returns, which can be after main(). Errors as
/// of blocking().
template <class F, class... Args>
auto abandonable(blocking_lane lane, F&& f, Args&&... args) {
    return abandonable_await<std::decay_t<F>, std::decay_t<Args>...>(lane, std::forward<F>(f),
                                                                     std::forward<Args>(args)...);
}

}  // namespace ouro
