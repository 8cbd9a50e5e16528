#include <ouro/kv/redis/cluster/transaction.hpp>

#include <ouro/kv/redis/cluster/scatter.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/error.hpp>

#include <new>

namespace ouro::redis {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec_ = "*1\r\n$4\r\nEXEC\r\n";

}  // namespace

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
    restart();
    put_together();
    if (!failure_) {
        set_repeatable(batch_.read_only() || core_->options().repeat_writes);
        routed_request* self = this;
        co_await core_->deliver(std::span(&self, 1));
    }
    if (failure_) {
        batch_.fail_rest(failure_, how_far_);
        throw error(failure_, how_far_, "EXEC", words_);
    }
}

void cluster_transaction::put_together() {
    for (std::size_t index = 0; index < batch_.size(); ++index) {
        if (!batch_.has_outcome(index)) continue;
        failure_ = batch_.error_of(index);  // too large: without it, it would be another one
        how_far_ = net::fate::unsent;
    }
    const std::span<const std::byte> inside = batch_.bytes();
    bytes_.clear();
    bytes_.reserve(multi.size() + inside.size() + exec_.size());
    bytes_.append(multi);
    bytes_.append(reinterpret_cast<const char*>(inside.data()), inside.size());
    bytes_.append(exec_);
}

void cluster_transaction::restart() noexcept {
    batch_.forget_replies();
    next_ = 0;
    failure_ = {};
    words_.clear();
    how_far_ = net::fate::answered;
}

// "OK" and "QUEUED", or why not: then EXEC will refuse, and say less.
void cluster_transaction::take(const value& from) {
    const std::size_t index = next_++;
    if (index > batch_.size()) {
        take_exec(from);
    } else if (from.is_error()) {
        if (index > 0) batch_.set_reply(index - 1, from);
        if (words_.empty()) words_ = from.text();
    }
}

void cluster_transaction::take_exec(const value& from) {
    if (from.is_error()) {
        failure_ = code_of(from.text());
        if (words_.empty()) words_ = from.text();
    } else if (from.is_null()) {
        failure_ = errc::conflict;
    } else if (!from.is_aggregate() || from.size() != batch_.size()) {
        failure_ = errc::unexpected_reply;
    } else {
        std::size_t index = 0;
        for (const value& each : from) batch_.set_reply(index++, each);
    }
}

void cluster_transaction::fail(std::error_code why, std::string_view words,
                               net::fate how_far) noexcept {
    failure_ = why;
    how_far_ = how_far;
    try {
        words_ = words;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

}  // namespace ouro::redis
