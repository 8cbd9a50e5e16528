#include <ouro/kv/redis/cluster/node.hpp>

#include <ouro/kv/redis/connection/opener.hpp>
#include <ouro/runtime/check.hpp>

#include <new>
#include <utility>

namespace ouro::redis {
namespace {

session_options for_reads(session_options how) {
    how.replica = true;
    return how;
}

}  // namespace

// One shared connection.

node_connection::node_connection(session_options how, cluster_node_observer& observer) noexcept
    : how_(std::move(how)), observer_(observer), wait_(how_.backoff) {
    // What waits for a node that is gone must learn it, and go where the slot is now.
    how_.reconnect = false;
}

std::shared_ptr<session> node_connection::get() {
    if (session_ && !lost_ && !session_->is_closed()) return session_;
    const bool failed = session_ && !answered_;
    drop();
    const time_point now = clock::now();
    if (failed) not_before_ = opened_at_ + wait_.next();
    if (now < not_before_) return nullptr;
    session_ = session::open(how_, this);
    opened_at_ = now;
    return session_;
}

void node_connection::drop() noexcept {
    if (session_) session_->forget_observer(*this);
    session_.reset();
    answered_ = lost_ = false;
}

bool node_connection::in_trouble() const noexcept {
    return session_ ? lost_ || session_->is_closed() : clock::now() < not_before_;
}

void node_connection::connected() noexcept {
    OURO_ASSERT(session_ && !lost_);
    answered_ = true;
    set_trouble({});
    not_before_ = {};
    connected_at_ = clock::now();
}

void node_connection::refused(std::error_code why, std::string_view words) noexcept {
    trouble_ = why;
    try {
        trouble_words_ = words;
    } catch (const std::bad_alloc&) {  // the code says enough
        trouble_words_.clear();
    }
    observer_.node_in_trouble();
}

void node_connection::disconnected(std::error_code why) noexcept {
    OURO_ASSERT(session_ && answered_ && "a connection ends that was never there");
    lost_ = true;
    set_trouble(why);
    const time_point now = clock::now();
    const bool lasted = wait_.ended_after(now - connected_at_);
    // One that was lost soon may be made again at once, but not time and again.
    if (std::exchange(unsteady_, !lasted) && !lasted) not_before_ = now + wait_.next();
    observer_.node_in_trouble();
}

// The server.

cluster_node::cluster_node(const node_endpoint& where, session_options how,
                           std::size_t dedicated_max, cluster_node_observer& observer)
    : where_(where),
      how_(std::move(how)),
      dedicated_max_(dedicated_max),
      commands_(how_, observer),
      reads_(for_reads(how_), observer) {}

net::pool<connection>::acquire_op cluster_node::lease() {
    if (!own_) {
        const net::pool_options options{.connections_max = dedicated_max_,
                                        .connect_timeout = how_.connect_timeout};
        own_ = std::make_unique<net::pool<connection>>(std::make_unique<connection_opener>(how_),
                                                       options);
    }
    return own_->acquire();
}

void cluster_node::measured(duration took) noexcept {
    // The newest counts for a quarter; the first one alone.
    latency_ = latency_ == duration::zero() ? took : latency_ + (took - latency_) / 4;
}

void cluster_node::drop() noexcept {
    commands_.drop();
    reads_.drop();
}

void cluster_node::retire_leased() {
    if (own_) own_->retire_all();
}

task<> cluster_node::close() {
    if (own_) static_cast<void>(co_await own_->close());
}

}  // namespace ouro::redis
