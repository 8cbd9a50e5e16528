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
//  2. A request is written by its exchange, straight to the writer, at the end of a turn, when
//     nothing is in flight: until then it can be taken back, and so can one that was written in
//     part. All that gathered leaves in one send.
//  3. Replies are counted by their ends. Of how many parts one is made, nobody needs to know.
//  4. An exchange is resumed when *its* last reply has been parsed.
//  5. When a connection ends, whatever ended it, everyone in a slot is told how far the request had
//     come; what was not sent, and what may be repeated, goes back to the front of the queue in its
//     order. What was handed on in part is never sent again.
//  6. A request whose time is up leaves its slot empty, as a cancelled one does, and nobody else is
//     harmed. Time does not run for the one at the front while its own bytes come or leave.
//  7. A connection is dead when something is expected and no byte came for the time of a request:
//     the session's, or its own if that is longer.
//  8. Queue, slots and pending bytes have limits.
//  9. While the queue is held, nothing of it is sent but what goes first. A turn holds it from when
//     it is written until it says that it is finished, or ends; its slot is the last one meanwhile.
// 10. A turn that is left in the middle leaves a connection in an unknown state: the session writes
//     what makes the peer end it, if the protocol knows, or gives the connection up.
#pragma once

#include <ouro/net/session/exchange.hpp>
#include <ouro/net/session/link.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <system_error>
#include <vector>

namespace ouro::net {

class turn;

struct session_options {
    std::size_t queued_max = 65536;        ///< requests not yet sent; one more is errc::overloaded
    std::size_t in_flight_max = 65536;     ///< requests sent and unanswered; more wait in the queue
    std::size_t batch_bytes = 256 * 1024;  ///< encoded at once; a larger request goes alone
    /// How long a request may take, from the await on, unless it says otherwise; zero or
    /// duration::max(): for ever. While its own reply is coming in, or a large request is still
    /// leaving, its time begins anew with each part, so that the size of either does not matter.
    /// After it, the request fails with errc::timed_out and the connection goes on. When a reply is
    /// expected and not one byte comes for so long, the peer is dead, and the connection is given
    /// up.
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

/// The floor on which stand the drivers' sessions whose replies come in the order of the requests.
/// Derive from it and say in `take` how bytes become replies. Worker-local; does not move.
class session : public link {
public:
    /// Requests that were sent and have not been answered.
    std::size_t in_flight() const noexcept { return static_cast<std::size_t>(tail_ - head_); }
    std::size_t queued() const noexcept { return queued_; }
    /// Everything that waits here.
    std::size_t load() const noexcept { return in_flight() + queued_; }
    session_figures figures() const noexcept;

protected:
    explicit session(const session_options& options) noexcept;
    /// Nobody may wait here any more: call `stop` before.
    ~session();

    /// The caller of one that was sent has left, cancelled or for its time: its replies will be
    /// dropped as they come. `ahead` others are to be answered before it; at 0 the peer is at work
    /// for it, as far as is known.
    virtual void abandoned(const exchange& /*who*/, std::size_t /*ahead*/) noexcept {}

    /// A turn of the kind `kind` was left in the middle. Writes to `out` what makes the peer end
    /// it, and says how many replies come until then, the `left` ones included that were expected.
    /// Nothing: that cannot be known, and the connection is given up.
    virtual std::optional<std::uint32_t> drain(std::uint32_t /*kind*/, std::uint32_t /*left*/,
                                               writer& /*out*/) {
        return std::nullopt;
    }

    // For `take`.

    /// Whether a reply is expected at all.
    bool expecting() const noexcept { return head_ != tail_ && slots_[head_ & mask()].left > 0; }
    /// Whose reply comes next; null when whoever asked has gone.
    exchange* next() const noexcept { return slots_[head_ & mask()].who; }
    /// How many replies that one still has to come, the next one included.
    std::uint32_t replies_left() const noexcept { return slots_[head_ & mask()].left; }
    /// A part of a reply of that one was taken, which is not its end: it has begun.
    void took_part() noexcept { slots_[head_ & mask()].begun = true; }
    /// A reply of that one was taken, up to its end. Its last one ends the exchange: its frame will
    /// be resumed.
    void took_reply() noexcept;

