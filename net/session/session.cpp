#include <ouro/net/session/session.hpp>

#include <ouro/net/session/thrown.hpp>
#include <ouro/net/session/turn.hpp>

#include <algorithm>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::size_t first_slots = 16;

// Of a limit: how much later its end may be noticed when many have one, each its own.
constexpr int late_part = 32;

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
    was_sent_ = touched_ = false;
    if (!on_->submit(*this)) resume();  // it has been told; never at once, so that others run
    return true;
}

void exchange::cancel(cancel_reason) noexcept { on_->take_back(*this); }

void exchange::fail(std::error_code why, fate how_far) noexcept {
    OURO_ASSERT(why && !linked());
    place_ = place::nowhere;
    if (how_far == fate::unsent && was_sent_) how_far = fate::unanswered;
    failed(why, touched_ ? fate::partial : how_far);
    if (waiting()) resume();  // but a turn need not be
}

void exchange::describe(leaf_description& into) const {
    into.text(place_ == place::queued ? "request, not sent" : "reply");
}

// Coming and going.

session::session(const session_options& options) noexcept
    : options_(options),
      limit_(options.request_timeout > duration::zero() ? options.request_timeout
                                                        : duration::max()) {}

session::~session() {
    OURO_ASSERT(queue_.empty() && !busy() &&
                "session: destroyed while requests wait for replies: stop() comes first");
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
    if (from.goes_first_)
        queue_.push_front(from);
    else
        queue_.push_back(from);
    if (++queued_ == 1 || from.goes_first_) pull();
    const bool all_alike = own_due_ == time_point::max() && from.is_ordinary();
    if (!all_alike || !watching()) watch_for(from);
    return true;
}

/// While all are alike, whoever began to wait before is due before, and the timer is armed for it.
void session::watch_for(const exchange& from) noexcept {
    const time_point when = due(from);
    if (!from.is_ordinary()) own_due_ = std::min(own_due_, when);
    watch_by(when);
}

void session::take_back(exchange& from) noexcept {
    if (from.place_ == exchange::place::queued) {
        OURO_ASSERT(queued_ > 0);
        from.unlink();
        --queued_;
        from.fail(errc::cancelled, fate::unsent);
        return;
    }
    OURO_ASSERT(from.place_ == exchange::place::sent);
    leave_slot(from.slot_, errc::cancelled);
}

/// The slot stays, so that what belongs to it is dropped.
void session::leave_slot(std::uint64_t at, std::error_code why) noexcept {
    OURO_ASSERT(at >= head_ && at < tail_ && slots_[at & mask()].left > 0);
    exchange& who = *std::exchange(slots_[at & mask()].who, nullptr);
    OURO_ASSERT(who.slot_ == at && !who.is_turn_);
    const bool indispensable = who.indispensable_;
    abandoned(who, at - head_);
    who.fail(why, fate::unanswered);
    if (indispensable) give_up(why);
}

// Sending.

void session::begun() noexcept {
    OURO_ASSERT(!busy() && !turn_);
    written_ = 0;
    if (may_send()) pull();
}

bool session::fill(writer& out) noexcept {
    const std::uint64_t begin = written_;
    while (may_send()) {
        if (written_ - begin >= options_.batch_bytes) break;
        send(queue_.front(), out);
    }
    if (written_ != begin) ++figures_.batches;
    return may_send();
}

void session::send(exchange& from, writer& out) noexcept {
    OURO_ASSERT(from.place_ == exchange::place::queued && !out.error());
    const std::uint64_t begin = written_;
    const std::error_code wrong = put(from, out);
    from.unlink();
    --queued_;
    if (wrong) return from.fail(wrong, fate::unsent);
    ++figures_.requests;
    add_slot(from, begin);
    if (!from.is_turn_) return;
    turn_ = &static_cast<turn&>(from);
    turn_->has_begun();
}

/// Writes a request, or nothing of it.
std::error_code session::put(exchange& from, writer& out) noexcept {
    const std::size_t before = out.pending_bytes();
    const std::error_code wrong = guarded([&]() -> std::error_code {
        make_room();
        if (from.encode(out)) return {};
        return errc::limit_exceeded;  // no writer takes so much at once
    });
    const std::size_t bytes = out.pending_bytes() - before;
    if (wrong)
        out.retract(bytes);
    else
        written_ += bytes;
    return wrong;
}

/// For one more slot.
void session::make_room() {
    if (in_flight() < slots_.size()) return;
    std::vector<slot> more(std::max(first_slots, 2 * slots_.size()));
    OURO_ASSERT((more.size() & (more.size() - 1)) == 0 && in_flight() < more.size());
    for (std::uint64_t at = head_; at != tail_; ++at)
        more[at & (more.size() - 1)] = slots_[at & mask()];
    slots_ = std::move(more);
}

