// task.hpp: the coroutine type: lazy, one owner, awaited once.
#pragma once

#include <ouro/runtime/compiler.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/result.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ouro {

template <class T = void>
class task;

template <class T>
struct is_task : std::false_type {};
template <class T>
struct is_task<task<T>> : std::true_type {};

/// True for `task<T>&`: a variable must be moved from to be awaited.
template <class Awaitable>
constexpr bool is_task_variable =
    std::is_lvalue_reference_v<Awaitable> && is_task<std::remove_cvref_t<Awaitable>>::value;

/// True for a variable of what refers to the temporary that it was made of: that is gone by now.
template <class Awaitable>
constexpr bool is_stale = std::is_lvalue_reference_v<Awaitable> && requires {
    requires std::remove_cvref_t<Awaitable>::refers_to_temporary;
};

/// The promise of a frame of ours: anything that may await.
template <class P>
concept frame_promise = std::derived_from<P, promise_base>;

/// A cancelled chain may go on waiting in a loop, refused each time. That must not hold the worker
/// for ever: when the budget is spent the frame goes to the back of the ready queue. True if it
/// does.
bool give_way_if_cancelled(promise_base& frame) noexcept;

/// Stands for an awaiter that stays where it is. Whatever reference await_transform returns, g++
/// copies what it refers to, and operations are not to be copied.
template <class Awaiter>
struct awaiter_ref {
    std::remove_reference_t<Awaiter>& awaiter;

    bool await_ready() { return awaiter.await_ready(); }
    template <class P>
    auto await_suspend(std::coroutine_handle<P> by) {
        if constexpr (std::is_same_v<decltype(awaiter.await_suspend(by)), bool>)
            return awaiter.await_suspend(by) || give_way_if_cancelled(by.promise());
        else
            return awaiter.await_suspend(by);
    }
    decltype(auto) await_resume() { return awaiter.await_resume(); }
};

/// Behaviour shared by the promises of tasks and generators: frames come from the pool, and every
/// await notes its place.
struct frame_promise_base : promise_base {
    static void* operator new(std::size_t size) { return frame_pool::allocate(size); }
    static void operator delete(void* frame, std::size_t size) noexcept {
        frame_pool::release(frame, size);
    }

    template <class Awaitable>
    decltype(auto) await_transform(
        Awaitable&& awaitable,
        std::source_location place = std::source_location::current()) noexcept {
        static_assert(!is_task_variable<Awaitable>, "a task is awaited once: std::move(task)");
        static_assert(!is_stale<Awaitable>,
                      "it refers to a temporary: await it in the expression that makes it");
        where = place;
        if constexpr (is_task<std::remove_cvref_t<Awaitable>>::value)
            return awaitable.borrowed();  // which lives as long as the expression
        else if constexpr (requires { static_cast<Awaitable&&>(awaitable).operator co_await(); })
            return static_cast<Awaitable&&>(awaitable);
        else {
            static_assert(requires { awaitable.await_ready(); }, "this cannot be awaited");
            return awaiter_ref<Awaitable>{awaitable};
        }
    }
};

/// The end of a frame: its parent runs next, or its chain is over.
struct final_await {
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    void await_suspend(std::coroutine_handle<P> handle) const noexcept {
        promise_base& frame = handle.promise();
        executor& here = executor::current();
        if (frame.parent)
            here.run_next(*frame.parent);
        else
            here.end_chain(*frame.owner);
    }
    void await_resume() const noexcept {}
};

/// True for the type of a lambda. Nothing but its name tells one.
template <class F>
consteval bool is_lambda() {
    const std::string_view name = __PRETTY_FUNCTION__;
    const std::size_t clang = name.find("= (lambda at ");
    const std::size_t gcc = name.rfind("<lambda(");
    return clang != name.npos || (gcc != name.npos && name.find(">::", gcc) == name.npos);
}

/// Where a lambda is written; clang has that in its name, g++ does not.
struct lambda_place {
    std::string_view file;
    unsigned line = 0;  // 0: not known
    unsigned column = 0;

