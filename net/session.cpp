#include <ouro/net/session.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/executor.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::size_t first_slots = 16;

}  // namespace

// An exchange.

bool exchange::start(promise_base& frame) noexcept {
    OURO_ASSERT(place_ == place::nowhere && "an exchange is awaited by one task");
    if (!wait(frame)) {
        failed(errc::cancelled, fate::unsent);
        return false;
    }
    since_ = clock::now();
    if (!on_->submit(*this)) resume();  // it has been told; never at once, so that others run
    return true;
}

void exchange::cancel(cancel_reason) noexcept { on_->take_back(*this); }

void exchange::end(std::error_code why, fate how_far) noexcept {
    place_ = place::nowhere;
    failed(why, how_far);
    resume();
}

void exchange::describe(leaf_description& into) const {
    into.text(place_ == place::queued ? "request, not sent" : "reply");
}

// Coming and going.

session::~session() {
    OURO_ASSERT(queue_.empty() && !expecting() && "stop() comes first");
    if (armed()) executor::current().timers().disarm(*this);
}

session_figures session::figures() const noexcept {
    session_figures now = figures_;
    now.queued = queued_;
    now.in_flight = in_flight();
    return now;
}

bool session::submit(exchange& from) noexcept {
    if (stopped_ || queued_ == options_.queued_max) {
        from.failed(stopped_ ? stopped_ : make_error_code(errc::overloaded), fate::unsent);
        return false;
    }
    from.place_ = exchange::place::queued;
    queue_.push_back(from);
    if (++queued_ == 1 && out_) out_->pull(*this);
    if (!armed()) watch();
    return true;
}

void session::take_back(exchange& from) noexcept {
    if (from.place_ == exchange::place::queued) {
        from.unlink();
        --queued_;
        from.end(errc::cancelled, fate::unsent);
        return;
    }
    OURO_ASSERT(from.place_ == exchange::place::sent);
    slots_[from.slot_ & mask()].who = nullptr;
    from.end(errc::cancelled, fate::unanswered);
    abandoned();
}

// Sending.

bool session::fill() noexcept {
    const std::uint64_t begin = written_;
    while (!queue_.empty() && in_flight() < options_.in_flight_max) {
        if (written_ - begin >= options_.batch_bytes) break;
        if (!send(queue_.front())) return false;
    }
    if (written_ != begin) ++figures_.batches;
    return !queue_.empty() && in_flight() < options_.in_flight_max;
}

bool session::send(exchange& from) noexcept {
    const std::span<const std::byte> bytes = from.encoded();
    if (!out_->write(bytes)) {
        if (!out_->error()) {  // no writer takes so much at once
            queue_.pop_front();
            --queued_;
            from.end(errc::limit_exceeded, fate::unsent);
            return true;
        }
        return false;  // the connection has ended; whoever reads will notice
    }
    queue_.pop_front();
    --queued_;
    written_ += bytes.size();
    ++figures_.requests;
    add_slot(from, bytes.size());
    return true;
}

void session::add_slot(exchange& from, std::size_t bytes) noexcept {
    if (in_flight() == slots_.size()) {
        std::vector<slot> more(std::max(first_slots, 2 * slots_.size()));
        for (std::uint64_t at = head_; at != tail_; ++at)
            more[at & (more.size() - 1)] = slots_[at & mask()];
        slots_ = std::move(more);
    }
    from.place_ = exchange::place::sent;
    from.slot_ = tail_;
    slots_[tail_++ & mask()] = {&from,       written_ - bytes, written_,
                                from.since_, from.replies_,    from.patient_};
}

// Receiving.

