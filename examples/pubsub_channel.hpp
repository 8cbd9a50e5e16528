// pubsub_channel.hpp: who listens to what, and handing messages to all of them.
//
// Every worker has a hub with its own half of each channel, so that passing a message on to
// subscribers of the same worker needs no lock and copies nothing: they share the memory into which
// the message was received. For subscribers of other workers the bytes are copied once per worker
// and queued there.
#pragma once

#include <ouro/net/chunk.hpp>
#include <ouro/net/writer.hpp>
#include <ouro/runtime/intrusive_list.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/task.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pubsub {

/// What to do about a subscriber that does not keep up.
enum class slow_policy {
    block,       ///< hold its publishers back: nothing is lost, memory stays bounded
    drop,        ///< leave messages out for it, and count them
    disconnect,  ///< close it
};

struct channel_figures {
    std::uint64_t in = 0;       // messages
    std::uint64_t out = 0;      // deliveries
    std::uint64_t dropped = 0;  // for slow subscribers
};

/// A channel as all workers see it: where there are subscribers.
struct topic {
    topic(std::string name, unsigned workers) : name(std::move(name)), subscribers(workers) {}

    const std::string name;
    std::vector<std::atomic<unsigned>> subscribers;  // by worker
};

class channel;

/// One subscriber's place in a channel; leaves it when it dies.
class subscription : public ouro::list_hook<> {
public:
    subscription(std::shared_ptr<channel> to, ouro::net::writer& out);
    ~subscription();

    /// Waits until the subscriber has too much on its way and then until it has caught up, again
    /// and again; with the policy `disconnect` returns instead.
    ouro::task<> watch();

private:
    friend class channel;

    std::shared_ptr<channel> channel_;
    ouro::net::writer& out_;
    ouro::event slow_event_;
    bool slow_ = false;
};

/// One worker's half of a channel.
class channel {
public:
    channel(std::shared_ptr<topic> shared, slow_policy policy)
        : topic_(std::move(shared)), policy_(policy) {}

    const std::string& name() const { return topic_->name; }
    const channel_figures& figures() const { return figures_; }
    topic& shared() { return *topic_; }

    /// Waits while a slow subscriber holds the publishers back.
    ouro::task<> room();
    bool has_room() const { return policy_ != slow_policy::block || slow_count_ == 0; }

    /// Gives `count` messages to every subscriber of this worker; they leave at the turn's end.
    void publish(const ouro::net::chunk& batch, std::size_t count);

    void count_in(std::size_t messages) { figures_.in += messages; }

private:
    friend class subscription;

    void caught_up(subscription& one);

    std::shared_ptr<topic> topic_;
    slow_policy policy_;
    ouro::intrusive_list<subscription> subscribers_;
    std::size_t slow_count_ = 0;
    ouro::event room_;
    channel_figures figures_;
};

/// Messages on their way to the subscribers of another worker.
struct parcel {
    std::shared_ptr<topic> to;
    std::string bytes;
    std::size_t count = 0;
};

/// What the workers share: the topics, and a queue towards each worker.
class exchange {
public:
    explicit exchange(unsigned workers);

    std::shared_ptr<topic> find(const std::string& name);
    unsigned workers() const { return static_cast<unsigned>(inboxes_.size()); }
    ouro::shared_channel<parcel>& inbox(unsigned worker) { return *inboxes_[worker]; }

private:
    std::mutex lock_;
    std::map<std::string, std::weak_ptr<topic>> topics_;
    std::vector<std::unique_ptr<ouro::shared_channel<parcel>>> inboxes_;
};

/// The channels of one worker.
class hub {
public:
    hub(exchange& all, unsigned worker, slow_policy policy)
        : exchange_(all), worker_(worker), policy_(policy) {}

    unsigned worker() const { return worker_; }
    slow_policy policy() const { return policy_; }

    /// The channel of that name, made when it is not there; kept while somebody uses it.
    std::shared_ptr<channel> open(const std::string& name);

    /// Passes messages on to all subscribers everywhere; waits while they cannot take more.
    ouro::task<> publish(channel& to, ouro::net::chunk batch, std::size_t count);

    /// Takes what other workers' publishers sent; runs for as long as the server does.
    ouro::task<> deliver();

    /// The figures of each channel, those that are closed summed up under "".
    std::map<std::string, channel_figures> figures() const;

private:
    std::shared_ptr<channel> open(std::shared_ptr<topic> shared);

    exchange& exchange_;
    unsigned worker_;
    slow_policy policy_;
    std::map<std::string, std::weak_ptr<channel>> channels_;
    std::shared_ptr<channel_figures> closed_ = std::make_shared<channel_figures>();
};

}  // namespace pubsub
