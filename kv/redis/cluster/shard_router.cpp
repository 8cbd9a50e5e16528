#include <ouro/kv/redis/cluster/shard_router.hpp>

#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

// Between two attempts, when no node would have a channel for a reason that passes.
constexpr duration retry_delay = std::chrono::milliseconds(100);

/// Messages of a node are passed on at once; its own queue sets no limit.
inbox_options unlimited() noexcept {
    inbox_options limits;
    limits.messages_max = limits.bytes_max = std::numeric_limits<std::size_t>::max() / 2;
    return limits;
}

/// Asking again, here or elsewhere, will not change it.
bool is_final(std::error_code code) noexcept {
    return code == errc::no_permission || code == errc::no_auth || code == errc::wrong_password ||
           code == errc::unknown_command || code == errc::server_error || code == errc::too_large;
}

}  // namespace

/// The channels that a call has added, until it has succeeded.
class shard_router::claim {
public:
    /// When memory ends on the way, what was added is given back: the object is there by then.
    claim(shard_router& on, const std::vector<std::string>& names) : claim(on) {
        names_.reserve(names.size());
        for (const std::string& name : names) {
            std::string mine = name;
            const auto [at, is_new] = on.places_.try_emplace(name);
            names_.emplace_back(std::move(mine), is_new);  // there is room
            at->second.code = {};
            ++at->second.waiting;
        }
    }
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    ~claim() {
        for (const auto& [name, added] : names_) {
            const auto at = on_.places_.find(name);
            if (at == on_.places_.end()) continue;
            if (at->second.waiting > 0) --at->second.waiting;
            if (!kept_ && added && at->second.waiting == 0) on_.places_.erase(at);
        }
        if (!kept_) on_.wanted_.set();
    }
    void keep() noexcept { kept_ = true; }

private:
    explicit claim(shard_router& on) noexcept : on_(on) {}

    shard_router& on_;
    std::vector<std::pair<std::string, bool>> names_;
    bool kept_ = false;
};

// Beginning and end.

std::shared_ptr<shard_router> shard_router::open(std::shared_ptr<cluster_core> core,
                                                 const inbox_options& limits) {
    auto made = std::make_shared<shard_router>(std::move(core), limits);
    shard_router* const raw = made.get();
    try {
        made->tasks_.reserve(1);
        made->tasks_.push_back(spawn(keep(made)));
    } catch (...) {
        made->close();  // it is observing
        throw;
    }
    return {raw, [made = std::move(made)](shard_router*) { made->close(); }};
}

shard_router::shard_router(std::shared_ptr<cluster_core> core, const inbox_options& limits)
    : core_(std::move(core)), messages_(limits) {
    OURO_ASSERT(limits.when_full == slow_policy::drop_oldest &&
                "the nodes of a cluster are not held back");
    core_->observe(*this);
}

void shard_router::close() noexcept {
    if (std::exchange(ended_, true)) return;
    unlink();
    messages_.end();
    for (auto& each : tasks_) each.cancel();
    tasks_.clear();  // a handle keeps its frame, and that keeps us
    connections_.clear();
    round_.set();
}

task<> shard_router::closed(std::shared_ptr<shard_router> self) {
    std::vector<join_handle<void>> tasks = std::exchange(self->tasks_, {});
    for (auto& each : tasks) each.cancel();
    self->close();
    for (auto& each : tasks) static_cast<void>(co_await as_result(each));
}

std::vector<std::string> shard_router::names() const {
    std::vector<std::string> all;
    for (const auto& [name, at] : places_) all.push_back(name);
    return all;
}

// Wanting and not wanting.

task<> shard_router::subscribe(std::vector<std::string> names) {
    const auto self = shared_from_this();
    claim added(*this, names);
    wanted_.set();
    co_await limited(settled(names));
    added.keep();
}

task<> shard_router::unsubscribe(std::vector<std::string> names) {
    const auto self = shared_from_this();
    for (const std::string& name : names) places_.erase(name);
    wanted_.set();
    tell_trouble({});
    co_await limited(gone(names));
}

