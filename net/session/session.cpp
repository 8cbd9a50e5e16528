#include <ouro/net/session/session.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::size_t first_slots = 16;

/// Nothing when there is no memory for it.
std::optional<writer> make_writer(stream& connection) noexcept {
    try {
        // The batch in hand and a request of any size: the limit is the protocol's, not ours.
        return std::optional<writer>(std::in_place, connection,
                                     writer_options{.pending_bytes_max = std::size_t{1} << 31});
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
}

}  // namespace

// An exchange.

bool exchange::start(promise_base& frame) noexcept {
    OURO_ASSERT(place_ == place::nowhere &&
                "exchange: awaited twice: an exchange is awaited once, by one task");
    if (!wait(frame)) {
        failed(errc::cancelled, fate::unsent);
        return false;
    }
    since_ = clock::now();
    was_sent_ = false;
    if (!on_->submit(*this)) resume();  // it has been told; never at once, so that others run
    return true;
}

void exchange::cancel(cancel_reason) noexcept { on_->take_back(*this); }

void exchange::end(std::error_code why, fate how_far) noexcept {
    place_ = place::nowhere;
    failed(why, how_far == fate::unsent && was_sent_ ? fate::unanswered : how_far);
    resume();
}

void exchange::describe(leaf_description& into) const {
    into.text(place_ == place::queued ? "request, not sent" : "reply");
}

// Coming and going.

session::~session() {
    OURO_ASSERT(queue_.empty() && !expecting() &&
                "session: destroyed while requests wait for replies: stop() comes first");
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
    if (!armed() && !from.patient_ && has_limit()) watch_until(due(from.since_));
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
    leave_slot(slots_[from.slot_ & mask()], errc::cancelled);
}

/// The slot stays, so that what belongs to it is dropped.
void session::leave_slot(slot& of, std::error_code why) noexcept {
    exchange& who = *std::exchange(of.who, nullptr);
    const bool indispensable = who.indispensable_;
    who.end(why, fate::unanswered);
    abandoned();
    if (indispensable) give_up(why);
}

// Sending.

bool session::fill() noexcept {
    if (retiring_) return false;
    const std::uint64_t begin = written_;
    while (!queue_.empty() && in_flight() < options_.in_flight_max) {
        if (written_ - begin >= options_.batch_bytes) break;
        if (!send(queue_.front())) return false;
    }
    if (written_ != begin) ++figures_.batches;
    return !queue_.empty() && in_flight() < options_.in_flight_max;
}

bool session::send(exchange& from) noexcept {
    const result<std::size_t> put_in = put(from);
    if (out_->error()) return false;  // the connection has ended; whoever reads will notice
    queue_.pop_front();
    --queued_;
    if (!put_in) {
        from.end(put_in.error(), fate::unsent);
        return true;
    }
    written_ += *put_in;
    ++figures_.requests;
    add_slot(from, *put_in);
    return true;
}

/// Writes a request, or nothing of it; how long it is.
result<std::size_t> session::put(exchange& from) noexcept {
    try {
        make_room();
        const std::span<const std::byte> bytes = from.encoded();
        if (out_->write(bytes)) return bytes.size();
    } catch (const std::bad_alloc&) {
        return make_error_code(std::errc::not_enough_memory);
    }
    return errc::limit_exceeded;  // no writer takes so much at once
}

/// For one more slot.
void session::make_room() {
    if (in_flight() < slots_.size()) return;
    std::vector<slot> more(std::max(first_slots, 2 * slots_.size()));
    for (std::uint64_t at = head_; at != tail_; ++at)
        more[at & (more.size() - 1)] = slots_[at & mask()];
    slots_ = std::move(more);
}

void session::add_slot(exchange& from, std::size_t bytes) noexcept {
    if (!expecting()) heard_ = clock::now();  // before, there was nothing to hear
    from.place_ = exchange::place::sent;
    from.slot_ = tail_;
    slots_[tail_++ & mask()] = {.who = &from,
                                .begin = written_ - bytes,
                                .end = written_,
                                .since = from.since_,
                                .left = from.replies_,
                                .patient = from.patient_,
                                .begun = false};
}

// Receiving.

