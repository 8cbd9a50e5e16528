// shared_waiter.hpp: who waits for a thing that workers and plain threads share.
//
//   1. A shared thing has one lock, held for a few instructions and never across an await, a wake
//      or anything of the user's but moving a value. It guards the thing, its lists of waiters, and
//      of each waiter in them the answer.
//   2. A waiter is in a list or answered, and the lock decides which: whoever takes it out answers
//      it in the same breath, putting what is handed over into it. A request to cancel that comes
//      later finds it answered and does nothing, so nothing handed over is lost.
//   3. Waking happens after the lock is gone: a task by a post to its own worker, a thread by its
//      own condition. Until then the waiter's frame cannot end, and from then on nobody but its
//      owner touches it.
//   4. The last thing anybody does to the shared thing itself is to release the lock, so whoever is
//      woken may destroy it.
//   5. A waiting task counts as one that somebody outside may wake: no deadlock is reported for it,
//      since the runtime cannot know what plain threads will do.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/task.hpp>

#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <type_traits>

namespace ouro {

/// A task or a thread that waits.
class shared_waiter : public list_hook<shared_waiter> {
public:
    /// Has it go on. By the one who answered it, without a lock; it may be gone afterwards.
    virtual void wake() noexcept = 0;

    /// What is handed over when it is answered; the shared thing knows its type.
    void* subject() const noexcept { return subject_; }

    /// Marks it as answered, with an error or well. Under the lock.
    void answer(errc error) noexcept {
        OURO_ASSERT(!answered_);
        answered_ = true;
        error_ = error;
    }
    bool answered() const noexcept { return answered_; }
    errc error() const noexcept { return error_; }
    bool failed() const noexcept { return error_ != errc(); }

protected:
    explicit shared_waiter(void* subject) noexcept : subject_(subject) {}
    ~shared_waiter() = default;

    void fail(errc error) noexcept { error_ = error; }

private:
    void* subject_;
    errc error_ = errc();  // zero: well, or not ended
    bool answered_ = false;
};

/// Waiters in the order of their arrival; guarded by the lock of the thing they wait for.
class shared_wait_list {
public:
    ~shared_wait_list() {
        OURO_ASSERT(empty() &&
                    "a shared primitive is destroyed while somebody waits for it: end those first");
    }

    bool empty() const noexcept { return waiters_.empty(); }
    shared_waiter& front() noexcept { return waiters_.front(); }
    void push_back(shared_waiter& one) noexcept { waiters_.push_back(one); }

    /// Takes out the oldest and answers it; it is woken when `woken` is.
    void answer_front(shared_wait_list& woken, errc error = errc()) noexcept {
        shared_waiter& oldest = waiters_.pop_front();
        oldest.answer(error);
        woken.push_back(oldest);
    }
    void answer_all(shared_wait_list& woken, errc error) noexcept {
        while (!empty()) answer_front(woken, error);
    }

    /// Has all of them go on. Without the lock, for a list of those who were answered.
    void wake_all() noexcept {
        while (!empty()) {
            shared_waiter& oldest = waiters_.pop_front();
            OURO_ASSERT(oldest.answered());
            oldest.wake();
        }
    }

private:
    intrusive_list<shared_waiter, shared_waiter> waiters_;
};

/// A task that waits: a leaf of its chain, resumed by a post to its worker.
class shared_task_waiter : public leaf, private shared_waiter, private remote_call {
public:
    void describe(leaf_description& into) const override { into.text(what_); }

protected:
    /// `what` is how dumps call it. A literal.
    shared_task_waiter(const char* what, void* subject) noexcept
        : shared_waiter(subject), what_(what) {}
    ~shared_task_waiter() = default;

    using shared_waiter::error;
    using shared_waiter::fail;
    using shared_waiter::failed;
    using shared_waiter::subject;

    shared_waiter& as_waiter() noexcept { return *this; }
    const char* what() const noexcept { return what_; }

    /// Ends the operation without suspending, or, when the budget is used up, after everything
    /// that is ready. Returns what await_suspend has to return.
    bool go_on(promise_base& frame) noexcept { return executor::current().answered_at_once(frame); }

    /// Suspends the frame until it is woken or cancelled.
    void suspend_in(shared_wait_list& queue, promise_base& frame) noexcept {
        wait_here(frame);
        queue.push_back(*this);
    }
    void wait_here(promise_base& frame) noexcept;
    /// It is not going to be woken: takes wait_here back.
    void wait_no_more() noexcept;

    /// Leaves the list it waits in. False when it was answered before.
    virtual bool leave() noexcept = 0;

    /// Takes it out of its list; under the lock.
    bool unlink_unless_answered() noexcept {
        if (answered()) return false;
        static_cast<list_hook<shared_waiter>*>(this)->unlink();
        return true;
    }

private:
    void cancel(cancel_reason) noexcept override;
    void wake() noexcept override;
    void run() noexcept override;

    const char* what_;
    executor* home_ = nullptr;
};

/// A plain thread that waits. Not for workers, which would stop everything that lives on them.
class shared_thread_waiter final : public shared_waiter {
public:
    explicit shared_thread_waiter(void* subject) noexcept : shared_waiter(subject) {
        OURO_ASSERT(executor::current_or_null() == nullptr &&
                    "a worker must not block: co_await the operation in place of its blocking kin");
    }

    /// Sleeps until it is woken.
    void sleep() noexcept;

private:
    void wake() noexcept override;

    std::mutex lock_;
    std::condition_variable changed_;
    bool woken_ = false;
};

/// What `co_await` needs, for an operation `Op` that yields a `Value`. `Op` has
///
///   std::mutex& lock()                        of the shared thing;
///   bool attempt(shared_wait_list& woken)     answered now? It may `fail()` and answer true, and
///                                             may answer others; under the lock;
///   shared_wait_list& queue()                 where it waits otherwise;
///   void left(shared_wait_list& woken)        it was cancelled: may those behind pass? Under the
///                                             lock;
///   Value value()                             what it yields when it has succeeded.
template <class Op, class Value>
class [[nodiscard, gnu::warn_unused]] shared_op : public shared_task_waiter {
public:
    bool await_ready() const noexcept { return false; }

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        promise_base& frame = by.promise();
        this->note_awaited(frame);
        if (frame.owner->cancelled()) {
            fail(errc::cancelled);
            return go_on(frame);
        }
        shared_wait_list woken;
        {
            const std::lock_guard held(self().lock());
            if (!self().attempt(woken)) {
                suspend_in(self().queue(), frame);
                return true;
            }
        }
        woken.wake_all();
        return go_on(frame);
    }

    Value await_resume() {
        if (failed()) throw_error(error());
        return self().value();
    }

    result<Value> await_result() {
        if (failed()) return error();
        if constexpr (std::is_void_v<Value>)
            return {};
        else
            return self().value();
    }

protected:
    using shared_task_waiter::shared_task_waiter;
    ~shared_op() { assert_awaited(what()); }

private:
    Op& self() noexcept { return static_cast<Op&>(*this); }

    bool leave() noexcept override {
        shared_wait_list woken;
        {
            const std::lock_guard held(self().lock());
            if (!unlink_unless_answered()) return false;
            self().left(woken);
        }
        woken.wake_all();
        return true;
    }
};

}  // namespace ouro
