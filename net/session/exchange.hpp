// exchange.hpp: a request and the wait for its reply, on a connection that many share.
#pragma once

#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/session/fate.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace ouro::net {

class session;

/// One request in the frame of the task that awaits it; the base of a driver's awaiters.
///
/// It writes the request when it is about to leave and takes the replies as they are parsed. An
/// exchange can be awaited again once it has ended.
///
/// Cancelled before it is sent, it is taken out of the queue; later, the replies that belong to it
/// are dropped as they come, so nobody else ever sees them. The same happens when its time is up.
///
/// What was sent once is never told to be unsent, even if it waited to be sent again when it ended.
class exchange : public leaf, public list_hook<exchange> {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return start(by.promise());
    }

protected:
    /// `replies` > 0 is how many replies the request has. What a reply is, the protocol says; one
    /// may come in any number of parts, and only its end counts.
    exchange(session& on, std::uint32_t replies) noexcept : on_(&on), replies_(replies) {}
    ~exchange() { assert_awaited("exchange"); }

    /// Writes the whole request to `out`: copies of small pieces, shares of chunks. Asked whenever
    /// it is about to be sent, which may be more than once: no reply has been taken then. When the
    /// writer takes a piece no more, or an exception comes out, nothing of it is sent, and the
    /// exchange fails: with errc::limit_exceeded for `false`, or with thrown_code.
    [[nodiscard]] virtual bool encode(writer& out) = 0;

    /// It ends without all of its replies; called once, before the frame is resumed.
    virtual void failed(std::error_code why, fate how_far) noexcept = 0;

    /// Starts waiting: on `start` of the awaiting frame. False: it has ended at once.
    bool start(promise_base& frame) noexcept;

    /// A part of the answer has been handed on: it is not sent again, and should the rest not come,
    /// its fate is `partial`.
    void touch() noexcept { touched_ = true; }

    /// May be sent again when a connection was lost before any reply came, up to `times` times.
    void repeat(std::uint8_t times) noexcept { repeats_left_ = times; }
    /// How long it may take, from the await on, in place of the session's timeout; zero: that one.
    /// It may be told up to 1/32 later when many expire at once.
    void expire_after(duration limit) noexcept { limit_ = limit; }
    /// Waits as long as it takes: the session's timeout is not for it.
    void be_patient() noexcept { limit_ = duration::max(); }
    /// Only it can tell which replies are its own. When it leaves early, by its time or cancelled,
    /// the connection is given up, since its slot could not know what to drop.
    void be_indispensable() noexcept { indispensable_ = true; }
    /// Goes in front of all that waits, and is sent though the queue is held: for what makes a
    /// connection ready.
    void go_first() noexcept { goes_first_ = true; }
    /// For exchanges that are made before it is known where they go, or that move on.
    void set_session(session& on) noexcept { on_ = &on; }
    void set_replies(std::uint32_t replies) noexcept { replies_ = replies; }
    std::uint32_t replies() const noexcept { return replies_; }
    session& on() const noexcept { return *on_; }

    void describe(leaf_description& into) const override;

private:
    friend class session;
    friend class turn;

    enum class place : std::uint8_t { nowhere, queued, sent };

    void cancel(cancel_reason) noexcept override;
    void fail(std::error_code why, fate how_far) noexcept;
    /// It is in the order in which the others began to wait, and waits as long.
    bool is_ordinary() const noexcept { return limit_ == duration() && !goes_first_; }

    session* on_;
    time_point since_;        // when it began to wait
    duration limit_{};        // its own; zero: the session's
    std::uint64_t slot_ = 0;  // where it stands among the sent ones
    std::uint32_t replies_;
    std::uint8_t repeats_left_ = 0;
    place place_ = place::nowhere;
    bool indispensable_ = false;
    bool goes_first_ = false;
    bool was_sent_ = false;  // on an earlier connection
    bool touched_ = false;
    bool is_turn_ = false;
};

}  // namespace ouro::net