void session::add_slot(exchange& from, std::uint64_t begin) noexcept {
    OURO_ASSERT(from.replies_ > 0 && in_flight() < slots_.size());
    if (!busy()) hear();  // before, there was nothing to hear
    from.place_ = exchange::place::sent;
    from.slot_ = tail_;
    slots_[tail_++ & mask()] = {.who = &from,
                                .begin = begin,
                                .end = written_,
                                .since = from.since_,
                                .limit = limit_of(from),
                                .left = from.replies_,
                                .own_limit = !from.is_ordinary() || from.is_turn_,
                                .begun = false};
}

void session::release_queue() noexcept {
    held_ = false;
    if (may_send()) pull();
}

// Receiving.

void session::took_reply() noexcept {
    OURO_ASSERT(expecting() && "session: a reply was taken that nobody has asked for");
    slot& front = slots_[head_ & mask()];
    ++(front.who ? figures_.replies : figures_.dropped);
    front.begun = true;
    if (--front.left > 0) return;
    if (turn_ && front.who == turn_) return turn_->wake();  // it may ask for more
    end_front();
}

void session::end_front() noexcept {
    const slot& front = slots_[head_ & mask()];
    OURO_ASSERT(front.left == 0);
    exchange* const who = front.who;
    bool stood_still = front.limit == duration::max();
    ++head_;
    if (who) {
        who->place_ = exchange::place::nowhere;
        stood_still |= who->is_turn_;
        if (who->waiting()) who->resume();
    }
    rest();
    if (queued_ > 0 && in_flight() + 1 == options_.in_flight_max) pull();
    if (stood_still && !watching()) watch();  // behind it, silence counts again
}

// The end of a connection.

void session::ended(std::error_code why, std::uint64_t sent) noexcept {
    OURO_ASSERT(!connected() && "session: its slots end when the writer is gone");
    turn_ = nullptr;
    // From the youngest to the oldest, so that what goes back to the queue keeps its order.
    while (busy()) {
        slot& last = slots_[--tail_ & mask()];
        if (!last.who) continue;
        // Of several requests in one, the first may have been done though the last was not sent.
        const bool several = last.who->replies_ > 1 || last.who->is_turn_;
        end_slot(last, why, several ? last.begin < sent : last.end <= sent);
    }
    aged_ = head_;
}

void session::end_slot(slot& of, std::error_code why, bool was_sent) noexcept {
    exchange& who = *of.who;
    OURO_ASSERT(who.place_ == exchange::place::sent && who.slot_ == tail_);
    OURO_ASSERT(of.left > 0 || who.is_turn_);
    const bool untouched = of.left == who.replies_ && !who.touched_;
    const bool has_time = of.since + of.limit > clock::now();
    bool again = !was_sent;
    if (was_sent && untouched && has_time && who.repeats_left_ > 0) {
        --who.repeats_left_;
        who.was_sent_ = again = true;
    }
    // The task of a turn has gone on, and could not send again what it wrote behind the beginning.
    if (!again || stopped_ || who.is_turn_) {
        who.fail(stopped_ ? stopped_ : why, was_sent ? fate::unanswered : fate::unsent);
        return;
    }
    if (was_sent) ++figures_.repeated;
    who.place_ = exchange::place::queued;
    queue_.push_front(who);
    ++queued_;
    if (!who.is_ordinary()) own_due_ = std::min(own_due_, due(who));
}

void session::fail_queued(std::error_code why) noexcept {
    while (!queue_.empty()) {
        OURO_ASSERT(queued_ > 0);
        --queued_;
        queue_.pop_front().fail(why, fate::unsent);
    }
    OURO_ASSERT(queued_ == 0);
}

void session::stop(std::error_code why) noexcept {
    OURO_ASSERT(why);
    if (!stopped_) stopped_ = why;
    give_up(why);  // whoever is in a slot will be told
    fail_queued(why);
    OURO_ASSERT(connected() || !busy());
}

// Time. The ordinary requests that wait in slots and queue stand in the order in which they began
// to wait, so whoever is behind the first that still has time has time, too. Only the one at the
// front of the slots may have more of it than its age allows. For those with a limit of their own
// it is known when the first of them may be due: no limit ends before. Then they are looked through
// for the next one, which happens about once in such a limit as long as replies come.

time_point session::due_of(std::uint64_t at) const noexcept {
    const slot& one = slots_[at & mask()];
    if (!one.who || one.who->is_turn_) return time_point::max();
    const bool moves = at == head_ && (one.begun || in_the_middle());
    return (moves ? std::max(one.since, heard()) : one.since) + one.limit;
}

link::debt session::owed(std::uint64_t left) noexcept {
    if (!busy()) return {};
    slot& first = slots_[head_ & mask()];
    if (first.who && first.who->is_turn_ && !static_cast<turn*>(first.who)->awaits_peer())
        return {};
    const bool is_leaving = first.end > left;
    if (is_leaving && left > first.begin) first.begun = true;
    return {.silence_max = std::max(first.limit, limit_), .is_leaving = is_leaving};
}

