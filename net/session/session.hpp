// session.hpp: many tasks share one connection: requests leave together, replies come in order.
//
//   exchange ──submit──> queue ──turn's end──> slots ┐  one send
//      ^                   ^  connection lost: those  │
//      │                   └──that may be sent again──┤
//      └──reply parsed──────────── take() <── reader ─┘
//
//  1. The session owns the reply slots, one for each exchange that was sent, in the order of
//     sending. Replies belong to slots: a slot whose exchange was cancelled takes its replies and
//     drops them, so no caller ever gets the reply of another. A request counts as sent once its
//     last byte may have left, a batch of several once its first one may have.
//  2. A request is encoded by its exchange and copied to the writer at the end of a turn, when
//     nothing is in flight: until then it can be taken back. All that gathered leaves in one send.
//  3. Reading never waits for writing.
//  4. An exchange is resumed when *its* last reply has been parsed.
//  5. When a connection ends, whatever ended it, everyone in a slot is told how far the request had
//     come; what was not sent, and what may be repeated, goes back to the front of the queue in its
//     order.
//  6. A request whose time is up leaves its slot empty, as a cancelled one does, and nobody else is
//     harmed. Time does not run for the one at the front while its own bytes come or leave.
//  7. A connection is dead when something is expected and no byte came for the time of a request.
//  8. Queue, slots and pending bytes have limits.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/session/exchange.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

namespace ouro::net {

struct session_options {
    std::size_t queued_max = 65536;        ///< requests not yet sent; one more is errc::overloaded
    std::size_t in_flight_max = 65536;     ///< requests sent and unanswered; more wait in the queue
    std::size_t batch_bytes = 256 * 1024;  ///< encoded at once; a larger request goes alone
    /// How long a request may take, from the await on; zero or duration::max(): for ever. While its
    /// own reply is coming in, or a large request is still leaving, its time begins anew with each
    /// part, so that the size of either does not matter. After it, the request fails with
    /// errc::timed_out and the connection goes on. When a reply is expected and not one byte comes
    /// for so long, the peer is dead, and the connection is given up.
    duration request_timeout = std::chrono::seconds(5);
};

/// Figures of a session, counted since it was made.
struct session_figures {
    std::uint64_t requests = 0;  ///< that were sent, those sent again included
    std::uint64_t replies = 0;   ///< that were taken by somebody
    std::uint64_t dropped = 0;   ///< replies that came after their caller had gone
    std::uint64_t repeated = 0;  ///< requests that were sent again on another connection
    std::uint64_t batches = 0;   ///< times that requests were handed to the writer
    std::size_t queued = 0;      ///< requests that wait to be sent, now
    std::size_t in_flight = 0;   ///< requests that wait for their replies, now
};

/// The floor on which the drivers' sessions stand. Derive from it and say in `take` how bytes
/// become replies. Worker-local; does not move.
class session : private writer_source, private timer {
public:
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    /// Requests that were sent and have not been answered.
    std::size_t in_flight() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    std::size_t queued() const noexcept { return queued_; }
    /// Everything that waits here.
    std::size_t load() const noexcept { return in_flight() + queued_; }
    session_figures figures() const noexcept;

protected:
    explicit session(const session_options& options) noexcept : options_(options) {}
    /// Nobody may wait here any more: call `stop` before.
    ~session();

    /// Sends and receives until the connection ends, and says why. Then tells those that it has
    /// failed. `in` reads from `connection` and may hold bytes already.
    task<std::error_code> serve(stream& connection, reader& in);

    /// Gives up the connection that is served; `serve` will say `why`.
    void give_up(std::error_code why) noexcept;
    /// The same, but harms nobody: sends nothing more on this connection, and gives it up when all
    /// that was sent has its replies.
    void retire(std::error_code why) noexcept;

    /// Takes as many whole replies from the front of `ready` as there are, and says how many bytes
    /// these have. An error ends the connection, and so does an exception: std::bad_alloc is
    /// std::errc::not_enough_memory, any other one that has no code of its own
    /// std::errc::state_not_recoverable.
    virtual result<std::size_t> take(std::span<const std::byte> ready) = 0;

