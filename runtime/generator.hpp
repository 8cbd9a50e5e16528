// generator.hpp: a coroutine that yields one value after the other and may await in between.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace ouro {

/// A sequence of `T` that is produced while it is consumed.
///
///     async_generator<row> rows(connection& from) { … co_yield r; … }
///
///     auto all = rows(from);
///     while (auto r = co_await all.next()) use(*r);
///
/// It starts with the first next() and runs on the worker of, and inside the chain of, whoever
/// awaits next(): a request to cancel or a timeout there reaches what it awaits. Owned by one
/// variable; one next() at a time. It may be destroyed after any value, which unwinds it there, or
/// unstarted; not while next() is awaited, which structured use makes impossible.
template <class T>
class [[nodiscard]] async_generator {
    static_assert(std::is_object_v<T>, "yield pointers or values, not references");
    static_assert(alignof(T) <= 16, "over-aligned values are not supported");

public:
    class promise_type;
    using handle_type = std::coroutine_handle<promise_type>;
    using value_type = T;
    class next_await;

    async_generator(async_generator&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
    async_generator& operator=(async_generator other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~async_generator() {
        if (!frame_) return;
        OURO_ASSERT(!frame_.promise().producing() &&
                    "async_generator: destroyed while next() is awaited: end that task first");
        frame_.destroy();
    }

    /// Runs it to its next co_yield. Empty when it has ended, also after a failure. Rethrows what
    /// the coroutine threw. Throws errc::cancelled without running it when the chain was asked to
    /// stop; then nothing is lost, and next() may be called again under a shield.
    next_await next() noexcept {
        OURO_ASSERT(frame_ && "async_generator: next() on one that was moved from");
        return next_await(frame_.promise());
    }

private:
    explicit async_generator(handle_type frame) noexcept : frame_(frame) {}

    handle_type frame_;
};

/// The frame of a generator. Its parent is whoever awaits next(), each time anew.
template <class T>
class async_generator<T>::promise_type final : public frame_promise_base {
public:
    async_generator get_return_object() noexcept {
        return async_generator(handle_type::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }

    /// Hands over to the parent: at co_yield and at the end.
    struct hand_over {
        bool await_ready() const noexcept { return false; }
        void await_suspend(handle_type self) const noexcept { self.promise().produced(); }
        void await_resume() const noexcept {}
    };
    hand_over final_suspend() const noexcept { return {}; }

    template <class U>
        requires std::convertible_to<U&&, T>
    hand_over yield_value(U&& value) {
        value_.emplace(std::forward<U>(value));
        return {};
    }
    void return_void() noexcept { ended_ = true; }
    void unhandled_exception() noexcept {
        failure_ = std::current_exception();
        ended_ = true;
    }

    bool producing() const noexcept { return producing_; }
    bool ended() const noexcept { return ended_; }

    void produce_for(promise_base& consumer) noexcept {
        OURO_ASSERT(!producing_ &&
                    "async_generator: one next() at a time: await the first one first");
        producing_ = true;
        parent = &consumer;
        owner = consumer.owner;
        executor::current().run_next(*this);
    }

    std::optional<T> take() {
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
        if (!value_) return std::nullopt;
        std::optional<T> taken(std::move(*value_));
        value_.reset();
        return taken;
    }

private:
    void produced() noexcept {
        producing_ = false;
        executor::current().run_next(*parent);
    }

    std::optional<T> value_;
    std::exception_ptr failure_;
    bool producing_ = false;
    bool ended_ = false;
};

/// Waits for the next value; see async_generator::next.
template <class T>
class [[nodiscard, gnu::warn_unused]] async_generator<T>::next_await {
public:
    explicit next_await(promise_type& from) noexcept : from_(from) {}
    ~next_await() {
#ifndef OURO_NO_ASSERT
        if (!awaited_) [[unlikely]]
            never_awaited("generator");
#endif
    }
    next_await(const next_await&) = delete;
    next_await& operator=(const next_await&) = delete;

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        promise_base& consumer = by.promise();
        note_awaited(consumer);
        refused_ = consumer.owner->cancelled();
        if (refused_ || from_.ended()) return false;
        from_.produce_for(consumer);
        return true;
    }
    std::optional<T> await_resume() {
        if (refused_) throw_error(errc::cancelled);
        return from_.take();
    }
    void note_awaited(promise_base&) noexcept { awaited_ = true; }
    result<std::optional<T>> await_result() {
        if (refused_) return errc::cancelled;
        try {
            return from_.take();
        } catch (const std::system_error& error) {
            return failure_cause(error.code(), std::current_exception());
        }
    }

private:
    promise_type& from_;
    bool refused_ = false;
    bool awaited_ = false;
};

}  // namespace ouro
