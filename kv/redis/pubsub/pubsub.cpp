#include <ouro/kv/redis/pubsub/pubsub.hpp>

#include <ouro/kv/redis/connection/or_close.hpp>

namespace ouro::redis {
namespace {

session_options options_of(const url& where, const pubsub_options& how) {
    session_options made;
    made.where = where.where;
    made.user = where.user;
    made.password = where.password;
    made.database = where.database;
    made.client_name = where.client_name;
    if (made.client_name.empty()) made.client_name = how.client_name;
    made.set_link(how.link);
    made.tls.on = made.tls.on || where.tls;
    if (where.protocol != 0) made.protocol = where.protocol;
    made.connect_timeout = where.connect_timeout.value_or(how.connect_timeout);
    made.credentials = how.credentials;
    if (where.request_timeout) made.requests.request_timeout = *where.request_timeout;
    return made;
}

}  // namespace

// A connection for several.

task<pubsub> pubsub::connect(std::string where, pubsub_options how) {
    const url parsed = url::read(where);
    co_return co_await connect(parsed, how);
}

task<pubsub> pubsub::connect(url where, pubsub_options how) {
    auto hub = pubsub_hub::open(options_of(where, how));
    const auto close = [hub] { return hub->closed(); };
    co_await or_close(hub->ready(), close);
    co_return pubsub(std::move(hub));
}

// A subscriber.

task<subscriber> subscriber::connect(std::string where, inbox_options limits, pubsub_options how) {
    const url parsed = url::read(where);
    co_return co_await connect(parsed, limits, how);
}

task<subscriber> subscriber::connect(url where, inbox_options limits, pubsub_options how) {
    pubsub made = co_await pubsub::connect(std::move(where), how);
    co_return made.subscriber(limits);
}

subscriber::subscriber(std::shared_ptr<pubsub_hub> on, const inbox_options& limits)
    : hub_(std::move(on)), listener_(std::make_unique<listener>(*hub_, limits)) {
    OURO_ASSERT((limits.when_full != slow_policy::block || hub_->owns()) &&
                "only a connection of its own can be held back");
    hub_->add(*listener_);
}

subscriber& subscriber::operator=(subscriber&& other) noexcept {
    if (this == &other) return *this;
    if (listener_) hub_->remove(*listener_);
    listener_ = std::move(other.listener_);
    hub_ = std::move(other.hub_);
    return *this;
}

subscriber::~subscriber() {
    if (listener_) hub_->remove(*listener_);
}

task<> subscriber::close() {
    hub_->remove(*listener_);
    listener_->end();
    if (hub_->owns() && hub_->empty()) co_await hub_->closed();
    co_await hub_->idle();
}

}  // namespace ouro::redis
