#include "pubsub_channel.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>

#include <utility>

namespace pubsub {
namespace {

constexpr std::size_t parcels_max = 64;  // on their way to one worker

}  // namespace

subscription::subscription(std::shared_ptr<channel> to, ouro::net::writer& out)
    : channel_(std::move(to)), out_(out) {
    channel_->subscribers_.push_back(*this);
    ++channel_->shared().subscribers[ouro::this_worker()];
}

subscription::~subscription() {
    --channel_->shared().subscribers[ouro::this_worker()];
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

ouro::task<> channel::room() {
    while (!has_room()) {
        room_.reset();
        co_await room_.wait();
    }
}

void channel::publish(const ouro::net::chunk& batch, std::size_t count) {
    subscribers_.for_each([&](subscription& one) {
        if (one.slow_ && policy_ != slow_policy::block) {
            figures_.dropped += count;
            return;
        }
        if (!one.out_.write(batch)) return;  // it is about to be closed
        figures_.out += count;
        if (one.slow_ || !one.out_.above_high()) return;
        one.slow_ = true;
        ++slow_count_;
        one.slow_event_.set();
    });
}

void channel::caught_up(subscription& one) {
    one.slow_ = false;
    --slow_count_;
    room_.set();
}

exchange::exchange(unsigned workers) {
    for (unsigned i = 0; i < workers; ++i)
        inboxes_.push_back(std::make_unique<ouro::shared_channel<parcel>>(parcels_max));
}

std::shared_ptr<topic> exchange::find(const std::string& name) {
    const std::lock_guard hold(lock_);
    std::weak_ptr<topic>& place = topics_[name];
    auto found = place.lock();
    if (!found) {
        std::erase_if(topics_, [&](const auto& entry) {
            return entry.second.expired() && entry.first != name;
        });
        found = std::make_shared<topic>(name, workers());
        topics_[name] = found;
    }
    return found;
}

std::shared_ptr<channel> hub::open(const std::string& name) {
    if (auto found = channels_[name].lock()) return found;
    return open(exchange_.find(name));
}

std::shared_ptr<channel> hub::open(std::shared_ptr<topic> shared) {
    const std::string name = shared->name;
    if (auto found = channels_[name].lock()) return found;
    // What a channel has counted is not forgotten with it.
    auto made = std::shared_ptr<channel>(new channel(std::move(shared), policy_),
                                         [sum = closed_](channel* gone) {
                                             sum->in += gone->figures().in;
                                             sum->out += gone->figures().out;
                                             sum->dropped += gone->figures().dropped;
                                             delete gone;
                                         });
    std::erase_if(channels_,
                  [&](const auto& entry) { return entry.second.expired() && entry.first != name; });
    channels_[name] = made;
    return made;
}

ouro::task<> hub::publish(channel& to, ouro::net::chunk batch, std::size_t count) {
    to.count_in(count);
    if (!to.has_room()) co_await to.room();
    to.publish(batch, count);
    for (unsigned other = 0; other < exchange_.workers(); ++other) {
        topic& shared = to.shared();
        if (other == worker_ || shared.subscribers[other] == 0) continue;
        parcel copy{exchange_.find(shared.name), std::string(batch.text()), count};
        co_await exchange_.inbox(other).send(std::move(copy));
    }
}

ouro::task<> hub::deliver() {
    while (auto arrived = co_await exchange_.inbox(worker_).recv()) {
        const auto to = open(arrived->to);
        if (!to->has_room()) co_await to->room();
        to->publish(ouro::net::chunk::adopt(std::move(arrived->bytes)), arrived->count);
    }
}

std::map<std::string, channel_figures> hub::figures() const {
    std::map<std::string, channel_figures> all;
    for (const auto& [name, place] : channels_)
        if (const auto open = place.lock()) all[name] = open->figures();
    if (closed_->in + closed_->out > 0) all[""] = *closed_;
    return all;
}

}  // namespace pubsub
