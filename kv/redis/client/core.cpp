#include <ouro/kv/redis/client/core.hpp>

#include <ouro/kv/redis/connection/opener.hpp>

#include <exception>
#include <utility>

namespace ouro::redis {
namespace {

/// For one's own: it knows where it connects to, or ends.
session_options unguided(session_options how) {
    how.guided = false;
    return how;
}

}  // namespace

class client_core::opener final : public connection_opener {
public:
    explicit opener(const session_options& how)
        : connection_opener(unguided(how)), known_(!how.guided) {}

    /// Opens them there from now on, and closes those that are elsewhere.
    void move_to(const address& where) {
        how_.where = where;
        known_ = true;
        forget_closed();
        for (const auto& each : open_)
            if (const auto session = each->on(); session->where() != where) session->close();
    }
    void leave() noexcept {
        known_ = false;
        for (const auto& each : open_)
            if (const auto session = each->on()) session->close();
        open_.clear();
    }

private:
    task<std::unique_ptr<connection>> connect() override {
        if (!known_) throw error(errc::unhealthy, net::fate::unsent, "connect", {});
        auto made = co_await connection_opener::connect();
        if (!known_ || made->session().where() != how_.where)
            throw error(errc::unhealthy, net::fate::unsent, "connect", {});
        co_return made;
    }

    bool known_;  // where to connect to
};

client_core::client_core(const url& where, client_options options)
    : client_core(options_of(where, options), options) {}

client_core::client_core(session_options how, client_options options)
    : options_(std::move(options)),
      how_(std::move(how)),
      opener_(new opener(how_)),
      pool_(std::unique_ptr<net::pool_connector<connection>>(opener_),
            {.connections_max = options_.dedicated_max, .connect_timeout = how_.connect_timeout}) {
    OURO_ASSERT(options_.connections > 0 && options_.dedicated_max > 0);
    options_.link.tls.server_name = {};  // the sessions have copies
    for (std::size_t n = 0; n < options_.connections; ++n) {
        shared_.push_back(session::open(how_));
        watches_.push_back(std::make_unique<connection_opener::watch>(*opener_, *shared_.back()));
    }
}

session_options client_core::options_of(const url& where, const client_options& options) {
    session_options how;
    how.where = where.where;
    how.user = where.user;
    how.password = where.password;
    how.database = where.database;
    how.client_name = where.client_name;
    if (how.client_name.empty()) how.client_name = options.client_name;
    how.set_link(options.link);
    how.tls.on = how.tls.on || where.tls;
    if (where.protocol != 0) how.protocol = where.protocol;
    how.credentials = options.credentials;
    how.connect_timeout = where.connect_timeout.value_or(options.connect_timeout);
    how.repeats = options.repeats;
    how.repeat_writes = options.repeat_writes;
    if (where.request_timeout) how.requests.request_timeout = *where.request_timeout;
    return how;
}

session& client_core::shared() noexcept {
    session* best = shared_.front().get();
    for (const auto& each : shared_)
        if (each->load() < best->load()) best = each.get();
    return *best;
}

std::shared_ptr<pubsub_hub> client_core::hub(slow_policy policy) {
    // Blocking holds up all who listen there, so that one is not shared.
    if (policy == slow_policy::block) return open_hub();
    if (auto found = hub_.lock(); found && !found->is_closed()) return found;
    session& best = shared();
    auto made = best.protocol() == 3 ? pubsub_hub::share(best) : open_hub();
    hub_ = made;
    return made;
}

std::shared_ptr<pubsub_hub> client_core::open_hub() {
    auto made = pubsub_hub::open(unguided(how_));
    std::erase_if(own_hubs_, [](const auto& each) { return each.expired(); });
    own_hubs_.push_back(made);
    return made;
}

// Guidance.

void client_core::move_to(const address& where) {
    const bool elsewhere = how_.where != where;
    how_.where = where;
    for (const auto& each : shared_)
        if (elsewhere || !each->is_connected()) each->move_to(where);
    opener_->move_to(where);
    for (const auto& each : own_hubs_)
        if (const auto hub = each.lock(); hub && hub->on().where() != where)
            hub->on().move_to(where);
}

void client_core::leave(std::error_code why) noexcept {
    for (const auto& each : shared_) each->leave(why);
    opener_->leave();
}

void client_core::fail_waiting(std::error_code why) noexcept {
    for (const auto& each : shared_) each->fail_waiting(why);
}

task<> client_core::ready() {
    for (const auto& each : shared_) co_await each->ready();
}

task<> client_core::reauthenticate() {
    // What is lent may be in the middle of something: it ends with its lease.
    opener_->retire_all();
    std::vector<std::shared_ptr<session>> live = shared_;
    for (const auto& each : own_hubs_) {
        const auto hub = each.lock();
        // Under RESP2 a connection with subscriptions takes no AUTH.
        if (hub && hub->on().protocol() == 3) live.push_back(hub->on().shared_from_this());
    }
    std::exception_ptr failure;
    for (const auto& each : live) {
        try {
            co_await each->reauthenticate();
        } catch (...) {
            if (!failure) failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

task<> client_core::close() {
    static_cast<void>(co_await pool_.close());
    for (const auto& each : shared_) co_await each->closed();
}

}  // namespace ouro::redis
