#include <ouro/kv/redis/cluster/transaction.hpp>

#include <ouro/kv/redis/cluster/scatter.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/error.hpp>

#include <optional>
#include <utility>

namespace ouro::redis {

cluster_transaction::cluster_transaction(std::shared_ptr<cluster_core> on) noexcept
    : core_(std::move(on)) {}
cluster_transaction::~cluster_transaction() = default;

std::size_t cluster_transaction::add(const redis::command& what) {
    const obstacle found = obstacle_of(what);
    if (found != obstacle::none && found != obstacle::blocks) throw refusal_of(what.name(), found);
    std::optional<std::uint16_t> slot = this->slot();
    const std::optional<std::uint16_t> said = what.said_slot();
    if (said && !slot) slot = said;
    if ((said && said != slot) ||
        (!what.too_large() && !agree_on_slot(what.info(), what.bytes(), slot))) {
        throw error(errc::cross_slot, net::fate::unsent, what.name(),
                    "the keys of a transaction must be in one slot");
    }
    set_slot(slot);
    return batch_.add(what);
}

void cluster_transaction::clear() noexcept {
    batch_.clear();
    set_slot({});
}

task<> cluster_transaction::exec() {
    batch_.forget_replies();
    if (batch_.empty()) co_return;
    if (replies_.prepare()) {
        set_repeatable(batch_.read_only() || core_->options().repeat_writes);
        routed_request* self = this;
        co_await core_->deliver(std::span(&self, 1));
    }
    replies_.throw_if_failed();
}

}  // namespace ouro::redis
