// wait_list.hpp: who waits for a worker-local thing, first come first served.
//
// Every primitive of this folder is a thin hat on it: a few counters, a wait_list, and operations
// that say when they can be answered (`attempt`) and where they wait otherwise (`queue`).
//
//   1. An operation waits exactly while it is in a list. Whoever takes it out answers it in the
//      same breath: `wake`, or the request to cancel.
//   2. Whatever is handed over is put into the operation before it is woken. A request to cancel
//      that comes later finds no leaf, so the operation succeeds: nothing handed over is lost.
//   3. A cancelled operation leaves its list in O(1) and has taken nothing.
//   4. An operation started in a chain that was asked to stop is refused before it is attempted,
//      also when it could have been answered at once.
//   5. An operation answered at once spends the task's budget; when that is used up, the task
//      goes to the back of the ready queue with the answer in its hands.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace ouro {

class wait_list;

/// An operation on a primitive, in the awaiting frame: answered at once, or waiting in a wait_list.
class waiter : public leaf, public list_hook<waiter> {
public:
    void describe(leaf_description& into) const override;

protected:
    /// `what` is how dumps call it: "mutex", "channel recv". A literal.
    explicit waiter(const char* what) noexcept : what_(what) {}
    // Each await ends with it; not inlined, it would be a call and would write the table twice.
    [[gnu::always_inline]] ~waiter() = default;

    enum class state : std::uint8_t {
        answered = 0,  // without waiting, but the budget was used up
        awaited = 1,   // it waits, or has ended
        made = 2,      // and nobody has awaited it yet
    };

    /// What its destructor asks; it looks at what the way without waiting writes anyway.
    void assert_used() const noexcept {
        if (state_ == state::made) [[unlikely]]
            assert_awaited(what_);
    }

    /// The operation was answered without waiting. May the frame go on with that at once? Not when
    /// its budget is used up.
    bool may_go_on(executor& here) noexcept {
        const bool yes = here.spend();
        state_ = static_cast<state>(yes);
        return yes;
    }

    /// Puts the frame to sleep until it is woken or cancelled; when the operation was answered,
    /// only until everything that is ready has run.
    void suspend(wait_list& queue, promise_base& frame) noexcept;

    /// Suspends the frame until it is woken or cancelled.
    void wait_in(wait_list& queue, promise_base& frame) noexcept;
    /// Waits on in another list, after it was taken out of the one it was in.
    void move_to(wait_list& queue) noexcept;

    const char* what() const noexcept { return what_; }

    void fail(errc why) noexcept { error_ = why; }
    bool failed() const noexcept { return error_ != errc(); }
    errc error() const noexcept { return error_; }

    /// The operation was cancelled and is out of its list: may those behind it pass now?
    virtual void left() noexcept {}

    void cancel(cancel_reason) noexcept override;

private:
    friend class wait_list;

    const char* what_;
    errc error_ = errc();  // zero: it succeeded, or has not ended
    state state_ = state::made;
};

/// Waiting operations in the order of their arrival. Worker-local; owns nothing and allocates
/// nothing. Destroying it while somebody waits is a bug.
class wait_list {
public:
    wait_list() noexcept = default;
    ~wait_list() {
        OURO_ASSERT(empty() &&
                    "a primitive is destroyed while tasks wait for it: end those tasks first");
    }

    bool empty() const noexcept { return waiters_.empty(); }
    /// Walks the list; for reports and tests.
    std::size_t size() const noexcept { return waiters_.count(); }

    /// The oldest. `Op` is what the owner knows its waiters to be.
    template <class Op = waiter>
    Op& front() noexcept {
        return static_cast<Op&>(waiters_.front());
    }

    /// Takes out the oldest without waking it; its owner goes on with it at once.
    template <class Op>
    Op& take_front() noexcept {
        OURO_ASSERT(home_ == &executor::current() &&
                    "a primitive used on another worker: take its shared_ kin, or call_on");
        return static_cast<Op&>(waiters_.pop_front());
    }

    /// Takes out the oldest and makes its frame ready, with an error or having succeeded.
    void wake_one(errc error = errc()) noexcept;

    /// Wakes all who wait now, oldest first.
    void wake_all(errc error = errc()) noexcept {
        while (!empty()) wake_one(error);
    }

private:
    friend class waiter;

    intrusive_list<waiter, waiter> waiters_;
    executor* home_ = nullptr;  // of those who wait; valid while there are any
};

inline void waiter::move_to(wait_list& queue) noexcept {
    executor* here = &executor::current();
    OURO_ASSERT((queue.empty() || queue.home_ == here) &&
                "a primitive used on another worker: take its shared_ kin, or call_on");
    queue.home_ = here;
    queue.waiters_.push_back(*this);
}

inline void waiter::wait_in(wait_list& queue, promise_base& frame) noexcept {
    wait_regardless(frame);
    move_to(queue);
}

/// What `co_await` needs, for an operation `Op` that yields a `Value`. `Op` has
///
///   bool attempt() noexcept   answered now? It may `fail()` and answer true;
///   wait_list& queue()        where it waits otherwise;
///   Value value()             what it yields when it has succeeded.
template <class Op, class Value, class Base = waiter>
class [[nodiscard, gnu::warn_unused]] sync_op : public Base {
public:
    // What needs no waiting is done here, so that the frame is not even put to sleep for it. The
    // frame that awaits is the one that runs.
    bool await_ready() noexcept {
        executor& here = executor::current();
        if (here.running()->owner->cancelled())
            this->fail(errc::cancelled);
        else if (!self().attempt())
            return false;
        return this->may_go_on(here);
    }

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        this->suspend(self().queue(), by.promise());
        return true;
    }

    Value await_resume() {
        if (this->failed()) throw_error(this->error());
        return self().value();
    }

    result<Value> await_result() {
        if (this->failed()) return this->error();
        if constexpr (std::is_void_v<Value>)
            return {};
        else
            return self().value();
    }

protected:
    using Base::Base;
    [[gnu::always_inline]] ~sync_op() { this->assert_used(); }

private:
    Op& self() noexcept { return static_cast<Op&>(*this); }
};

}  // namespace ouro
