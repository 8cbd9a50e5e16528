// pubsub.hpp: subscribing to the shard channels of a cluster.
#pragma once

#include <ouro/kv/redis/cluster/shard_router.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

/// A subscriber to shard channels, each at the node that has its slot; see subscriber.
///
/// Channels follow their slots. While one of them has no node, or a node is not connected, the
/// stream is `interrupted`; as soon as all are heard again it is `resumed`. What was published in
/// between may be missing. Other channels and patterns need no such care: a
/// subscriber at any node hears what is published at any other.
///
/// Keeps the cluster it came from open. Worker-local. One task at a time may wait in next().
class cluster_subscriber {
public:
    /// The policy must be to drop the oldest.
    cluster_subscriber(std::shared_ptr<cluster_core> on, const inbox_options& limits = {})
        : router_(shard_router::open(std::move(on), limits)) {}

    /// The next message or event; nothing when it has been closed. Throws errc::cancelled, and has
    /// taken nothing then.
    inbox::next_op next() noexcept { return router_->messages().next(); }

    /// SSUBSCRIBE: returns when the nodes have confirmed it, or throws what one says against it, or
    /// ouro::errc::timed_out. Then, and when it is cancelled, none of those it has added is kept.
    template <std::convertible_to<std::string_view>... Names>
    task<> ssubscribe(const Names&... names) {
        return router_->subscribe(list(names...));
    }
    task<> ssubscribe(std::vector<std::string> names) {
        return router_->subscribe(std::move(names));
    }
    /// SUNSUBSCRIBE: nothing comes from these any more; returns when the nodes have been told.
    template <std::convertible_to<std::string_view>... Names>
    task<> sunsubscribe(const Names&... names) {
        return router_->unsubscribe(list(names...));
    }
    task<> sunsubscribe(std::vector<std::string> names) {
        return router_->unsubscribe(std::move(names));
    }
    task<> sunsubscribe_all() { return router_->unsubscribe(router_->names()); }

    /// Ends it: next() returns nothing.
    task<> close() { return shard_router::closed(router_); }

    /// How many channels it has subscribed to.
    std::size_t topics() const noexcept { return router_->topics(); }
    std::size_t waiting() const noexcept { return router_->messages().size(); }
    std::uint64_t dropped() const noexcept { return router_->messages().dropped(); }

private:
    template <class... Names>
    static std::vector<std::string> list(const Names&... names) {
        static_assert(sizeof...(Names) > 0, "which ones? see sunsubscribe_all()");
        std::vector<std::string> all;
        all.reserve(sizeof...(Names));
        (all.emplace_back(std::string_view(names)), ...);
        return all;
    }

    std::shared_ptr<shard_router> router_;
};

}  // namespace ouro::redis
