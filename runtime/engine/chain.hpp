// chain.hpp: one chain of awaiting tasks: what it waits for, and the request to stop.
//
// A task awaits a task awaits … awaits something that is not a task: an operation, a timer, a
// queue, a group of other chains. Each chain therefore has at most one leaf at a time, and to
// cancel a chain is to cancel its leaf.
//
//   chain ── leaf (recv fd 7)           1. `leaf_` is set exactly while the chain is suspended on
//              │ frame_                     that leaf; it is null while a frame runs or is ready.
//            frame read_line            2. Cancelling is a request. The leaf ends when it ends,
//              │ parent                     with its real result if that came first.
//            frame serve                3. The request is sticky: a chain that was asked answers
//              │ parent                     `cancelled` to every later await at once.
//            null: the chain's root     4. Combinators are leaves that own chains and pass the
//                                          request on to them; a shield is one that does not.
//                                       5. Frames of one chain run on one worker, one at a time.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/clock.hpp>

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string>

namespace ouro {

class chain;
class leaf;

/// Why a chain was asked to stop.
enum class cancel_reason : std::uint8_t {
    none,      ///< it was not
    user,      ///< somebody called cancel()
    timeout,   ///< a timeout or deadline passed
    shutdown,  ///< the runtime stops
    sibling,   ///< another task of the scope failed, or won the race
};

/// The English word for a reason.
const char* to_string(cancel_reason reason) noexcept;

/// What every coroutine frame of ours carries, whatever it returns.
struct promise_base {
    promise_base* next_ready = nullptr;  ///< link of the ready queue
    promise_base* parent = nullptr;      ///< who awaits this frame; null at a chain's root
    chain* owner = nullptr;              ///< the chain it runs in; set when it starts
    std::source_location where;          ///< where it waits, or waited last

    std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<promise_base>::from_promise(*this);
    }
};

/// Asserts, unless an exception is on its way, that an operation was awaited: this one was not.
void never_awaited(const char* what) noexcept;

/// Collects the one-line description of a leaf, and the chains below it.
class leaf_description {
public:
    virtual void text(std::string line) = 0;
    virtual void child(chain& below) = 0;

protected:
    ~leaf_description() = default;
};

/// What a chain of tasks can wait for. Derive awaiters from it; they live in the awaiting frame.
class leaf {
public:
    leaf() noexcept = default;
    leaf(const leaf&) = delete;
    leaf& operator=(const leaf&) = delete;

    /// Says what is waited for ("recv fd 7", "sleep 3.2 s") and names the chains below.
    virtual void describe(leaf_description& into) const = 0;

    /// Says that `frame` awaits it, or something that will.
    void note_awaited(promise_base& frame) noexcept { frame_ = &frame; }

protected:
    ~leaf() {
        OURO_ASSERT(!waiting() &&
                    "what a task awaits is destroyed: a task is destroyed when it has ended");
    }

    /// For the destructor of an operation: one that nobody has ever awaited did nothing, which is
    /// a `co_await` forgotten. Unless an exception came between.
    void assert_awaited(const char* what) const noexcept {
#ifndef OURO_NO_ASSERT
        if (frame_ == nullptr) [[unlikely]]
            never_awaited(what);
#else
        static_cast<void>(what);
#endif
    }

    /// Suspends the chain of `frame` on this leaf. False, and nothing happens, when the chain was
    /// asked to stop: the caller must then complete as cancelled without suspending.
    [[nodiscard]] bool wait(promise_base& frame) noexcept;

    /// Suspends without looking at the request, for leaves that must not be refused.
    void wait_regardless(promise_base& frame) noexcept;

    /// Makes the waiting frame ready. It runs later, from the loop; never inside this call.
    void resume() noexcept;

    /// Stops waiting without making anything ready: the awaiter answers at once after all, or the
    /// frame is already running again.
    void unwait() noexcept;

    /// Stops waiting since it was answered meanwhile, without having suspended: see
    /// executor::answered_at_once, and return what it returns.
    bool answered_at_once() noexcept;

    bool waiting() const noexcept { return chain_ != nullptr; }
    promise_base* frame() const noexcept { return frame_; }
    chain* waiting_chain() const noexcept { return chain_; }

private:
    friend class chain;

    /// A request to end soon; called at most once per reason while waiting. The leaf calls
    /// `resume()`, now or later, and may still succeed.
    virtual void cancel(cancel_reason reason) noexcept = 0;

    chain* chain_ = nullptr;         // where it is the leaf; null when it does not wait
    promise_base* frame_ = nullptr;  // which frame to resume; null until it is awaited
};

/// The identity of one chain: its leaf, the request to stop and the deadline it inherited.
class chain {
public:
    chain() noexcept = default;
    explicit chain(chain* parent) noexcept;
    chain(const chain&) = delete;
    chain& operator=(const chain&) = delete;

    /// Asks the chain to stop. The first reason counts. Only from the chain's own worker.
    void cancel(cancel_reason reason) noexcept;

    bool cancelled() const noexcept { return reason_ != cancel_reason::none; }
    cancel_reason reason() const noexcept { return reason_; }

    /// The nearest deadline above this chain; time_point::max() when there is none.
    time_point deadline() const noexcept { return deadline_; }
    void set_deadline(time_point deadline) noexcept { deadline_ = deadline; }

    /// The chain that this one is a branch of; null for a task of its own.
    chain* parent() const noexcept { return parent_; }

    leaf* waiting_for() const noexcept { return leaf_; }
    /// The innermost frame while it waits; null while it runs or is ready.
    promise_base* waiting_frame() const noexcept { return leaf_ ? leaf_->frame() : nullptr; }

    /// Called by the loop after the root frame has finished and is suspended at its end.
    virtual void ended() noexcept;

protected:
    ~chain() { OURO_ASSERT(leaf_ == nullptr); }

    /// Makes a chain that has ended as good as new: nobody asked it to stop.
    void renew(time_point deadline) noexcept {
        OURO_ASSERT(leaf_ == nullptr && parent_ == nullptr);
        deadline_ = deadline;
        reason_ = cancel_reason::none;
    }

private:
    friend class leaf;

    leaf* leaf_ = nullptr;
    chain* parent_ = nullptr;
    time_point deadline_ = time_point::max();
    cancel_reason reason_ = cancel_reason::none;
};

}  // namespace ouro