    /// Sends nothing that waits until `release_queue`, but what goes first; also on connections to
    /// come.
    void hold_queue() noexcept { held_ = true; }
    void release_queue() noexcept;

    /// Fails what waits to be sent.
    void fail_queued(std::error_code why) noexcept;
    /// Fails everything, now and from now on.
    void stop(std::error_code why) noexcept;
    bool stopped() const noexcept { return static_cast<bool>(stopped_); }

    /// What a request that has waited in the queue for too long is told, if a connection could not
    /// be had.
    void set_trouble(std::error_code why) noexcept { trouble_ = why; }

private:
    friend class exchange;
    friend class turn;

    struct slot {
        exchange* who;        // null: cancelled
        std::uint64_t begin;  // of its bytes in what was written
        std::uint64_t end;
        time_point since;
        duration limit;      // max(): it is patient
        std::uint32_t left;  // replies to come
        bool own_limit;
        bool begun;  // its reply has begun to come, or some of its bytes were seen leaving
    };

    std::size_t mask() const noexcept { return slots_.size() - 1; }
    bool busy() const noexcept { return head_ != tail_; }
    bool may_send() noexcept {
        return !turn_ && !queue_.empty() && (!held_ || queue_.front().goes_first_) &&
               in_flight() < options_.in_flight_max;
    }
    duration limit_of(const exchange& who) const noexcept {
        return who.limit_ == duration() ? limit_ : who.limit_;
    }
    time_point due(const exchange& who) const noexcept { return who.since_ + limit_of(who); }

    void begun() noexcept override;
    bool fill(writer& out) noexcept override;
    void ended(std::error_code why, std::uint64_t sent) noexcept override;
    bool is_idle() const noexcept override { return !busy(); }
    debt owed(std::uint64_t left) noexcept override;
    void expire(time_point now) noexcept override;
    time_point next_due() noexcept override;

    bool submit(exchange& from) noexcept;
    void watch_for(const exchange& from) noexcept;
    void take_back(exchange& from) noexcept;
    void send(exchange& from, writer& out) noexcept;
    std::error_code put(exchange& from, writer& out) noexcept;
    void make_room();
    void add_slot(exchange& from, std::uint64_t begin) noexcept;
    void end_front() noexcept;
    void leave_slot(std::uint64_t at, std::error_code why) noexcept;
    void end_slot(slot& of, std::error_code why, bool was_sent) noexcept;
    void expire_queued(time_point now) noexcept;
    void expire_sent(time_point now) noexcept;
    void expire_own(time_point now) noexcept;
    void give_time_up(exchange& from) noexcept;
    time_point due_of(std::uint64_t at) const noexcept;

    // For a turn.
    bool is_open(const turn& who) const noexcept;
    slot& slot_of_turn() noexcept { return slots_[(tail_ - 1) & mask()]; }
    void wrote(std::size_t bytes) noexcept;
    void waits(const turn& who) noexcept;
    void close_turn(turn& who) noexcept;
    void leave_turn(turn& who) noexcept;

    session_options options_;
    duration limit_;  // of a request that has none of its own; max(): none
    intrusive_list<exchange, exchange> queue_;
    std::size_t queued_ = 0;
    std::vector<slot> slots_;  // a ring; its size is a power of two
    std::uint64_t head_ = 0;   // of the slots: the oldest
    std::uint64_t tail_ = 0;
    turn* turn_ = nullptr;  // whose slot is the last, and who holds the queue
    bool held_ = false;
    std::uint64_t written_ = 0;               // bytes, on this connection
    std::uint64_t aged_ = 0;                  // slots before this one wait for nothing ordinary
    time_point own_due_ = time_point::max();  // no own limit ends before
    std::error_code stopped_;
    std::error_code trouble_;
    session_figures figures_;
};

}  // namespace ouro::net
