// pubsub_backplane.hpp: several pub/sub servers share their channels through Redis.
//
// What a publisher of this server sends goes to Redis (SPUBLISH), a batch of lines at a time, and
// comes back from there like everybody else's, so that all subscribers everywhere see one order.
// Each worker subscribes (SSUBSCRIBE) to the channels that somebody of its own listens to. Shard
// channels spread over the nodes of a cluster; on a single server they are just channels.
#pragma once

#include "pubsub_channel.hpp"
#include <ouro/kv/redis/pubsub/inbox.hpp>
#include <ouro/kv/redis/pubsub/message.hpp>
#include <ouro/net/bytes/chunk.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace pubsub {

struct backplane_figures {
    std::uint64_t out = 0;      // batches that Redis has taken
    std::uint64_t in = 0;       // batches that came from there
    std::uint64_t gaps = 0;     // times that the connection was lost, and what came meanwhile
    std::uint64_t unsure = 0;   // batches that were sent, and Redis did not say whether it has them
    std::uint64_t dropped = 0;  // batches that came too fast, or that a publisher left behind
    std::uint64_t foreign = 0;  // messages that are no lines of ours
};

/// Redis as a backplane needs it: one server, or a cluster.
class bus {
public:
    /// What became of a batch.
    enum class fate { taken, unsent, unsure, refused };
    struct outcome {
        fate what = fate::taken;
        std::error_code code;
        std::string words;  // when it was refused
    };

    /// Connects to the server, or to the cluster that it is a node of. Throws why it cannot.
    static ouro::task<std::unique_ptr<bus>> connect(std::string url, bool hold_back);
    virtual ~bus() = default;

    virtual ouro::task<outcome> publish(std::string channel, ouro::net::chunk batch) = 0;
    virtual ouro::task<> subscribe(std::vector<std::string> channels) = 0;
    virtual ouro::task<> unsubscribe(std::vector<std::string> channels) = 0;
    virtual ouro::redis::inbox::next_op next() = 0;
};

/// One worker's connections to Redis.
class backplane {
public:
    class interest;

    /// Connects, or throws why it cannot.
    static ouro::task<std::unique_ptr<backplane>> connect(std::string url, hub& local);

    /// Hands a batch of lines to Redis; waits while there is no Redis, but only for a while when
    /// its publisher has gone. Returns what Redis says against it, else nothing. A batch that was
    /// on its way when the connection broke is not sent again: it might come twice.
    ouro::task<std::string> publish(const std::string& name, ouro::net::chunk batch,
                                    publisher& from);

    /// Returns when messages of that channel reach this worker; they do as long as the interest
    /// lives. Throws what Redis says against it.
    ouro::task<interest> hear(std::string name);

    /// Passes on what comes from Redis, and gives up channels that nobody listens to any more; for
    /// as long as the server runs.
    ouro::task<> deliver();
    ouro::task<> tidy();

    backplane_figures figures() const;

private:
    backplane(std::unique_ptr<bus> redis, hub& local) : redis_(std::move(redis)), hub_(local) {}

    ouro::task<> pass_on(const ouro::redis::message& from);
    void note(const ouro::redis::message& event);
    void leave(const std::string& name);

    std::unique_ptr<bus> redis_;
    hub& hub_;
    std::map<std::string, unsigned> listeners_;  // by channel
    std::vector<std::string> doubtful_;  // channels that may have to be given up or taken up
    ouro::event doubt_;
    backplane_figures figures_;
};

/// That somebody of this worker listens to a channel.
class backplane::interest {
public:
    interest(backplane& of, std::string name) : of_(&of), name_(std::move(name)) {
        ++of.listeners_[name_];
    }
    interest(interest&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), name_(std::move(other.name_)) {}
    interest& operator=(interest&&) = delete;
    ~interest() {
        if (of_) of_->leave(name_);
    }

private:
    backplane* of_;
    std::string name_;
};

}  // namespace pubsub
