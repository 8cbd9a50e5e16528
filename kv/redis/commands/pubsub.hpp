// pubsub.hpp: publishing, and who listens. Listening itself is the business of a subscriber.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ouro::redis {

/// The pub/sub commands of a door that leave its connection as it is.
template <class Door>
class pubsub_commands {
public:
    /// PUBLISH: how many got it; in a cluster, of those at the node that was asked.
    auto publish(std::string_view channel, const arg& message) {
        return door().template run<std::int64_t>(verb::publish, {channel, message});
    }
    /// PUBSUB CHANNELS: those that somebody listens to, without patterns.
    auto pubsub_channels(std::string_view pattern = "*") {
        return door().template run<std::vector<std::string>>(verb::pubsub_channels, {pattern});
    }
    /// PUBSUB NUMPAT: how many patterns there are.
    auto pubsub_numpat() { return door().template run<std::int64_t>(verb::pubsub_numpat); }
    /// PUBSUB NUMSUB: how many listen to each of these channels, patterns not counted.
    template <class T = std::unordered_map<std::string, std::int64_t>>
    auto pubsub_numsub(const words& channels) {
        return door().template run<T>(verb::pubsub_numsub, channels.args());
    }
    /// PUBSUB SHARDCHANNELS: the shard channels that somebody listens to.
    auto pubsub_shardchannels(std::string_view pattern = "*") {
        return door().template run<std::vector<std::string>>(verb::pubsub_shardchannels, {pattern});
    }
    /// PUBSUB SHARDNUMSUB: how many listen to each of these shard channels.
    template <class T = std::unordered_map<std::string, std::int64_t>>
    auto pubsub_shardnumsub(const words& channels) {
        return door().template run<T>(verb::pubsub_shardnumsub, channels.args());
    }
    /// SPUBLISH: to a shard channel, which lives where a key of that name would; how many got it.
    auto spublish(std::string_view channel, const arg& message) {
        return door().template run<std::int64_t>(verb::spublish, {channel, message});
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