    /// Whether it is written in the arguments of the call that begins at `call`.
    bool in_arguments_of(const std::source_location& call) const noexcept;
};

template <class F>
consteval lambda_place find_lambda() {
    const std::string_view name = __PRETTY_FUNCTION__;
    const std::size_t begin = name.find("= (lambda at ");
    if (begin == name.npos) return {};
    std::string_view left = name.substr(begin + 13);
    left = left.substr(0, left.rfind(')'));
    const auto take_number = [&left] {
        const std::size_t colon = left.rfind(':');
        unsigned number = 0;
        for (const char digit : left.substr(colon + 1))
            number = 10 * number + static_cast<unsigned>(digit - '0');
        left = left.substr(0, colon);
        return number;
    };
    lambda_place found;
    found.column = take_number();
    found.line = take_number();
    found.file = left;
    return found;
}
template <class F>
inline constexpr lambda_place place_of_lambda = find_lambda<F>();

/// Where a task keeps what it returns or throws.
template <class T>
class task_outcome {
    using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

public:
    task_outcome() noexcept {}
    ~task_outcome() {
        drop_value();
        if (kind_ == kind::failure) std::destroy_at(&failure_);
    }

    template <class U = T>
        requires std::convertible_to<U&&, T>
    void return_value(U&& value) {
        OURO_ASSERT(kind_ == kind::none);
        if constexpr (std::is_reference_v<T>)
            std::construct_at(&value_, std::addressof(value));
        else
            std::construct_at(std::addressof(value_), std::forward<U>(value));
        kind_ = kind::value;
    }

    void unhandled_exception() noexcept {
        drop_value();  // a destructor may throw after co_return
        std::construct_at(&failure_, std::current_exception());
        kind_ = kind::failure;
    }

    T take() {
        OURO_ASSERT(kind_ != kind::none);
        if (kind_ == kind::failure) std::rethrow_exception(failure_);
        if constexpr (std::is_reference_v<T>)
            return static_cast<T>(*value_);
        else
            return std::move(value_);
    }

    /// True while there is neither a value nor an exception.
    bool empty() const noexcept { return kind_ == kind::none; }

    std::exception_ptr failure() const noexcept {
        return kind_ == kind::failure ? failure_ : nullptr;
    }

private:
    enum class kind : unsigned char { none, value, failure };

    void drop_value() noexcept {
        if (kind_ == kind::value) std::destroy_at(std::addressof(value_));
    }

    union {
        stored value_;
        std::exception_ptr failure_;
    };
    kind kind_ = kind::none;
};

template <>
class task_outcome<void> {
public:
    void return_void() noexcept { done_ = true; }
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }
    void take() {
        OURO_ASSERT(done_ || failure_);
        if (failure_) std::rethrow_exception(failure_);
    }
    bool empty() const noexcept { return !done_ && !failure_; }
    std::exception_ptr failure() const noexcept { return failure_; }

private:
    std::exception_ptr failure_;
    bool done_ = false;
};

/// A coroutine that produces a `T`, or throws, or is cancelled.
///
/// It starts when awaited and runs on the worker that awaits it. Owned by one variable and awaited
/// once: `T x = co_await work();`. Reference parameters are safe when it is awaited at once; for a
/// spawned task they are not. A lambda that is a coroutine does not keep its captures: they stay in
/// the lambda, which must live as long as the task. So spawn() takes the lambda, and asserts when
/// it is given the task of one with captures. Whoever else begins a task asserts when the lambda
/// was a temporary that is gone by then, as far as the compiler tells where it is. Destroying a
/// task that has not started frees it; destroying one that is suspended in the middle is a bug,
/// which structured use makes impossible.
template <class T>
class [[nodiscard, gnu::warn_unused]] task {
public:
    struct promise_type : frame_promise_base, task_outcome<T> {
        task get_return_object() noexcept { return task(handle_type::from_promise(*this)); }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        final_await final_suspend() const noexcept { return {}; }