task<> shard_router::gone(const std::vector<std::string>& names) {
    const auto is_somewhere = [this](const std::string& name) {
        return std::any_of(connections_.begin(), connections_.end(), [&](const auto& entry) {
            return entry.second->names.contains(name) && !places_.contains(name);
        });
    };
    while (!ended_ && std::any_of(names.begin(), names.end(), is_somewhere)) co_await round_.wait();
}

task<> shard_router::limited(task<> waiting) {
    const duration limit = core_->patience();
    if (limit < duration::max())
        co_await timeout(limit, std::move(waiting));
    else
        co_await std::move(waiting);
}

task<> shard_router::settled(const std::vector<std::string>& names) {
    for (;;) {
        if (ended_) throw error(ouro::errc::closed, net::fate::unsent, "SSUBSCRIBE", {});
        bool all = true;
        for (const std::string& name : names) {
            const auto at = places_.find(name);
            if (at == places_.end()) continue;  // it was given up meanwhile
            if (at->second.code)
                throw error(at->second.code, net::fate::answered, "SSUBSCRIBE", at->second.words);
            all = all && at->second.at;
        }
        if (all) co_return;
        co_await round_.wait();
    }
}

// The task that brings channels home.

task<> shard_router::keep(std::shared_ptr<shard_router> self) {
    while (!self->ended_) {
        co_await self->wanted_.wait();
        for (bool all = false; !all && !self->ended_;) {
            try {
                all = co_await self->bring_home();
                self->close_unused();
                self->tell_trouble("a channel has no node");
            } catch (const std::bad_alloc&) {  // another round, in a moment
                all = false;
            }
            self->round_.set();
            self->round_.reset();
            if (all) break;
            self->core_->want_refresh();
            // Something new may be wanted sooner.
            static_cast<void>(co_await as_result(timeout(retry_delay, self->wanted_.wait())));
            if (current_cancellation() != cancel_reason::none) co_return;
        }
    }
}

/// One round: all nodes at the same time. False when some channel has no node now.
task<bool> shard_router::bring_home() {
    std::map<connection_ptr, std::vector<std::string>> homes;
    bool all = true;
    for (auto& [name, at] : places_) {
        if (at.code) continue;
        const auto how = core_->how_to_reach(slot_of(name));
        if (!how) {
            at.at = nullptr;
            all = false;
            continue;
        }
        if (at.at && at.at->where == how->where) continue;
        homes[connection_to(*how)].push_back(name);
    }
    std::vector<task<>> works;
    for (auto& [at, names] : homes) works.push_back(ask(at, std::move(names)));
    if (!works.empty()) co_await all_of(std::move(works));
    std::vector<task<>> farewells;
    for (const auto& [where, at] : connections_) farewells.push_back(leave_unwanted(at));
    if (!farewells.empty()) co_await all_of(std::move(farewells));
    for (const auto& [name, at] : places_) all = all && (at.at || at.code);
    co_return all;
}

task<> shard_router::ask(connection_ptr at, std::vector<std::string> names) {
    for (const std::string& name : names) at->names.insert(name);
    // A node that is gone is not waited for as long as a command would be: others have moved.
    const duration patience = 2 * core_->options().connect_timeout;
    const auto together = co_await as_result(timeout(patience, at->sub->ssubscribe(names)));
    if (together.error() == ouro::errc::cancelled) co_return;
    const bool answered = together.error().category() == redis::category();
    for (const std::string& name : names) {
        if (together)
            arrived(name, at);
        else if (answered)
            co_await ask_alone(at, name);  // to know whose fault it is
        else
            refused(name, at, together.error(), {});
    }
}

task<> shard_router::ask_alone(connection_ptr at, std::string name) {
    std::error_code code;
    std::string words;
    try {
        co_await at->sub->ssubscribe(name);
    } catch (const error& failure) {
        code = failure.code();
        words = failure.words();
    } catch (const std::system_error& failure) {
        code = failure.code();
    }
    if (!code)
        arrived(name, at);
    else
        refused(name, at, code, words);
}

void shard_router::arrived(const std::string& name, const connection_ptr& at) {
    const auto found = places_.find(name);
    if (found == places_.end()) return;  // it is left soon
    found->second.at = at;
    found->second.established = true;
}

