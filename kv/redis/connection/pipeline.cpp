#include <ouro/kv/redis/connection/pipeline.hpp>

#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>

#include <utility>

namespace ouro::redis {

pipeline::pipeline(std::shared_ptr<client_core> on) noexcept : client_(std::move(on)) {}
pipeline::pipeline(session& on) noexcept : session_(&on) {}
pipeline::~pipeline() = default;

std::size_t pipeline::add(const redis::command_info& what, std::span<const arg> arguments) {
    if (!is_plain(what)) return add(redis::command(what, arguments));
    return batch_.add(what, arguments);
}

std::size_t pipeline::add(const redis::command& what) {
    const obstacle found = client_ ? obstacle_of(what) : obstacle::none;
    if (found != obstacle::none) throw refusal_of(what.name(), found);
    if (session_ && changes_connection(what)) session_->spoil();
    return batch_.add(what);
}

task<> pipeline::exec() {
    batch_.forget_replies();
    if (batch_.bytes().empty()) co_return;
    if (session_) {
        co_await batch_call(*session_, batch_);
    } else if (batch_.size() < client_->options().dedicated_from) {
        co_await batch_call(client_->shared(), batch_);
    } else {
        auto lease = co_await client_->lease();
        co_await batch_call(lease->session(), batch_);
    }
}

}  // namespace ouro::redis