    /// Receives nothing more until `resume_reading`, and holds the peer back that way. `take` must
    /// leave what it does not want, too. Replies are not read meanwhile, and time runs for those
    /// who wait for them: for connections on which nobody does.
    void pause_reading() noexcept { reading_.reset(); }
    void resume_reading() noexcept { reading_.set(); }
    bool reading() const noexcept { return reading_.is_set(); }

    /// A slot's exchange is gone, and its replies will be dropped as they come.
    virtual void abandoned() noexcept {}

    // For `take`.

    /// Whether a reply is expected at all.
    bool expecting() const noexcept { return head_ != tail_; }
    /// Whose reply comes next; null when whoever asked has gone.
    exchange* next() const noexcept { return slots_[head_ & mask()].who; }
    /// How many replies that one still has to come, the next one included.
    std::uint32_t replies_left() const noexcept { return slots_[head_ & mask()].left; }
    /// A reply of that one was taken. Its last one ends the exchange: its frame will be resumed.
    void took_reply() noexcept;

    /// Fails what waits to be sent.
    void fail_queued(std::error_code why) noexcept;
    /// Fails everything, now and from now on.
    void stop(std::error_code why) noexcept;
    bool stopped() const noexcept { return static_cast<bool>(stopped_); }
    /// While `serve` runs.
    bool connected() const noexcept { return out_ != nullptr; }

    /// What a request that has waited in the queue for too long is told, if a connection could not
    /// be had.
    void set_trouble(std::error_code why) noexcept { trouble_ = why; }

private:
    friend class exchange;

    struct slot {
        exchange* who;        // null: cancelled
        std::uint64_t begin;  // of its bytes in what was written
        std::uint64_t end;
        time_point since;
        std::uint32_t left;  // replies to come
        bool patient;
        bool begun;  // its reply has begun to come, or some of its bytes were seen leaving
    };

    std::size_t mask() const noexcept { return slots_.size() - 1; }
    bool submit(exchange& from) noexcept;
    void take_back(exchange& from) noexcept;
    bool fill() noexcept override;
    bool send(exchange& from) noexcept;
    result<std::size_t> put(exchange& from) noexcept;
    void make_room();
    void add_slot(exchange& from, std::size_t bytes) noexcept;
    result<std::size_t> take_guarded(std::span<const std::byte> ready) noexcept;
    void leave_slot(slot& of, std::error_code why) noexcept;
    void lost(std::error_code why, std::uint64_t sent) noexcept;
    void end_slot(slot& of, std::error_code why, bool was_sent) noexcept;
    bool has_limit() const noexcept { return options_.request_timeout > duration::zero(); }
    time_point due(time_point since) const noexcept {
        const bool never = options_.request_timeout > time_point::max() - since;
        return never ? time_point::max() : since + options_.request_timeout;
    }
    time_point due_of_first() const noexcept;
    bool is_silent(time_point now) noexcept;
    void expire_queued(time_point now) noexcept;
    void expire_sent(time_point now) noexcept;
    void watch() noexcept;
    void watch_until(time_point when) noexcept;
    void fire() noexcept override;

    session_options options_;
    intrusive_list<exchange, exchange> queue_;
    std::size_t queued_ = 0;
    std::vector<slot> slots_;  // a ring; its size is a power of two
    std::uint64_t head_ = 0;   // of the slots: the oldest
    std::uint64_t tail_ = 0;
    writer* out_ = nullptr;  // while connected
    stream* connection_ = nullptr;
    event reading_{true};        // set unless paused
    std::uint64_t written_ = 0;  // bytes, on this connection
    std::uint64_t left_ = 0;     // of them had left when that was looked at last
    std::uint64_t aged_ = 0;     // slots before this one wait for nothing, or without a limit
    time_point heard_;           // when the last byte came, or the first reply began to be expected
    bool in_a_reply_ = false;    // bytes of the next reply are there, but not all
    std::error_code given_up_;
    std::error_code retiring_;
    std::error_code stopped_;
    std::error_code trouble_;
    session_figures figures_;
};

}  // namespace ouro::net
