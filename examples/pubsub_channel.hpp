// pubsub_channel.hpp: who listens to what, and handing messages to all of them.
//
// Every worker has a hub with its own half of each channel, so that passing a message on to
// subscribers of the same worker needs no lock and copies nothing: they share the memory into which
// the message was received. For subscribers of other workers the bytes are copied once per worker
// and queued there.
//
// With the policy `block`, a slow subscriber holds back the publishers of its own channel, and
// nobody else:
//
//   1. What comes from other workers is taken from the queue at once, whatever its channel: it is
//      published, or kept in the channel's backlog until there is room. How much of a channel may
//      be on its way to a worker or kept there is counted in the topic, and publishers wait for it.
//   2. A publisher is waited for while it is there. One that has gone while nothing moved gives its
//      connection back: what it left behind is kept in the backlog, too, up to a limit.
//   3. While there is a backlog there is no room, so the order of messages stays.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/sync/shared_semaphore.hpp>
#include <ouro/runtime/task.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pubsub {

constexpr std::size_t parcels_max = 64;              // of one channel, towards one worker
constexpr std::size_t backlog_bytes_max = 16 << 20;  // of a channel, without what is counted there

/// What to do about a subscriber that does not keep up.
enum class slow_policy {
    block,       ///< hold its publishers back: nothing is lost, memory stays bounded
    drop,        ///< leave messages out for it, and count them
    disconnect,  ///< close it
};

struct channel_figures {
    std::uint64_t in = 0;       // messages
    std::uint64_t out = 0;      // deliveries
    std::uint64_t dropped = 0;  // for slow subscribers, or left behind and too many to be kept
};

/// A publisher's connection, seen by those that hold it back.
///
/// That a peer has closed shows only behind all that it sent, and while nothing is read its system
/// keeps most of that to itself. So one that is held back for long is given a larger receive buffer
/// of the kernel's, once: what it sent comes in, and its end with it.
class publisher {
public:
    explicit publisher(ouro::net::stream& client) : client_(client) {}

    /// It has gone, and is not waited for any more.
    bool departed() const { return departed_; }

    /// Nothing has moved for a while: looks whether it is still there.
    void look();

private:
    ouro::net::stream& client_;
    bool roomy_ = false;
    bool departed_ = false;
};

/// A channel as all workers see it: where there are subscribers, and how much is on its way.
struct topic {
    struct place {
        std::atomic<unsigned> subscribers = 0;
        std::atomic<std::uint64_t> moved = 0;  // parcels that were published
        ouro::shared_semaphore room{parcels_max};
    };

    topic(std::string name, unsigned workers)
        : name(std::move(name)), places(std::make_unique<place[]>(workers)) {}

    const std::string name;
    const std::unique_ptr<place[]> places;  // by worker
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
    /// A batch of messages, and its place in the topic when it came from another worker.
    struct batch {
        ouro::net::chunk bytes;
        std::size_t count = 0;
        ouro::shared_semaphore::permit place;
    };

    channel(std::shared_ptr<topic> shared, unsigned worker, slow_policy policy)
        : topic_(std::move(shared)), worker_(worker), policy_(policy) {}

    const std::string& name() const { return topic_->name; }
    const channel_figures& figures() const { return figures_; }
    const std::shared_ptr<topic>& shared() const { return topic_; }
    topic::place& place() { return topic_->places[worker_]; }

    /// False while a slow subscriber holds the publishers back.
    bool has_room() const {
        return policy_ != slow_policy::block || (slow_count_ == 0 && backlog_.empty());
    }

    /// Waits until there is room, or until `from` has gone.
    ouro::task<> room(publisher& from);

    /// Waits until `bytes` more have room, if only in the backlog.
    ouro::task<> backlog_room(std::size_t bytes);

    /// Gives messages to every subscriber of this worker, whose writes leave at the turn's end;
    /// without room keeps them. What has no place and is too much to be kept is dropped.
    void take(batch what);

    void count_in(std::size_t messages) { figures_.in += messages; }

private:
    friend class subscription;

    void publish(const batch& what);
    void caught_up(subscription& one);

    std::shared_ptr<topic> topic_;
    unsigned worker_;
    slow_policy policy_;
    ouro::intrusive_list<subscription> subscribers_;
    std::size_t slow_count_ = 0;
    std::deque<batch> backlog_;
    std::size_t backlog_bytes_ = 0;  // of what has no place
    ouro::event room_;
    channel_figures figures_;
};

/// Messages on their way to the subscribers of another worker.
struct parcel {
    parcel(std::shared_ptr<topic> to, std::string_view bytes, std::size_t count,
           ouro::shared_semaphore::permit place)
        : to(std::move(to)), bytes(bytes), count(count), place(std::move(place)) {}
    parcel(parcel&&) = default;
    parcel& operator=(parcel&&) = delete;

    std::shared_ptr<topic> to;
    std::string bytes;
    std::size_t count;
    ouro::shared_semaphore::permit place;  // dies before the topic
};

/// What the workers share: the topics, and a queue towards each worker.
class exchange {
public:
    explicit exchange(unsigned workers);

    /// The topic of that name, made when it is not there; kept while somebody uses it.
    std::shared_ptr<topic> find(const std::string& name);
    unsigned workers() const { return static_cast<unsigned>(inboxes_.size()); }
    ouro::shared_channel<parcel>& inbox(unsigned worker) { return *inboxes_[worker]; }

private:
    void forget(topic* gone);

    std::mutex lock_;
    std::unordered_map<std::string, std::weak_ptr<topic>> topics_;
    std::vector<std::unique_ptr<ouro::shared_channel<parcel>>> inboxes_;
};

/// The channels of one worker; outlives them.
class hub {
public:
    hub(exchange& all, unsigned worker, slow_policy policy)
        : exchange_(all), worker_(worker), policy_(policy) {}

    unsigned worker() const { return worker_; }
    slow_policy policy() const { return policy_; }

    /// The channel of that name, made when it is not there; kept while somebody uses it.
    std::shared_ptr<channel> open(const std::string& name);

    /// Passes messages on to all subscribers everywhere; waits while they cannot take more, but not
    /// when their publisher has gone.
    ouro::task<> publish(channel& to, ouro::net::chunk bytes, std::size_t count, publisher& from);

    /// Takes what other workers' publishers sent; runs for as long as the server does.
    ouro::task<> deliver();

    /// The figures of each channel, those that are closed summed up under "".
    std::map<std::string, channel_figures> figures() const;

private:
    void forget(channel* gone);

    exchange& exchange_;
    unsigned worker_;
    slow_policy policy_;
    std::unordered_map<std::string, std::weak_ptr<channel>> channels_;
    channel_figures closed_;  // what a channel has counted is not forgotten with it
};

}  // namespace pubsub
