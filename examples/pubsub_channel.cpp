#include "pubsub_channel.hpp"
#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/timeout.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <climits>
#include <system_error>
#include <utility>

namespace pubsub {
namespace {

using namespace std::chrono_literals;

constexpr ouro::duration patience = 500ms;     // without anything that moves
constexpr std::size_t inbox_parcels_max = 64;  // on their way to one worker

/// True when something moved in time; false when nothing did.
bool moved_in_time(std::error_code outcome) {
    if (!outcome) return true;
    if (outcome == ouro::errc::timed_out) return false;
    throw std::system_error(outcome);
}

/// A place in the topic for one more parcel; empty when its publisher has gone.
ouro::task<ouro::shared_semaphore::permit> place_for(topic::place& there, publisher& from) {
    while (!from.departed()) {
        const std::uint64_t before = there.moved;
        auto place = co_await ouro::as_result(ouro::timeout(patience, there.room.acquire()));
        if (moved_in_time(place.error())) co_return *std::move(place);
        if (there.moved == before) from.look();
    }
    co_return ouro::shared_semaphore::permit();
}

}  // namespace

void publisher::look() {
    pollfd state{client_.fd(), POLLRDHUP, 0};
    if (::poll(&state, 1, 0) > 0 && state.revents != 0) {
        departed_ = true;
    } else if (!std::exchange(roomy_, true)) {
        // The kernel makes room for what is to be waited for, as far as tcp_rmem allows.
        for (const int bytes : {INT_MAX, 1})
            static_cast<void>(
                ouro::net::set_socket_option(client_.fd(), SOL_SOCKET, SO_RCVLOWAT, bytes));
    }
}

subscription::subscription(std::shared_ptr<channel> to, ouro::net::writer& out)
    : channel_(std::move(to)), out_(out) {
    channel_->subscribers_.push_back(*this);
    ++channel_->place().subscribers;
}

subscription::~subscription() {
    --channel_->place().subscribers;
    unlink();
    if (slow_) channel_->caught_up(*this);
}

ouro::task<> subscription::watch() {
    for (;;) {
        co_await slow_event_.wait();
        if (channel_->policy_ == slow_policy::disconnect) co_return;
        const auto drained = co_await ouro::as_result(out_.below_low());
        if (!drained) co_return;
        slow_event_.reset();
        channel_->caught_up(*this);
    }
}

ouro::task<> channel::room(publisher& from) {
    while (!has_room() && !from.departed()) {
        room_.reset();
        const auto changed = co_await ouro::as_result(ouro::timeout(patience, room_.wait()));
        if (!moved_in_time(changed.error())) from.look();
    }
}

ouro::task<> channel::backlog_room(std::size_t bytes) {
    while (!has_room() && backlog_bytes_ + bytes > backlog_bytes_max) {
        room_.reset();
        co_await room_.wait();
    }
}

void channel::take(batch what) {
    if (has_room()) {
        publish(what);
        return;
    }
    if (!what.place) {
        if (backlog_bytes_ + what.bytes.size() > backlog_bytes_max) {
            figures_.dropped += what.count;
            return;
        }
        backlog_bytes_ += what.bytes.size();
    }
    backlog_.push_back(std::move(what));
}

void channel::publish(const batch& what) {
    if (what.place) ++place().moved;
    subscribers_.for_each([&](subscription& one) {
        if (one.slow_ && policy_ != slow_policy::block) {
            figures_.dropped += what.count;
            return;
        }
        if (!one.out_.write(what.bytes)) return;  // it is about to be closed
        figures_.out += what.count;
        if (one.slow_ || !one.out_.above_high()) return;
        one.slow_ = true;
        ++slow_count_;
        one.slow_event_.set();
    });
}

void channel::caught_up(subscription& one) {
    one.slow_ = false;
    --slow_count_;
    while (slow_count_ == 0 && !backlog_.empty()) {
        const batch next = std::move(backlog_.front());
        backlog_.pop_front();
        if (!next.place) backlog_bytes_ -= next.bytes.size();
        publish(next);
    }
    room_.set();
}

exchange::exchange(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i)
        inboxes_.push_back(std::make_unique<ouro::shared_channel<parcel>>(inbox_parcels_max));
}

std::shared_ptr<topic> exchange::find(const std::string& name) {
    const std::lock_guard hold(lock_);
    std::weak_ptr<topic>& place = topics_[name];
    if (auto found = place.lock()) return found;
    std::shared_ptr<topic> made(new topic(name, workers()), [this](topic* gone) { forget(gone); });
    place = made;
    return made;
}

/// By its last user, on whatever worker. Another of the same name may have been made meanwhile.
void exchange::forget(topic* gone) {
    {
        const std::lock_guard hold(lock_);
        const auto place = topics_.find(gone->name);
        if (place != topics_.end() && place->second.expired()) topics_.erase(place);
    }
    delete gone;
}

std::shared_ptr<channel> hub::open(const std::string& name) {
    std::weak_ptr<channel>& place = channels_[name];
    if (auto found = place.lock()) return found;
    std::shared_ptr<channel> made(new channel(exchange_.find(name), worker_, policy_),
                                  [this](channel* gone) { forget(gone); });
    place = made;
    return made;
}

void hub::forget(channel* gone) {
    closed_.in += gone->figures().in;
    closed_.out += gone->figures().out;
    closed_.dropped += gone->figures().dropped;
    channels_.erase(gone->name());
    delete gone;
}

ouro::task<> hub::publish(channel& to, ouro::net::chunk bytes, std::size_t count, publisher& from) {
    to.count_in(count);
    if (!to.has_room()) co_await to.room(from);
    to.take(channel::batch{bytes, count, {}});
    for (unsigned other = 0; other < exchange_.workers(); ++other) {
        topic::place& there = to.shared()->places[other];
        if (other == worker_ || there.subscribers == 0) continue;
        auto place = there.room.try_acquire();
        if (!place) place = co_await place_for(there, from);
        parcel copy(to.shared(), bytes.text(), count, std::move(place));
        co_await exchange_.inbox(other).send(std::move(copy));
    }
}

ouro::task<> hub::deliver() {
    while (auto arrived = co_await exchange_.inbox(worker_).recv()) {
        const auto found = channels_.find(arrived->to->name);
        const auto to = found == channels_.end() ? nullptr : found->second.lock();
        if (!to) continue;  // nobody listens here any more
        to->take(channel::batch{ouro::net::chunk::adopt(std::move(arrived->bytes)), arrived->count,
                                std::move(arrived->place)});
    }
}

std::map<std::string, channel_figures> hub::figures() const {
    std::map<std::string, channel_figures> all;
    for (const auto& [name, place] : channels_)
        if (const auto open = place.lock()) all[name] = open->figures();
    if (closed_.in + closed_.out > 0) all[""] = closed_;
    return all;
}

}  // namespace pubsub
