#include <ouro/kv/redis/cluster/core.hpp>

#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/connection/or_close.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

/// Of many nodes that could not be reached the first ones are named.
constexpr std::size_t reasons_bytes_max = 2000;

task<> ping(cluster_map::node_ptr node) {
    const std::shared_ptr<session> on = node->commands().get();
    if (!on) co_return;
    static_cast<void>(co_await as_result(on->ready()));
    const time_point before = clock::exact_now();
    const result<void> answered = co_await as_result(call<void>(*on, verb::ping));
    if (answered) node->measured(clock::exact_now() - before);
}

/// Why a node could not tell: its own words, or the system's.
std::string reason_of(cluster_node& node, std::error_code code, std::string_view words) {
    std::string all = to_string(node.how().where) + ": ";
    if (words.empty()) return all + code.message();
    all += words;
    return code.category() == category() ? all : all + ": " + code.message();
}

bool is_not_understood(std::error_code code) noexcept {
    return code == errc::unknown_command || code == errc::server_error ||
           code == errc::no_permission || code == errc::unexpected_reply;
}

}  // namespace

// Its life.

task<std::shared_ptr<cluster_core>> cluster_core::open(std::vector<url> seeds,
                                                       cluster_options options) {
    auto made = std::make_shared<cluster_core>(std::move(seeds), std::move(options));
    cluster_core* const raw = made.get();
    // The keeper keeps it alive; those who use it keep it open.
    const std::shared_ptr<cluster_core> door(raw, [made](cluster_core*) { made->close(); });
    const auto close = [made] { return closed(made); };
    co_await or_close(raw->learn_slots(), close);
    raw->keeper_.emplace(spawn(keep(made)));
    co_return door;
}

task<> cluster_core::learn_slots() {
    const bool known = co_await refresh();
    if (!known) throw error(trouble_, net::fate::unsent, trouble_about_, trouble_words_);
}

cluster_core::cluster_core(std::vector<url> seeds, cluster_options options)
    : options_(std::move(options)),
      map_(how_to_be(seeds.front(), options_), options_.dedicated_max, *this) {
    options_.link.tls.server_name = {};  // the nodes have copies
    for (const url& each : seeds) seeds_.push_back({each.where.host, each.where.port});
}

session_options cluster_core::how_to_be(const url& seed, const cluster_options& options) {
    session_options how;
    how.user = seed.user;
    how.password = seed.password;
    how.client_name = options.client_name;
    how.set_link(options.link);
    how.tls.on = how.tls.on || seed.tls;
    how.connect_timeout = options.connect_timeout;
    how.credentials = options.credentials;
    how.repeats = 0;  // the cluster repeats, where the slot is by then
    return how;
}

void cluster_core::close() noexcept {
    if (std::exchange(closed_, true)) return;
    if (keeper_) keeper_->cancel();
    if (!keeper_) over_.set();
    map_.drop_all();
    changed_.set_all();
}

task<> cluster_core::closed(std::shared_ptr<cluster_core> self) {
    const std::vector<node_ptr> nodes = self->map_.known();
    std::vector<std::shared_ptr<session>> sessions;
    for (const node_ptr& node : nodes) {
        for (node_connection* const through : {&node->commands(), &node->reads()})
            if (through->present()) sessions.push_back(through->present());
    }
    self->close();
    for (const auto& each : sessions) co_await each->closed();
    for (const node_ptr& node : nodes) co_await node->close();
    co_await self->over_.wait();
}

