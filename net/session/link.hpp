// link.hpp: one connection with its reader and its writer, served by one task until it ends.
//
//   peer ──> reader ──> take() ──> whoever waits
//   peer <── writer <── fill() <── turn's end <── pull()
//
// The floor of a protocol's session, which says what bytes mean and who is told. Nothing here knows
// of requests and replies.
//
//  1. A link serves one connection at a time. `serve` is the only one who receives on it, and the
//     writer that `serve` makes the only one that sends.
//  2. Reading never waits for writing. `fill` is called at the end of a turn, when nothing is in
//     flight, and all that it writes leaves in one send.
//  3. No exception leaves `take` or `fill`: whatever it is, want of memory included, it ends the
//     connection and is the reason.
//  4. A connection has one end, and `ended` is told once: when the writer is gone and before
//     `serve` answers, whatever ended it, also when the task that serves dies.
//  5. The first reason counts. Afterwards nothing is filled in any more.
//  6. The peer is dead when it owes something and no byte came for as long as `owed` allows. A
//     request of ours that has not left whole is no reason for it to speak: while its bytes leave,
//     the peer lives.
//  7. There is one timer. It is armed while something is due, and may be early, never late.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>

namespace ouro::net {

/// One connection that is served. Derive from it and say what its bytes are. Worker-local; does not
/// move.
class link : private timer {
public:
    link(const link&) = delete;
    link& operator=(const link&) = delete;

protected:
    /// What the peer owes at the moment.
    struct debt {
        duration silence_max = duration::max();  ///< it may be silent for so long; max(): for ever
        bool is_leaving = false;                 ///< what it is to answer has not left whole
    };

    link() noexcept : feeder_(*this) {}
    /// Nothing may be served any more.
    ~link();

    /// Sends and receives until the connection ends, and says why. `in` reads from `connection` and
    /// may hold bytes already. Without memory to begin, that is why, and `ended` is not told.
    task<std::error_code> serve(stream& connection, reader& in);

    /// Gives up the connection that is served; `serve` will say `why`. What was not sent is
    /// dropped.
    void give_up(std::error_code why) noexcept;
    /// The same, but harms nobody: `fill` is called no more, and the connection is given up once it
    /// is idle.
    void retire(std::error_code why) noexcept;
    /// Says that it may be idle now, for a connection that is being retired.
    void rest() noexcept {
        if (retiring_ && is_idle()) give_up(retiring_);
    }

    /// While `serve` runs.
    bool connected() const noexcept { return out_ != nullptr; }
    bool is_given_up() const noexcept { return connected() && given_up_; }
    bool is_retiring() const noexcept { return connected() && retiring_; }
    /// The writer of the connection; there must be one.
    writer& out() const noexcept {
        OURO_ASSERT(out_ != nullptr);
        return *out_;
    }

    /// Has `fill` called at the end of this turn, or once what is in flight has been sent.
    void pull() noexcept {
        if (out_) out_->pull(feeder_);
    }

    /// Receives nothing more until `resume_reading`, and holds the peer back that way. `take` must
    /// leave what it does not want, too. What the peer owes, it owes meanwhile as well: for
    /// connections on which nobody waits.
    void pause_reading() noexcept { reading_.reset(); }
    void resume_reading() noexcept { reading_.set(); }
    bool reading() const noexcept { return reading_.is_set(); }

    // What a session says.

    /// A connection is there: nothing was sent or received on it.
    virtual void begun() noexcept = 0;

    /// Takes as many whole pieces from the front of `ready` as there are, and says how many bytes
    /// these have. Called once with what the reader holds already, which may be nothing. An error
    /// ends the connection, and so does an exception: see thrown_code.
    virtual result<std::size_t> take(std::span<const std::byte> ready) = 0;

    /// Writes what is there, or some of it; true: there is more, ask again when that has left. What
    /// it throws ends the connection.
    virtual bool fill(writer& out) = 0;

    /// The connection has ended. The peer may have received the first `sent` of the bytes that were
    /// written.
    virtual void ended(std::error_code why, std::uint64_t sent) noexcept = 0;

    /// What the peer owes, when the first `left` of the bytes that were written have left.
    virtual debt owed(std::uint64_t left) noexcept = 0;

    /// Whether nothing is expected.
    virtual bool is_idle() const noexcept = 0;

    /// The peer will send nothing more; what ends with the stream may be taken here. False ends the
    /// connection with errc::end_of_stream; true leaves it open, for what is still to be written,
    /// until it is given up.
    virtual bool outlives_peer() noexcept { return false; }

    /// Ends what is due, …
    virtual void expire(time_point) noexcept {}
    /// … and says when to look again; max(): not before somebody calls `watch` or `watch_by`.
    virtual time_point next_due() noexcept { return time_point::max(); }

    // For time.

    /// When the last byte came, or `hear` was called.
    time_point heard() const noexcept { return heard_; }
    /// From now on the peer owes something that it has not owed before.
    void hear() noexcept { heard_ = clock::now(); }
    /// Whether bytes have come that `take` has not taken.
    bool in_the_middle() const noexcept { return in_the_middle_; }
    /// Whether it will look at the time, at some moment.
    bool watching() const noexcept { return armed(); }
    /// Looks at the time when the next thing is due.
    void watch() noexcept;
    /// Looks at the time at `when` at the latest.
    void watch_by(time_point when) noexcept;

private:
    class feeder final : public writer_source {
    public:
        explicit feeder(link& of) noexcept : of_(of) {}
        bool fill() noexcept override;

    private:
        link& of_;
    };
    class service;

    bool is_silent(time_point now) noexcept;
    void fire() noexcept override;

    feeder feeder_;
    writer* out_ = nullptr;  // while connected
    stream* connection_ = nullptr;
    event reading_{true};     // set unless paused
    std::uint64_t left_ = 0;  // bytes that had left when that was looked at last
    time_point heard_;
    bool in_the_middle_ = false;
    std::error_code given_up_;
    std::error_code retiring_;
};

}  // namespace ouro::net