task<std::error_code> session::serve(stream& connection, reader& in) {
    OURO_ASSERT(!out_ && !expecting());
    std::error_code why;
    std::uint64_t sent = 0;
    {
        std::optional<writer> own = make_writer(connection);
        if (!own) co_return make_error_code(std::errc::not_enough_memory);
        writer& out = *own;
        out_ = &out;
        connection_ = &connection;
        written_ = left_ = 0;
        given_up_ = retiring_ = {};
        reading_.set();
        if (!queue_.empty()) out.pull(*this);
        for (;;) {
            const result<std::size_t> used = take_guarded(in.ready());
            if (!used) {
                why = used.error();
                break;
            }
            in.consume(*used);
            in_a_reply_ = !in.ready().empty();
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
            heard_ = clock::now();
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

result<std::size_t> session::take_guarded(std::span<const std::byte> ready) noexcept {
    try {
        return take(ready);
    } catch (const std::bad_alloc&) {
        return make_error_code(std::errc::not_enough_memory);
    } catch (const std::system_error& failure) {
        return failure.code();
    } catch (...) {
        return make_error_code(std::errc::state_not_recoverable);
    }
}

void session::took_reply() noexcept {
    slot& front = slots_[head_ & mask()];
    ++(front.who ? figures_.replies : figures_.dropped);
    front.begun = true;
    if (--front.left > 0) return;
    exchange* const who = front.who;
    const bool patient = front.patient;
    ++head_;
    if (who) {
        who->place_ = exchange::place::nowhere;
        who->resume();
    }
    if (retiring_ && !expecting()) return give_up(retiring_);
    if (queued_ > 0 && out_ && in_flight() + 1 == options_.in_flight_max) out_->pull(*this);
    if (patient && !armed()) watch();  // behind it, silence counts again
}

// The end of a connection.

void session::give_up(std::error_code why) noexcept {
    if (!connection_ || given_up_) return;
    given_up_ = why;
    reading_.set();
    static_cast<void>(connection_->shutdown(half::both));  // whoever reads wakes up
}

void session::retire(std::error_code why) noexcept {
    if (!connection_ || retiring_) return;
    retiring_ = why;
    if (!expecting()) give_up(why);
}

void session::lost(std::error_code why, std::uint64_t sent) noexcept {
    // From the youngest to the oldest, so that what goes back to the queue keeps its order.
    while (expecting()) {
        slot& last = slots_[--tail_ & mask()];
        // Of several requests in one, the first may have been done though the last was not sent.
        const bool several = last.who && last.who->replies_ > 1;
        if (last.who) end_slot(last, why, several ? last.begin < sent : last.end <= sent);
    }
    aged_ = head_;
}

void session::end_slot(slot& of, std::error_code why, bool was_sent) noexcept {
    exchange& who = *of.who;
    const bool untouched = of.left == who.replies_;
    const bool has_time = !has_limit() || who.patient_ || due(of.since) > clock::now();
    bool again = !was_sent;
    if (was_sent && untouched && has_time && who.repeats_left_ > 0) {
        --who.repeats_left_;
        who.was_sent_ = again = true;
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

// Time. What waits in slots and queue stands in the order in which it began to wait, so whoever is
// behind the first that still has time has time, too. Only the one at the front of the slots may
// have more of it than its age allows.

/// When the time of the one at the front is up.
time_point session::due_of_first() const noexcept {
    const slot& first = slots_[head_ & mask()];
    if (!first.who || first.patient) return time_point::max();
    const bool moves = first.begun || in_a_reply_;
    return due(moves ? std::max(first.since, heard_) : first.since);
}

/// Whether the peer counts as dead. A request that has not left whole is no reason for it to speak.
bool session::is_silent(time_point now) noexcept {
    if (!expecting() || !out_) return false;
    slot& first = slots_[head_ & mask()];
    const std::uint64_t left = out_->sent_bytes();
    if (left > left_ && first.end > left) {
        heard_ = now;
        first.begun = true;
    }
    left_ = left;
    return !first.patient && due(heard_) <= now;
}

void session::expire_queued(time_point now) noexcept {
    queue_.for_each_while([&](exchange& each) {
        if (each.patient_) return true;
        if (due(each.since_) > now) return false;
        each.unlink();
        --queued_;
        each.end(trouble_ ? trouble_ : make_error_code(errc::timed_out), fate::unsent);
        return true;
    });
}

void session::expire_sent(time_point now) noexcept {
    if (!expecting()) return;
    if (due_of_first() <= now) leave_slot(slots_[head_ & mask()], errc::timed_out);
    for (aged_ = std::max(aged_, head_ + 1); aged_ < tail_; ++aged_) {
        slot& next = slots_[aged_ & mask()];
        if (!next.who || next.patient) continue;
        if (due(next.since) > now) return;
        leave_slot(next, errc::timed_out);
    }
}

void session::watch() noexcept {
    if (!has_limit()) return;
    time_point next = time_point::max();
    if (expecting()) {
        const slot& first = slots_[head_ & mask()];
        next = due_of_first();
        if (!first.patient) next = std::min(next, due(heard_));
        for (std::uint64_t at = std::max(aged_, head_ + 1); at < tail_; ++at) {
            const slot& one = slots_[at & mask()];
            if (!one.who || one.patient) continue;
            next = std::min(next, due(one.since));
            break;
        }
    }
    queue_.for_each_while([&](const exchange& each) {
        if (!each.patient_) next = std::min(next, due(each.since_));
        return each.patient_;
    });
    watch_until(next);
}

void session::watch_until(time_point when) noexcept {
    if (when == time_point::max()) return;
    executor::current().timers().arm(*this, when.time_since_epoch().count());
}

void session::fire() noexcept {
    const time_point now = clock::now();
    expire_queued(now);
    if (is_silent(now)) {
        give_up(errc::timed_out);
        return;  // lost() tells them, and then the queue is watched
    }
    expire_sent(now);
    watch();
}

}  // namespace ouro::net