        bool of_captures = false;  // it is a lambda's, and uses what that has captured
    };
    /// Of a lambda's coroutine.
    struct capturing_promise : promise_type {
        const void* lambda = nullptr;  // where in memory it is, if the compiler tells (g++)
        const lambda_place* written = nullptr;  // where in the source
    };
    /// A lambda is no complete type until its body has been read.
    template <class Lambda>
    struct lambda_promise final : capturing_promise {
        lambda_promise() noexcept {
            this->of_captures = !std::is_empty_v<Lambda>;
            this->written = &place_of_lambda<Lambda>;
        }
        template <class... Args>
        explicit lambda_promise(const Lambda& made_by, const Args&...) noexcept : lambda_promise() {
            this->lambda = std::addressof(made_by);
        }
    };
    using handle_type = std::coroutine_handle<promise_type>;
    using value_type = T;

    // promise_base finds the frame by its own address; that needs the alignment to agree.
    static_assert(
        std::is_void_v<T> || std::is_reference_v<T> || requires { requires alignof(T) <= 16; },
        "over-aligned task results are not supported; return a std::unique_ptr");

    task(task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    task& operator=(task other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~task() {
        if (frame_) frame_.destroy();
    }

    class awaiter {
    public:
        explicit awaiter(handle_type frame) noexcept : frame_(frame) {
            OURO_ASSERT(frame && "task: awaited after it was moved from: await it once");
        }

        bool await_ready() const noexcept { return false; }

        template <frame_promise P>
        void await_suspend(std::coroutine_handle<P> by) const noexcept {
            promise_base& child = frame_.promise();
            OURO_ASSERT(child.owner == nullptr && "task: awaited twice: a task is awaited once");
            check_captures(frame_);
            child.parent = &by.promise();
            child.owner = child.parent->owner;
            executor::current().run_next(child);
        }

        T await_resume() const { return frame_.promise().take(); }

    private:
        handle_type frame_;
    };

    /// Owns the frame, for those who keep what they await.
    class owning_awaiter final : public awaiter {
    public:
        explicit owning_awaiter(task&& body) noexcept
            : awaiter(body.frame_), body_(std::move(body)) {}

    private:
        task body_;
    };

    owning_awaiter operator co_await() && noexcept { return owning_awaiter(std::move(*this)); }

    /// Awaits the task where it is; it must stay there.
    awaiter borrowed() const noexcept { return awaiter(frame_); }

    /// True when it uses what a lambda has captured.
    bool of_captures() const noexcept { return frame_ && frame_.promise().of_captures; }

    /// Asserts that what a lambda has captured for it can be there when it runs. A temporary
    /// cannot, nor can the variable of a function that is no coroutine.
    void assert_captures_stay() const noexcept { check_captures(frame_); }

    /// True when its lambda is a temporary in the arguments of the call that begins at `call`, as
    /// far as the compiler tells.
    bool made_in(const std::source_location& call) const noexcept {
        if (!of_captures()) return false;
        const auto& promise = static_cast<capturing_promise&>(frame_.promise());
        return promise.written->in_arguments_of(call);
    }

    /// Gives up ownership of the suspended frame; how spawning takes it over.
    handle_type release() && noexcept { return std::exchange(frame_, {}); }

private:
    explicit task(handle_type frame) noexcept : frame_(frame) {}

    static void check_captures(handle_type frame) noexcept {
        if (!frame || !frame.promise().of_captures) return;
        const void* lambda = static_cast<capturing_promise&>(frame.promise()).lambda;
        OURO_ASSERT(
            !executor::current().ends_with_resumption(lambda) &&
            "spawn: a lambda's captures end before its task: give spawn the lambda, without ()");
    }

    handle_type frame_;
};

}  // namespace ouro

/// The coroutine of a lambda has the lambda as its first parameter.
template <class T, class F, class... Args>
    requires(ouro::is_lambda<std::remove_cv_t<F>>())
struct std::coroutine_traits<ouro::task<T>, F&, Args...> {
    using promise_type = typename ouro::task<T>::template lambda_promise<std::remove_cv_t<F>>;
};
