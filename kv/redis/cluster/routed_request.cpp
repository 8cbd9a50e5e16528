#include <ouro/kv/redis/cluster/routed_request.hpp>

#include <ouro/kv/redis/cluster/node.hpp>
#include <ouro/net/session/thrown.hpp>
#include <ouro/runtime/check.hpp>

#include <string_view>
#include <utility>

namespace ouro::redis {
namespace {

constexpr std::string_view asking = "*1\r\n$6\r\nASKING\r\n";

}  // namespace

// One request.

void routed_request::pin_to(std::shared_ptr<cluster_node> node) noexcept {
    node_ = std::move(node);
    pinned_ = true;
}

void routed_request::follow(const routed_request& before) noexcept {
    first_ = before.answered_by_.lock();
    first_at_replica_ = before.answered_at_replica_;
}

bool concerns_cluster(std::error_code code, std::string_view words) noexcept {
    if (code.category() != redis::category()) return false;
    switch (static_cast<errc>(code.value())) {
        case errc::moved:
        case errc::ask:
        case errc::try_again:
        case errc::cluster_down:
        case errc::loading:
        case errc::master_down:
        case errc::read_only: return true;
        // The same word says that somebody used CLIENT UNBLOCK, which is the caller's business.
        case errc::unblocked: return words.find("instance state changed") != words.npos;
        default: return false;
    }
}

void routed_request::begin() noexcept {
    redirects_ = repeats_ = 0;
    waits_ = may_be_done_ = came_back_ = masters_only_ = false;
    asking_ = false;
    answered_by_.reset();
    if (!pinned_) node_ = first_;
    at_replica_ = first_at_replica_;
}

void routed_request::attempt() noexcept {
    if (taken_ > 0) restart();
    taken_ = 0;
    error_ = {};
    words_.clear();
    how_far_ = net::fate::unsent;
}

node_connection& routed_request::way_through(cluster_node& node) const noexcept {
    return at_replica_ ? node.reads() : node.commands();
}

void routed_request::accept(const value& from) {
    OURO_ASSERT(taken_ < replies());
    how_far_ = net::fate::answered;
    ++taken_;
    if (error_) return;  // the others of a transaction: all of it goes on
    if (from.is_error()) {
        const std::error_code code = code_of(from.text());
        if (concerns_cluster(code, from.text())) {
            error_ = code;
            words_ = from.text();
            return;
        }
    }
    take(from);
}

void routed_request::lost(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    words_.clear();
    how_far_ = how_far;
    may_be_done_ = may_be_done_ || how_far == net::fate::unanswered;
}

void routed_request::give_up() noexcept {
    const bool was_sent = how_far_ == net::fate::unsent && may_be_done_;
    fail(error_, words_, was_sent ? net::fate::unanswered : how_far_);
}

// Several for one node.

node_batch::node_batch(session& on, routed_request& alone) noexcept
    : request(on, 1), alone_(&alone) {
    count_replies();
}

node_batch::node_batch(session& on, std::span<routed_request* const> all) noexcept
    : request(on, 1), many_(all) {
    count_replies();
}

void node_batch::count_replies() noexcept {
    std::uint32_t replies = 0;
    for (const routed_request* const each : all())
        replies += each->replies() + (each->asking_ ? 1 : 0);
    set_replies(replies);
}

bool node_batch::encode(net::writer& out) {
    for (const routed_request* const each : all()) {
        if (each->asking_ && !out.write(asking)) return false;
        if (!each->encode(out)) return false;
    }
    return true;
}

bool node_batch::take(const value& from) noexcept {
    OURO_ASSERT(next_ < all().size());
    routed_request& who = *all()[next_];
    if (who.asking_ && !asking_taken_) {
        asking_taken_ = true;  // should it be an error, then the next reply is one, too
        return true;
    }
    try {
        who.accept(from);
    } catch (...) {  // a request keeps for its caller what the caller's decoder throws
        who.error_ = net::thrown_code();
    }
    if (who.taken_ == who.replies()) {
        ++next_;
        asking_taken_ = false;
    }
    return true;
}

void node_batch::failed(std::error_code why, net::fate how_far) noexcept {
    for (; next_ < all().size(); ++next_) all()[next_]->lost(why, how_far);
}

void node_batch::describe(leaf_description& into) const {
    into.text("redis cluster, " + std::to_string(all().size()) + " on the way to " +
              to_string(static_cast<const session&>(on()).where()));
}

}  // namespace ouro::redis