task<std::error_code> session::serve(stream& connection, reader& in) {
    OURO_ASSERT(!out_ && !expecting());
    std::error_code why;
    std::uint64_t sent = 0;
    {
        // The batch in hand and a request of any size: the limit is the protocol's, not ours.
        writer out(connection, {.pending_bytes_max = std::size_t{1} << 31});
        out_ = &out;
        connection_ = &connection;
        written_ = 0;
        given_up_ = {};
        reading_.set();
        if (!queue_.empty()) out.pull(*this);
        for (;;) {
            const result<std::size_t> used = take(in.ready());
            if (!used) {
                why = used.error();
                break;
            }
            in.consume(*used);
            if (!reading_.is_set() && !given_up_) {
                const result<void> waited = co_await as_result(reading_.wait());
                if (waited) continue;
                why = waited.error();
                break;
            }
            const result<std::size_t> got = co_await as_result(in.read_some());
            if (!got || *got == 0) {
                why = got ? make_error_code(errc::end_of_stream) : got.error();
                break;
            }
        }
        if (given_up_) why = given_up_;
        out_ = nullptr;
        connection_ = nullptr;
        // The end may be seen before the completion of a send that the peer has already received.
        sent = out.offered_bytes();
    }
    lost(why, sent);
    if (!armed()) watch();
    co_return why;
}

void session::took_reply() noexcept {
    slot& front = slots_[head_ & mask()];
    ++(front.who ? figures_.replies : figures_.dropped);
    if (--front.left > 0) return;
    exchange* const who = front.who;
    ++head_;
    if (who) {
        who->place_ = exchange::place::nowhere;
        who->resume();
    }
    if (queued_ > 0 && out_ && in_flight() + 1 == options_.in_flight_max) out_->pull(*this);
}

// The end of a connection.

void session::give_up(std::error_code why) noexcept {
    if (!connection_ || given_up_) return;
    given_up_ = why;
    reading_.set();
    static_cast<void>(connection_->shutdown(half::both));  // whoever reads wakes up
}

void session::lost(std::error_code why, std::uint64_t sent) noexcept {
    // From the youngest to the oldest, so that what goes back to the queue keeps its order.
    while (expecting()) {
        slot& last = slots_[--tail_ & mask()];
        // Of several requests in one, the first may have been done though the last was not sent.
        const bool several = last.who && last.who->replies_ > 1;
        if (last.who) end_slot(last, why, several ? last.begin < sent : last.end <= sent);
    }
}

void session::end_slot(slot& of, std::error_code why, bool was_sent) noexcept {
    exchange& who = *of.who;
    const bool untouched = of.left == who.replies_;
    bool again = !was_sent;
    if (was_sent && untouched && who.repeats_left_ > 0) {
        --who.repeats_left_;
        again = true;
    }
    if (!again || stopped_) {
        who.end(stopped_ ? stopped_ : why, was_sent ? fate::unanswered : fate::unsent);
        return;
    }
    if (was_sent) ++figures_.repeated;
    who.place_ = exchange::place::queued;
    queue_.push_front(who);
    ++queued_;
}

void session::fail_queued(std::error_code why) noexcept {
    while (!queue_.empty()) {
        --queued_;
        queue_.pop_front().end(why, fate::unsent);
    }
}

void session::stop(std::error_code why) noexcept {
    OURO_ASSERT(why);
    if (!stopped_) stopped_ = why;
    give_up(why);
    fail_queued(why);
    if (!connection_) lost(why, ~std::uint64_t{0});
}

// Time.

void session::watch() noexcept {
    if (options_.request_timeout <= duration::zero()) return;
    time_point oldest = time_point::max();
    if (expecting() && !slots_[head_ & mask()].patient) oldest = slots_[head_ & mask()].since;
    if (!queue_.empty() && !queue_.front().patient_)
        oldest = std::min(oldest, queue_.front().since_);
    if (oldest == time_point::max()) return;
    executor::current().timers().arm(*this, due(oldest).time_since_epoch().count());
}

void session::fire() noexcept {
    const time_point now = clock::now();
    while (!queue_.empty() && !queue_.front().patient_ && due(queue_.front().since_) <= now) {
        --queued_;
        queue_.pop_front().end(trouble_ ? trouble_ : make_error_code(errc::timed_out),
                               fate::unsent);
    }
    if (expecting()) {
        const slot& oldest = slots_[head_ & mask()];
        if (!oldest.patient && due(oldest.since) <= now) {
            give_up(errc::timed_out);
            return;  // lost() tells them, and then the queue is watched
        }
    }
    watch();
}

}  // namespace ouro::net
