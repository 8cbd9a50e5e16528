// turn.hpp: an exchange of several flights, whose task has the sending side of a connection.
//
//   begin ──> the first flight is written, the queue is held ──> write, room, news … ──> finish ──>
//   replies that are still to come ──> end
//
//  1. A turn stands in the queue as any other request. When its first flight has been written, its
//     slot is the last one and stays so: nobody else's bytes come in between.
//  2. Those who were sent before still get their replies, and the turn its own behind them.
//  3. It ends when it is finished and its last reply has come, when the connection ends, or when it
//     dies. What ended it is kept: every step from then on answers it.
//  4. Left in the middle, it is drained or takes the connection along; see session::drain.
//  5. Time runs only while its task waits for the peer. Then the peer may be silent for as long as
//     a request may take.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/session/exchange.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/task.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

namespace ouro::net {

/// How one task sends and receives more than once in one exchange: COPY, portals, bodies, a
/// handshake. Derive from it; the protocol's `take` hands to the derived one what comes for it, and
/// calls `wake`.
///
///     co_await mine.begin();
///     while (auto piece = …) {
///         if (!mine.write(*piece)) break;  // the peer has answered, or is gone
///         co_await mine.room();
///     }
///     mine.finish();
///     co_await mine.end();
///
/// One step at a time, all by one task, which owns it. A step that is cancelled leaves the turn as
/// it was: whoever wants to end it well still can, under `shield`; else its end leaves it in the
/// middle.
class turn : public exchange {
public:
    class [[nodiscard]] step;

    /// Waits until its first flight has been written. Called once.
    step begin() noexcept;
    /// Waits until `wake` has been called since this answered last, or until it has ended well.
    step news() noexcept;
    /// Waits until its last reply has come. Comes behind `finish`.
    step end() noexcept;

    /// Sends more, in order: see writer. False, and nothing is taken, when it is not open: `error`
    /// says why, if it is not finished.
    [[nodiscard]] bool write(std::span<const std::byte> bytes);
    [[nodiscard]] bool write(std::string_view text) {
        return write(std::as_bytes(std::span(text)));
    }
    [[nodiscard]] bool write(const chunk& shared);
    /// What is written next has so many replies.
    void expect(std::uint32_t replies) noexcept;
    /// Waits until the kernel has taken so much that there is room for more.
    task<> room();

    /// Nothing more will be written: those who wait in the queue may go on.
    void finish() noexcept;

    /// Receives nothing more until `resume_reading`, and holds the peer back that way: for whoever
    /// has been handed enough. All who asked before have their replies then; whoever asks behind
    /// waits, too.
    void pause_reading() noexcept;
    void resume_reading() noexcept;

    /// While it may write: begun, not finished, and the connection is there.
    bool is_open() const noexcept;
    /// Its last reply has come.
    bool has_ended() const noexcept { return began_ && !error_ && place_ == place::nowhere; }
    /// Why it has failed; zero while it has not.
    std::error_code error() const noexcept { return error_; }
    /// How far it had come, when it has failed.
    fate how_far() const noexcept { return how_far_; }

protected:
    /// `kind` is for session::drain.
    turn(session& on, std::uint32_t replies, std::uint32_t kind = 0) noexcept
        : exchange(on, replies), kind_(kind) {
        is_turn_ = true;
    }
    ~turn();

    /// Something has come for it.
    void wake() noexcept;

private:
    friend class session;

    enum class goal : std::uint8_t { begun, news, end };

    bool suspend(promise_base& frame, goal what) noexcept;
    bool reached(goal what) const noexcept;
    result<void> outcome(goal what) noexcept;
    bool awaits_peer() const noexcept { return waiting() && goal_ != goal::begun; }
    void has_begun() noexcept;
    void cancel(cancel_reason) noexcept override;
    void failed(std::error_code why, fate how_far) noexcept final;

    std::error_code error_;       // why it has failed
    std::error_code step_error_;  // why the present step has
    std::uint32_t kind_;
    fate how_far_ = fate::unsent;
    goal goal_ = goal::begun;  // of the present step
    bool began_ = false;
    bool has_news_ = false;
    bool paused_ = false;
};

class [[nodiscard]] turn::step {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return of_.suspend(by.promise(), what_);
    }
    void await_resume() const { await_result().value(); }
    result<void> await_result() const noexcept { return of_.outcome(what_); }

private:
    friend class turn;
    step(turn& of, goal what) noexcept : of_(of), what_(what) {}

    turn& of_;
    goal what_;
};

inline turn::step turn::begin() noexcept { return {*this, goal::begun}; }
inline turn::step turn::news() noexcept { return {*this, goal::news}; }
inline turn::step turn::end() noexcept { return {*this, goal::end}; }

}  // namespace ouro::net
