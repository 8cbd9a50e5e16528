#include <ouro/kv/redis/cluster.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <utility>

namespace ouro::redis {
namespace {

/// Trying again does not help: our own limits, and what a server will say every time.
bool is_hopeless(std::error_code code) noexcept {
    if (code == ouro::errc::overloaded || code == ouro::errc::limit_exceeded ||
        code == ouro::errc::cancelled || code == std::errc::not_enough_memory)
        return true;
    return code.category() == redis::category() && code != errc::loading && code != errc::busy &&
           code != errc::too_many_clients && code != errc::master_down &&
           code != errc::cluster_down && code != errc::try_again;
}

}  // namespace

// The loop. Everything that the cluster says of where and when is heeded here and below, and
// nowhere else.

task<> cluster_core::deliver(std::span<routed_request*> left, duration patience, bool leased) {
    const time_point deadline =
        patience == duration::max() ? time_point::max() : after(clock::now(), patience);
    backoff wait(options_.retry);
    for (routed_request* const each : left) each->begin();
    for (bool first = true; !left.empty(); first = false) {
        std::span<routed_request*> now = ready_ones(left);
        if (now.empty()) {
            ++figures_.waits;
            const time_point until = std::min(deadline, after(clock::now(), wait.next()));
            static_cast<void>(co_await as_result(with_deadline(until, changed_.wait())));
            if (clock::now() >= deadline) break;  // what they were told last is what they tell
            now = left;
        }
        // The session's own timeout watches over the first attempt.
        const time_point limit = first && !leased ? time_point::max() : deadline;
        if (now.size() > 1 || leased) {
            co_await carry_all(now, limit, leased);
        } else if (choose(*now.front())) {
            node_batch alone(*now.front()->session_, *now.front());
            if (limit == time_point::max())
                co_await alone;
            else
                co_await with_deadline(limit, alone);
        }
        const bool may_wait = !closed_ && clock::now() < deadline && !wait.exhausted();
        left = settle(left, now.size(), may_wait);
    }
    for (routed_request* const each : left) each->give_up();
}

task<> cluster_core::rest(backoff& wait) {
    ++figures_.waits;
    want_refresh();
    static_cast<void>(co_await as_result(timeout(wait.next(), changed_.wait())));
}

// Those that need not wait, in front.
std::span<routed_request*> cluster_core::ready_ones(std::span<routed_request*> left) {
    std::vector<routed_request*> waiting;
    std::size_t ready = 0;
    for (routed_request* each : left) {
        if (each->waits_)
            waiting.push_back(each);
        else
            left[ready++] = each;
    }
    std::copy(waiting.begin(), waiting.end(), left.begin() + static_cast<std::ptrdiff_t>(ready));
    return left.first(ready);
}

// Judges the first `sent`; returns those that are not done, in their order.
std::span<routed_request*> cluster_core::settle(std::span<routed_request*> left, std::size_t sent,
                                                bool may_wait) {
    const bool cancelled = current_cancellation() != cancel_reason::none;
    std::size_t kept = 0;
    for (std::size_t at = 0; at < left.size(); ++at) {
        routed_request& one = *left[at];
        verdict next = verdict::later;
        if (at < sent) {
            const bool unanswered = !one.error_ && one.taken_ < one.replies();
            if (unanswered) one.lost(make_error_code(ouro::errc::cancelled), net::fate::unsent);
            if (one.error_ == ouro::errc::cancelled && !cancelled)
                one.error_ = make_error_code(ouro::errc::timed_out);
            next = judge(one);
            one.session_.reset();
            one.waits_ = next == verdict::later;
        }
        if (next == verdict::done || (next == verdict::later && at < sent && !may_wait)) {
            if (one.error_) one.give_up();
            if (!one.pinned_) one.node_.reset();
        } else {
            left[kept++] = &one;
        }
    }
    return left.first(kept);
}

// Where to.

cluster_core::node_ptr cluster_core::node_for(routed_request& one) {
    const bool follows = one.first_ && one.node_ == one.first_;
    one.at_replica_ = follows && one.first_at_replica_;
    if (one.node_) return one.node_;
    if (!one.slot_) return map_.any_master();
    node_ptr master = map_.master_of(*one.slot_);
    // When nobody has the slot, somebody can say so, or knows better.
    if (!master) return map_.any_master();
    if (!one.reads_ || one.masters_only_ || options_.read_from == read_preference::master)
        return master;
    node_ptr reader = map_.reader_of(*one.slot_, options_.read_from);
    one.at_replica_ = reader != master;
    return reader;
}

// Finds the node and its session. False when there is none: the attempt has failed.
bool cluster_core::choose(routed_request& one) {
    one.attempt();
    one.node_ = node_for(one);
    if (closed_ || !one.node_) {
        one.lost(
            closed_ ? make_error_code(ouro::errc::closed) : make_error_code(errc::cluster_down),
            net::fate::unsent);
        return false;
    }
    node_connection& through = one.way();
    one.session_ = through.get();
    if (!one.session_) one.lost(through.trouble(), net::fate::unsent);
    return one.session_ != nullptr;
}

// Several at once: those for one node together, in their order.

struct cluster_core::leg {
    node_ptr node;
    std::shared_ptr<session> on;
    std::vector<routed_request*> all;
};

task<> cluster_core::carry_all(std::span<routed_request*> now, time_point deadline, bool leased) {
    std::vector<leg> legs;
    for (routed_request* const each : now) {
        if (!choose(*each)) continue;
        const auto same = [each](const leg& known) { return known.on == each->session_; };
        auto found = std::find_if(legs.begin(), legs.end(), same);
        if (found == legs.end()) found = legs.insert(legs.end(), {each->node_, each->session_, {}});
        found->all.push_back(each);
    }
    if (legs.size() == 1) {
        co_await carry(legs.front(), deadline, leased);
        co_return;
    }
    std::vector<task<>> ways;
    for (leg& each : legs) ways.push_back(carry(each, deadline, leased));
    auto all = all_of(std::move(ways));
    static_cast<void>(co_await as_result(all));  // when it is cancelled, they have not begun
}

task<> cluster_core::carry(leg& one, time_point deadline, bool leased) {
    net::pool<connection>::lease own;
    session* on = one.on.get();
    if (leased || one.all.size() >= options_.dedicated_from) {
        auto got = co_await as_result(with_deadline(deadline, one.node->lease()));
        if (!got) {
            for (routed_request* const each : one.all) each->lost(got.error(), net::fate::unsent);
            co_return;
        }
        own = std::move(*got);
        on = &own->session();
    }
    node_batch together(*on, one.all);
    if (leased) together.add_patience();
    if (deadline == time_point::max())
        co_await together;
    else
        co_await with_deadline(deadline, together);
    if (leased && !one.all.front()->error_) one.all.front()->keep(std::move(own));
}

// The verdict on an attempt.

cluster_core::verdict cluster_core::judge(routed_request& one) {
    const node_ptr was_at = one.node_;
    const bool asked = std::exchange(one.asking_, false);
    if (!one.pinned_) one.node_.reset();
    if (!one.error_) {
        one.answered_by_ = was_at;
        one.answered_at_replica_ = one.at_replica_;
        return verdict::done;
    }
    if (one.how_far_ != net::fate::answered) return came_back(one, was_at);
    if (one.error_.category() != redis::category()) return verdict::done;
    switch (static_cast<errc>(one.error_.value())) {
        case errc::moved:
        case errc::ask: return redirect(one, was_at, asked);
        case errc::try_again:
            // Some of its keys have not arrived. Whoever sent it here would only do so again.
            if (asked && !one.pinned_) {
                one.node_ = was_at;
                one.asking_ = true;
            }
            return verdict::later;
        case errc::cluster_down:
        case errc::loading:
        case errc::master_down:
        case errc::read_only:
        case errc::unblocked:
            want_refresh();
            // A replica is not asked again; its master may know.
            return std::exchange(one.masters_only_, true) || !one.at_replica_ ? verdict::later
                                                                              : verdict::at_once;
        default: return verdict::done;
    }
}

cluster_core::verdict cluster_core::redirect(routed_request& one, const node_ptr& was_at,
                                             bool asked) {
    const std::optional<redirection> said = read_redirection(one.words_, was_at->where());
    if (!said || one.pinned_) return verdict::done;  // the words are the error
    if (one.redirects_++ == options_.redirects_max) {
        one.error_ = errc::redirected_too_often;
        return verdict::done;
    }
    one.node_ = map_.at(said->to);
    one.slot_ = said->slot;  // of a command whose keys are not known, too
    if (said->ask) {
        ++figures_.asked;
        one.asking_ = true;
        return verdict::at_once;
    }
    ++figures_.moved;
    // Sent on to where it was: then this connection leads elsewhere, and another may not.
    node_connection& through = was_at->commands();
    if (one.node_ == was_at && !asked && through.present() == one.session_) through.drop();
    const bool news = map_.master_of(said->slot) != one.node_;
    if (news) map_.move(said->slot, said->to);
    want_refresh(one.node_);
    if (news) changed();
    return verdict::at_once;
}

// It failed on the way.
cluster_core::verdict cluster_core::came_back(routed_request& one, const node_ptr& was_at) {
    if (closed_ || is_hopeless(one.error_)) return verdict::done;
    want_refresh();
    if (one.how_far_ == net::fate::unsent) {
        if (was_at) one.way_through(*was_at).set_trouble(one.error_);
    } else if (!one.repeatable_ || one.repeats_++ == options_.repeats) {
        return verdict::done;
    }
    if (one.at_replica_ && !std::exchange(one.masters_only_, true)) return verdict::at_once;
    // Once at once: perhaps only this connection had been idle for too long.
    return std::exchange(one.came_back_, true) ? verdict::later : verdict::at_once;
}

// The door.

task<cluster> cluster::connect(cluster_seeds where, cluster_options options) {
    std::vector<url> seeds;
    for (const std::string& text : where.urls()) {
        const result<url> read = url::parse(text);
        const bool usable = read && read->where.path.empty() && read->database == 0;
        if (!usable) throw error(errc::bad_url, net::fate::unsent, "cluster seed", {});
        if (!seeds.empty() && seeds.front().tls != read->tls)
            throw error(errc::bad_url, net::fate::unsent, "cluster seeds",
                        "some ask for TLS, and some do not");
        seeds.push_back(*read);
    }
    if (seeds.empty()) throw error(errc::bad_url, net::fate::unsent, "cluster seeds", {});
    auto opening = cluster_core::open(std::move(seeds), std::move(options));
    std::shared_ptr<cluster_core> core = co_await std::move(opening);
    co_return cluster(std::move(core));
}

std::vector<cluster_member> cluster::masters() const {
    std::vector<cluster_member> all;
    for (cluster_core::node_ptr& each : core_->map().masters())
        all.push_back(cluster_member(core_, std::move(each)));
    return all;
}

cluster_member cluster::owner_of(std::string_view key) const {
    cluster_core::node_ptr node = core_->map().master_of(redis::slot_of(key));
    if (!node) throw error(errc::cluster_down, net::fate::unsent, "owner of a key", {});
    return cluster_member(core_, std::move(node));
}

std::vector<cluster_member> cluster::members() const {
    std::vector<cluster_member> all;
    for (cluster_core::node_ptr& each : core_->map().nodes())
        all.push_back(cluster_member(core_, std::move(each)));
    return all;
}

namespace {

async_generator<std::string> walk_masters(std::vector<cluster_member> masters, scan_state at) {
    const page_options page = at.page();
    for (cluster_member& master : masters) {
        at.cursor.assign(1, '0');
        do {
            auto step = co_await master.scan_step(at.cursor, page);
            at.cursor = std::move(step.next);
            for (std::string& key : step.found) co_yield std::move(key);
        } while (at.cursor != "0");
    }
}

}  // namespace

async_generator<std::string> scan(cluster& db, const page_options& options) {
    return walk_masters(db.masters(), scan_state({}, options));
}

}  // namespace ouro::redis