void shard_router::refused(const std::string& name, const connection_ptr& at, std::error_code code,
                           std::string_view words) {
    at->names.erase(name);
    if (code == errc::moved) core_->heed(words, {at->where.host, at->where.port});
    const auto found = places_.find(name);
    if (found == places_.end()) return;
    found->second.at = nullptr;
    if (!is_final(code)) return;
    if (found->second.established) {
        messages_.put(message({.kind = message_kind::ended,
                               .topic = topic_kind::shard,
                               .channel = name,
                               .payload = words}));
        places_.erase(found);
        return;
    }
    found->second.code = code;  // for those who wait for it
    found->second.words = words;
}

task<> shard_router::leave_unwanted(connection_ptr at) {
    std::vector<std::string> unwanted;
    for (const std::string& name : at->names) {
        const auto found = places_.find(name);
        if (found == places_.end() || found->second.at != at) unwanted.push_back(name);
    }
    if (unwanted.empty()) co_return;
    for (const std::string& name : unwanted) at->names.erase(name);
    // A connection that nobody needs is closed instead.
    if (at->names.empty()) co_return;
    static_cast<void>(co_await as_result(at->sub->sunsubscribe(std::move(unwanted))));
}

// Connections.

shard_router::connection_ptr shard_router::connection_to(const session_options& how) {
    const auto found = connections_.find(how.where);
    if (found != connections_.end()) return found->second;
    auto there = std::make_shared<shard_connection>();
    there->where = how.where;
    there->sub.emplace(pubsub_hub::open(how), unlimited());
    std::erase_if(tasks_, [](const join_handle<void>& each) { return each.finished(); });
    tasks_.reserve(tasks_.size() + 1);
    const auto at = connections_.emplace(how.where, there).first;
    try {
        tasks_.push_back(spawn(forward(shared_from_this(), there)));
    } catch (...) {
        connections_.erase(at);
        throw;
    }
    return there;
}

void shard_router::close_unused() {
    for (auto at = connections_.begin(); at != connections_.end();) {
        if (!at->second->names.empty()) {
            ++at;
            continue;
        }
        at->second->sub->hub()->close();  // which ends its forwarding
        at = connections_.erase(at);
    }
}

task<> shard_router::forward(std::shared_ptr<shard_router> self, connection_ptr from) {
    while (auto one = co_await from->sub->next()) {
        try {
            self->take(from, *one);
        } catch (const std::bad_alloc&) {
            self->messages_.miss();
        }
    }
}

void shard_router::take(const connection_ptr& from, const message& one) {
    switch (one.kind()) {
        case message_kind::published:
            if (places_.contains(one.channel())) messages_.put(one);
            break;
        case message_kind::interrupted:
            from->interrupted = true;
            core_->want_refresh();
            tell_trouble(one.payload());
            break;
        case message_kind::resumed:
            from->interrupted = false;
            tell_trouble({});
            break;
        case message_kind::ended: {
            // The slot has moved. Who has it now is found out by asking.
            if (const auto mine = from->names.find(one.channel()); mine != from->names.end())
                from->names.erase(mine);
            const auto found = places_.find(one.channel());
            if (found == places_.end() || found->second.at != from) break;
            found->second.at = nullptr;
            core_->want_refresh();
            wanted_.set();
            tell_trouble(one.payload());
            break;
        }
        case message_kind::dropped:
            for (std::uint64_t n = one.count(); n > 0; --n) messages_.miss();
            break;
    }
}

/// Whether something is not heard that was heard before: the subscriber is told when that changes.
void shard_router::tell_trouble(std::string_view why) {
    if (ended_) return;
    bool trouble = false;
    for (const auto& [name, at] : places_)
        trouble = trouble || (at.established && (!at.at || at.at->interrupted));
    if (trouble == told_) return;
    messages_.put(message({.kind = trouble ? message_kind::interrupted : message_kind::resumed,
                           .payload = trouble ? why : std::string_view()}));
    told_ = trouble;
}

}  // namespace ouro::redis
