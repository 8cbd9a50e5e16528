// as_result.hpp: awaiting without exceptions, and how adaptors look through an awaitable.
#pragma once

#include <ouro/runtime/task.hpp>

#include <concepts>
#include <system_error>
#include <utility>

namespace ouro {

/// The awaiter of an awaitable: what its `operator co_await` makes, or itself.
template <class Awaitable>
decltype(auto) awaiter_of(Awaitable&& awaitable) {
    static_assert(!is_task_variable<Awaitable>, "a task is awaited once: std::move(task)");
    static_assert(!is_stale<Awaitable>,
                  "it refers to a temporary: await it in the expression that makes it");
    if constexpr (requires { static_cast<Awaitable&&>(awaitable).operator co_await(); })
        return static_cast<Awaitable&&>(awaitable).operator co_await();
    else
        return (awaitable);
}

template <class Awaitable>
using awaiter_type = decltype(awaiter_of(std::declval<Awaitable>()));

/// What `co_await` of it yields.
template <class Awaitable>
using await_value = decltype(std::declval<awaiter_type<Awaitable>&>().await_resume());

/// Suspends through any awaiter, whatever its await_suspend returns; false: go on at once.
template <class Awaiter, frame_promise P>
bool suspend_on(Awaiter& awaiter, std::coroutine_handle<P> by) {
    if constexpr (std::is_void_v<decltype(awaiter.await_suspend(by))>) {
        awaiter.await_suspend(by);
        return true;
    } else {
        return awaiter.await_suspend(by);
    }
}

template <class T>
struct result_of_value {
    using type = result<T>;
};
template <class T>
struct result_of_value<result<T>> {
    using type = result<T>;  // what is a result already stays one
};
template <class T>
using as_result_type = typename result_of_value<T>::type;

/// Calls `f()`; a std::system_error becomes its code and keeps its words, other exceptions pass.
template <class F>
auto result_of(F f) -> as_result_type<decltype(f())> {
    try {
        if constexpr (std::is_void_v<decltype(f())>) {
            f();
            return {};
        } else {
            return f();
        }
    } catch (const std::system_error& error) {
        return failure_cause(error.code(), std::current_exception());
    }
}

/// Takes the outcome of a finished awaiter as a value. Our own operations answer without an
/// exception.
template <class Awaiter>
auto take_result(Awaiter& awaiter) -> as_result_type<decltype(awaiter.await_resume())> {
    if constexpr (requires { awaiter.await_result(); })
        return awaiter.await_result();
    else
        return result_of([&]() -> decltype(auto) { return awaiter.await_resume(); });
}

/// Says that `frame` awaits it, or something that answers for it; see leaf::note_awaited.
template <class Awaiter>
void pass_on_awaited(Awaiter& awaiter, promise_base& frame) noexcept {
    if constexpr (requires { awaiter.note_awaited(frame); }) awaiter.note_awaited(frame);
}

/// True for what refers to a temporary, and not to a variable or an awaiter of its own.
template <class Awaitable>
constexpr bool keeps_reference_to_temporary =
    std::is_rvalue_reference_v<Awaitable&&> && std::is_reference_v<awaiter_type<Awaitable>>;

/// Awaits like `Awaitable`, but yields a result<T>; see as_result.
template <class Awaitable>
class [[nodiscard, gnu::warn_unused]] as_result_await {
public:
    static constexpr bool refers_to_temporary = keeps_reference_to_temporary<Awaitable>;

    explicit as_result_await(Awaitable&& awaitable)
        : inner_(awaiter_of(static_cast<Awaitable&&>(awaitable))) {}

    bool await_ready() { return inner_.await_ready(); }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        return suspend_on(inner_, by);
    }
    auto await_resume() { return take_result(inner_); }
    void note_awaited(promise_base& frame) noexcept { pass_on_awaited(inner_, frame); }

private:
    awaiter_type<Awaitable> inner_;
};

/// `auto got = co_await as_result(stream.recv(space));` yields a result<std::size_t> and does not
/// throw std::system_error: a disconnect, a timeout or a cancellation costs no unwinding. Where
/// there was an exception all the same, as in a task, `got.error_text()` has its words.
///
/// It owns a task that it is given; to anything else it refers, so that one made of a temporary
/// does not compile unless it is awaited in the expression that makes it.
template <class Awaitable>
as_result_await<Awaitable&&> as_result(Awaitable&& awaitable) {
    return as_result_await<Awaitable&&>(static_cast<Awaitable&&>(awaitable));
}

}  // namespace ouro