task<> cluster_core::reauthenticate(std::shared_ptr<cluster_core> self) {
    std::vector<std::shared_ptr<session>> live;
    for (const node_ptr& node : self->map_.known()) {
        node->retire_leased();
        for (node_connection* const through : {&node->commands(), &node->reads()})
            if (through->present()) live.push_back(through->present());
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

// Keeping the map.

void cluster_core::want_refresh(node_ptr likely) noexcept {
    if (likely) likely_ = std::move(likely);
    wanted_.set();
}

task<> cluster_core::keep(std::shared_ptr<cluster_core> self) {
    const cluster_options& how = self->options_;
    while (!self->closed_) {
        duration wait = duration::max() / 4;
        if (how.refresh_interval > duration::zero())
            wait = self->chance_.between(how.refresh_interval / 4 * 3, how.refresh_interval);
        static_cast<void>(co_await as_result(timeout(wait, self->wanted_.wait())));
        static_cast<void>(
            co_await as_result(sleep_until(self->refreshed_at_ + how.refresh_spacing)));
        if (current_cancellation() != cancel_reason::none) break;
        self->wanted_.reset();
        try {
            static_cast<void>(co_await as_result(self->refresh()));
        } catch (const std::bad_alloc&) {  // again, after the usual while
            self->wanted_.set();
            self->refreshed_at_ = clock::now();
        }
    }
    self->over_.set();
    self->keeper_.reset();
}

task<bool> cluster_core::refresh() {
    ++figures_.refreshes;
    std::string reasons;
    node_ptr only;
    for (const node_ptr& node : candidates()) {
        result<slot_table> told = co_await as_result(ask(node));
        refreshed_at_ = clock::now();
        if (!told) {
            if (told.error() == ouro::errc::cancelled) throw_error(ouro::errc::cancelled);
            trouble_ = told.error();
        } else if (told->covered() == 0) {  // it was reset, or never joined the others
            trouble_ = errc::cluster_down;
            trouble_words_ = "it knows of no node that serves a slot";
        }
        if (!told || told->covered() == 0) {
            only = reasons.empty() ? node : nullptr;
            if (reasons.size() < reasons_bytes_max)
                reasons += (only ? "" : "; ") + reason_of(*node, trouble_, trouble_words_);
            continue;
        }
        if (map_.replace(std::move(*told))) changed();
        if (options_.read_from == read_preference::nearest) co_await measure();
        co_return true;
    }
    ++figures_.refreshes_failed;
    trouble_about_ = "redis cluster";
    if (only)
        trouble_about_ += " at " + to_string(only->how().where);
    else
        trouble_words_ = std::move(reasons);
    co_return false;
}

void cluster_core::changed() noexcept {
    ++figures_.changes;
    changed_.set_all();
    observers_.for_each([](slots_observer& each) { each.slots_moved(); });
}

// Who may know: whoever was named, then those that answer, then those that did not, then the seeds.
std::vector<cluster_core::node_ptr> cluster_core::candidates() {
    std::vector<node_ptr> all = map_.known();
    for (std::size_t at = all.size(); at > 1; --at) std::swap(all[at - 1], all[chance_.below(at)]);
    std::partition(all.begin(), all.end(), [](const node_ptr& each) {
        return each->commands().is_connected() && !each->commands().in_trouble();
    });
    if (const node_ptr likely = std::exchange(likely_, nullptr)) all.insert(all.begin(), likely);
    for (const node_endpoint& seed : seeds_) {
        const auto is_seed = [&seed](const node_ptr& each) { return each->where() == seed; };
        if (std::none_of(all.begin(), all.end(), is_seed)) all.push_back(map_.at(seed));
    }
    return all;
}

task<result<slot_table>> cluster_core::ask(node_ptr node) {
    const std::shared_ptr<session> on = node->commands().get();
    trouble_words_ = node->commands().trouble_words();
    if (!on) co_return node->commands().trouble();
    const bool shards_first = options_.topology == topology_command::cluster_shards;
    result<slot_table> told = make_error_code(errc::unexpected_reply);
    for (const bool shards : {shards_first, !shards_first}) {
        call<reply> asked(*on, shards ? verb::cluster_shards : verb::cluster_slots);
        const result<reply> answer = co_await as_result(timeout(options_.refresh_timeout, asked));
        if (!answer) {
            told = answer.error();
            trouble_words_ = asked.words();
            if (asked.how_far() != net::fate::answered) {
                node->commands().set_trouble(answer.error());
                trouble_words_ = node->commands().trouble_words();
                co_return told;
            }
        } else {
            told = shards ? read_cluster_shards(*answer, node->where())
                          : read_cluster_slots(*answer, node->where());
        }
        if (told || !is_not_understood(told.error())) co_return told;
    }
    co_return told;
}

task<> cluster_core::measure() {
    std::vector<task<>> pings;
    for (const node_ptr& node : map_.nodes()) pings.push_back(ping(node));
    auto all = all_of(std::move(pings));
    static_cast<void>(co_await as_result(timeout(options_.refresh_timeout, all)));
}

// For others.

std::optional<session_options> cluster_core::how_to_reach(std::uint16_t slot) const {
    const node_ptr node = map_.master_of(slot);
    return node ? std::optional(node->how()) : std::nullopt;
}

void cluster_core::heed(std::string_view words, const node_endpoint& said_by) {
    const std::optional<redirection> said = read_redirection(words, said_by);
    if (!said || said->ask) return;
    map_.move(said->slot, said->to);
    want_refresh(map_.at(said->to));
    changed();
}

}  // namespace ouro::redis