void session::expire(time_point now) noexcept {
    expire_queued(now);
    if (!is_given_up()) expire_sent(now);
    if (own_due_ <= now) expire_own(now);
}

void session::give_time_up(exchange& from) noexcept {
    OURO_ASSERT(queued_ > 0 && from.place_ == exchange::place::queued);
    from.unlink();
    --queued_;
    from.fail(trouble_ ? trouble_ : make_error_code(errc::timed_out), fate::unsent);
}

void session::expire_queued(time_point now) noexcept {
    queue_.for_each_while([&](exchange& each) {
        if (!each.is_ordinary()) return true;
        if (due(each) > now) return false;
        give_time_up(each);
        return true;
    });
}

void session::expire_sent(time_point now) noexcept {
    if (!busy()) return;
    if (due_of(head_) <= now) leave_slot(head_, errc::timed_out);
    for (aged_ = std::max(aged_, head_ + 1); aged_ < tail_; ++aged_) {
        const slot& next = slots_[aged_ & mask()];
        if (!next.who || next.own_limit) continue;
        if (next.since + next.limit > now) return;
        leave_slot(aged_, errc::timed_out);
    }
}

void session::expire_own(time_point now) noexcept {
    time_point next = time_point::max();
    duration shortest = duration::max();
    queue_.for_each([&](exchange& each) {
        if (each.is_ordinary()) return;
        if (due(each) > now) {
            next = std::min(next, due(each));
            return;
        }
        shortest = std::min(shortest, limit_of(each));
        give_time_up(each);
    });
    for (std::uint64_t at = head_; at != tail_ && !is_given_up(); ++at) {
        const slot& one = slots_[at & mask()];
        if (!one.who || !one.own_limit) continue;
        if (due_of(at) > now) {
            next = std::min(next, due_of(at));
            continue;
        }
        shortest = std::min(shortest, one.limit);
        leave_slot(at, errc::timed_out);
    }
    const bool some_did = shortest != duration::max();
    own_due_ = some_did ? std::max(next, now + shortest / late_part) : next;
}

time_point session::next_due() noexcept {
    time_point next = own_due_;
    if (busy() && !is_given_up()) {  // else they are told when the connection has ended
        next = std::min(next, due_of(head_));
        for (std::uint64_t at = std::max(aged_, head_ + 1); at < tail_; ++at) {
            const slot& one = slots_[at & mask()];
            if (!one.who || one.own_limit) continue;
            next = std::min(next, one.since + one.limit);
            break;
        }
    }
    queue_.for_each_while([&](const exchange& each) {
        if (each.is_ordinary()) next = std::min(next, due(each));
        return !each.is_ordinary();
    });
    return next;
}

// A turn.

bool session::is_open(const turn& who) const noexcept {
    return turn_ == &who && connected() && !is_given_up();
}

void session::wrote(std::size_t bytes) noexcept {
    OURO_ASSERT(busy() && turn_ && slot_of_turn().who == turn_);
    written_ += bytes;
    slot_of_turn().end = written_;
}

void session::waits(const turn& who) noexcept {
    OURO_ASSERT(who.slot_ >= head_ && who.slot_ < tail_);
    if (who.slot_ == head_) hear();  // it has owed nothing until now
    watch();
}

void session::close_turn(turn& who) noexcept {
    OURO_ASSERT(turn_ == &who && slot_of_turn().who == &who);
    const bool answered = slot_of_turn().left == 0;
    OURO_ASSERT((!answered || who.slot_ == head_) && "replies come in order");
    turn_ = nullptr;
    if (answered) end_front();
    if (may_send()) pull();
}

void session::leave_turn(turn& who) noexcept {
    OURO_ASSERT(who.slot_ >= head_ && who.slot_ < tail_);
    slot& its = slots_[who.slot_ & mask()];
    OURO_ASSERT(its.who == &who);
    who.place_ = exchange::place::nowhere;
    its.who = nullptr;
    abandoned(who, who.slot_ - head_);
    if (turn_ != &who || is_given_up()) {
        if (turn_ == &who) turn_ = nullptr;
        return watch();  // its replies are to come, and nobody else looks for them
    }
    const std::size_t before = out().pending_bytes();
    const auto left = guarded([&]() -> result<std::optional<std::uint32_t>> {
        return drain(who.kind_, its.left, out());
    });
    if (!left || !*left) {
        turn_ = nullptr;
        return give_up(left ? make_error_code(errc::cancelled) : left.error());
    }
    OURO_ASSERT(**left >= its.left && "session: drain() forgets replies that are to come");
    written_ += out().pending_bytes() - before;
    its.end = written_;
    its.left = **left;
    turn_ = nullptr;
    hear();
    if (its.left == 0) end_front();
    if (may_send()) pull();
    watch();
}

}  // namespace ouro::net
