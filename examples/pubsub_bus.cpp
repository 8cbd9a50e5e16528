#include "pubsub_backplane.hpp"
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/as_result.hpp>

namespace pubsub {
namespace {

using namespace ouro;

/// Client and subscriber are those of one server or those of a cluster.
template <class Client, class Subscriber>
class redis_bus final : public bus {
public:
    redis_bus(Client client, Subscriber subscriber)
        : client_(std::move(client)), subscriber_(std::move(subscriber)) {}

private:
    task<outcome> publish(std::string channel, net::chunk batch) override {
        auto asked = client_.spublish(channel, batch.text());
        const auto done = co_await as_result(asked);
        outcome told;
        if (done) co_return told;
        if (done.error() == ouro::errc::cancelled) throw std::system_error(done.error());
        told.code = done.error();
        told.words = asked.words();
        told.what = asked.how_far() == net::fate::answered ? fate::refused
                    : asked.how_far() == net::fate::unsent ? fate::unsent
                                                           : fate::unsure;
        co_return told;
    }
    task<> subscribe(std::vector<std::string> channels) override {
        return subscriber_.ssubscribe(std::move(channels));
    }
    task<> unsubscribe(std::vector<std::string> channels) override {
        return subscriber_.sunsubscribe(std::move(channels));
    }
    redis::inbox::next_op next() override { return subscriber_.next(); }

    Client client_;
    Subscriber subscriber_;
};

}  // namespace

task<std::unique_ptr<bus>> bus::connect(std::string url, bool hold_back) {
    auto client = co_await redis::client::connect(url);
    const auto about = co_await client.command<std::string>("INFO", "cluster");
    if (about.find("cluster_enabled:1") != about.npos) {
        co_await client.close();
        auto all = co_await redis::cluster::connect(url);
        // Nodes are not held back: what a slow subscriber has not taken waits here, and there is an
        // end to that, too.
        redis::inbox_options roomy;
        roomy.messages_max = 1 << 20;
        roomy.bytes_max = std::size_t{64} << 20;
        auto subscriber = all.subscriber(roomy);
        using made = redis_bus<redis::cluster, redis::cluster_subscriber>;
        co_return std::make_unique<made>(std::move(all), std::move(subscriber));
    }
    redis::inbox_options limits;
    // A slow subscriber holds the connection back for a while. For how long is in the hands of
    // Redis: see its client-output-buffer-limit for pubsub.
    if (hold_back) limits.when_full = redis::slow_policy::block;
    auto subscriber = co_await redis::subscriber::connect(url, limits);
    using made = redis_bus<redis::client, redis::subscriber>;
    co_return std::make_unique<made>(std::move(client), std::move(subscriber));
}

}  // namespace pubsub
