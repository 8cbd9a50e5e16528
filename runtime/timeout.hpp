// timeout.hpp: limiting how long an awaitable may take, and protecting one from cancellation.
//
// Both run the awaitable in an inner chain: while it is awaited, the awaiting frame belongs to the
// inner chain, so what is awaited below inherits it, without a frame or an allocation more. The
// awaiter itself is the leaf of the outer chain and decides what passes through.
//
//   outer chain ── leaf: the timeout, in the awaiting frame
//                          │ below_
//                        inner chain ── leaf: what is awaited inside, or something below that
//
//  1. From enter() to leave() the frame's owner is the inner chain. Enter comes before the inner
//     awaiter is asked anything, leave after its outcome was taken, or when it throws while it
//     starts; so nested ones unwind in order, each giving the frame back to whom it took it from.
//  2. Enter waits on the outer chain even if that was asked to stop: what is inside answers for
//     itself. A timeout hands the request on, then and later, with its reason; a shield does not,
//     and since a request is sticky, it takes effect at the first await after the shield.
//  3. The timer runs only while the inner awaiter may be suspended: armed when that was not ready
//     at once, disarmed before its outcome is taken.
//  4. Time that is up is a request like any other. It changes an outcome only if it was the first
//     request to reach the inner chain (`expired_`), and what is awaited ended as cancelled: that
//     becomes timed_out. A value or another error that came first is handed over, even late.
//  5. The inner chain has the nearer of the deadline above it and its own, so whoever is below
//     finds what is left; a shield passes the deadline on, although not the request.
//  6. The awaiter stays where it is from enter to leave, as every leaf does while it waits.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/timers.hpp>

#include <optional>

namespace ouro {

/// The inner chain of a timeout or shield, and the leaf of the outer one.
class inner_chain : public leaf {
public:
    void describe(leaf_description& into) const override;

protected:
    enum class kind : std::uint8_t { timeout, shield };

    explicit inner_chain(kind what) noexcept : kind_(what) {}
    ~inner_chain() { assert_awaited(kind_ == kind::timeout ? "timeout" : "shield"); }

    /// Moves `frame` into the inner chain. A timeout hands on a request made before.
    void enter(promise_base& frame) noexcept;
    /// Moves it back once what is awaited inside has been taken, so that nested ones unwind in
    /// order.
    struct leaving {
        inner_chain& self;
        ~leaving() { self.leave(); }
    };

    struct branch final : chain {
        using chain::chain;
    };

    mutable std::optional<branch> below_;

private:
    void leave() noexcept;
    void cancel(cancel_reason reason) noexcept override;

    kind kind_;
};

/// Ends what it awaits when time is up; see timeout.
template <class Awaitable>
class [[nodiscard, gnu::warn_unused]] timeout_await final : public inner_chain, private timer {
    using value = await_value<Awaitable>;

public:
    static constexpr bool refers_to_temporary = keeps_reference_to_temporary<Awaitable>;

    timeout_await(time_point until, Awaitable&& awaitable)
        : inner_chain(kind::timeout),
          until_(until),
          inner_(awaiter_of(static_cast<Awaitable&&>(awaitable))) {}

    bool await_ready() const noexcept { return false; }

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        enter(by.promise());
        if (until_ < below_->deadline()) below_->set_deadline(until_);
        try {
            if (inner_.await_ready()) return false;
            arm_timer();
            return suspend_on(inner_, by);
        } catch (...) {
            const leaving outer{*this};  // await_resume will not be called
            settle();
            throw;
        }
    }

    value await_resume() {
        const leaving outer{*this};
        settle();
        if (!expired_) return inner_.await_resume();
        try {
            if constexpr (std::is_same_v<value, as_result_type<value>>)
                return timed(inner_.await_resume());  // the error may be in the value
            else
                return inner_.await_resume();
        } catch (const std::system_error& error) {
            if (error.code() == errc::cancelled) throw_error(errc::timed_out);
            throw;
        }
    }

    as_result_type<value> await_result() {
        const leaving outer{*this};
        settle();
        return timed(take_result(inner_));
    }
    void note_awaited(promise_base& frame) noexcept {
        leaf::note_awaited(frame);
        pass_on_awaited(inner_, frame);
    }

private:
    void arm_timer() noexcept {
        executor::current().timers().arm(*this, until_.time_since_epoch().count());
    }

    void settle() noexcept {
        if (armed()) executor::current().timers().disarm(*this);
    }

    as_result_type<value> timed(as_result_type<value> outcome) const {
        if (expired_ && outcome.error() == errc::cancelled) return errc::timed_out;
        return outcome;
    }

    void fire() noexcept override {
        expired_ = !below_->cancelled();
        below_->cancel(cancel_reason::timeout);
    }

    time_point until_;
    awaiter_type<Awaitable> inner_;
    bool expired_ = false;
};

/// Awaits to the end whatever is asked of the chain meanwhile; see shield.
template <class Awaitable>
class [[nodiscard, gnu::warn_unused]] shield_await final : public inner_chain {
public:
    static constexpr bool refers_to_temporary = keeps_reference_to_temporary<Awaitable>;

    explicit shield_await(Awaitable&& awaitable)
        : inner_chain(kind::shield), inner_(awaiter_of(static_cast<Awaitable&&>(awaitable))) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        enter(by.promise());
        try {
            return !inner_.await_ready() && suspend_on(inner_, by);
        } catch (...) {
            const leaving outer{*this};  // await_resume will not be called
            throw;
        }
    }
    await_value<Awaitable> await_resume() {
        const leaving outer{*this};
        return inner_.await_resume();
    }
    auto await_result() {
        const leaving outer{*this};
        return take_result(inner_);
    }
    void note_awaited(promise_base& frame) noexcept {
        leaf::note_awaited(frame);
        pass_on_awaited(inner_, frame);
    }

private:
    awaiter_type<Awaitable> inner_;
};

/// `co_await timeout(2s, client.recv(space))`: cancels what it awaits after `limit`, waits until it
/// has ended, and throws errc::timed_out if it ended as cancelled. A result that came first is
/// returned, even late. Costs one timer; allocates nothing.
///
/// It owns a task that it is given: `auto limited = timeout(2s, work()); co_await limited;`. To
/// anything else it refers, so that one made of a temporary does not compile unless it is awaited
/// in the expression that makes it. The same holds for with_deadline and shield.
template <class Awaitable>
timeout_await<Awaitable&&> timeout(duration limit, Awaitable&& awaitable) {
    return {after(clock::exact_now(), limit), static_cast<Awaitable&&>(awaitable)};
}

/// The same with a point in time. Everything awaited inside inherits the deadline and can ask for
/// it with current_deadline().
template <class Awaitable>
timeout_await<Awaitable&&> with_deadline(time_point until, Awaitable&& awaitable) {
    return {until, static_cast<Awaitable&&>(awaitable)};
}

/// `co_await shield(commit())`: a request to cancel does not reach what is awaited inside; it takes
/// effect at the first await after it. For cleanup that must await, also in a chain that was
/// cancelled before.
template <class Awaitable>
shield_await<Awaitable&&> shield(Awaitable&& awaitable) {
    return shield_await<Awaitable&&>(static_cast<Awaitable&&>(awaitable));
}

/// The nearest deadline of the running task; time_point::max() when there is none, or no task runs.
time_point current_deadline() noexcept;

/// Why the running task was asked to stop; cancel_reason::none when it was not. For loops that
/// compute without awaiting.
cancel_reason current_cancellation() noexcept;

}  // namespace ouro
