#include <ouro/kv/memcached/client.hpp>

#include <ouro/kv/memcached/call.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/scope.hpp>

#include <algorithm>
#include <type_traits>

namespace ouro::memcached {
namespace {

/// Keys of one exchange of a multi-get; more take several, so that others come in between.
constexpr std::size_t batch_keys_max = 1000;

/// Failures of a server or of the way to it, as opposed to what is wrong with a request.
bool is_trouble(std::error_code code) noexcept {
    if (code == ouro::errc::cancelled) return false;
    if (code.category() != memcached::category()) return true;
    switch (static_cast<errc>(code.value())) {
        case errc::bad_key:
        case errc::value_too_large:
        case errc::bad_argument:
        case errc::client_error:
        case errc::not_a_number:
        case errc::unknown_command:
        case errc::not_authenticated:
        case errc::unsupported: return false;
        default: return true;
    }
}

ring_server ring_server_of(const server& one) {
    const address where = parse_address(one.at);
    return {where.path.empty() ? where.host : where.path, where.port, one.weight};
}

std::vector<ring_server> ring_servers_of(const std::vector<server>& servers) {
    std::vector<ring_server> all;
    for (const server& one : servers) all.push_back(ring_server_of(one));
    return all;
}

/// One server alone has every key, and needs no MD5 for that.
ring ring_of(const std::vector<server>& servers, const client_options& options) {
    return {servers.size() > 1 ? options.distribution : distribution::rendezvous,
            ring_servers_of(servers)};
}

session_options session_options_of(const server& one, const client_options& options) {
    session_options how;
    how.where = parse_address(one.at);
    how.dialect = options.dialect;
    how.user = options.user;
    how.password = options.password;
    how.base64_keys = options.base64_keys;
    how.connect_timeout = options.connect_timeout;
    how.failures_max = options.failures_max;
    how.backoff.ceiling = std::max(options.probe_interval, how.backoff.first);
    how.repeats = options.read_repeats;
    how.requests.queued_max = options.queued_max;
    how.requests.request_timeout = options.request_timeout;
    how.limits.value_bytes_max = std::min(options.value_bytes_max, item_bytes_max);
    how.names = options.names;
    return how;
}

}  // namespace

/// What a client is made of; stays where it is when the client moves.
class client_core final : public router {
public:
    client_core(const std::vector<server>& servers, const client_options& options);

    /// Opens the sessions and waits for each one's first attempt to connect.
    task<> connect();
    task<> close();

    session& route(std::string_view key) noexcept override { return *nodes_[node_of(key)]->link; }
    std::size_t node_of(std::string_view key) noexcept;
    std::size_t size() const noexcept { return nodes_.size(); }
    session& at(std::size_t node) noexcept { return *nodes_[node]->link; }
    const client_options& options() const noexcept { return options_; }

    /// True when the call's failure is to look like a miss; throws other failures.
    bool is_missed(const call_base& asked);

    client_figures figures() const;

private:
    struct node final : session_observer {
        node(client_core& of, std::size_t index) noexcept : of(of), index(index) {}
        void went_down() noexcept override { of.set_present(index, false); }
        void came_back() noexcept override { of.set_present(index, true); }

        client_core& of;
        std::size_t index;
        std::shared_ptr<session> link;
    };

    void set_present(std::size_t node, bool present);

    client_options options_;
    ring all_;    // where keys are when every server is there
    ring there_;  // without those that are down
    std::vector<std::unique_ptr<node>> nodes_;
    std::vector<session_options> sessions_;  // to be opened
    std::uint64_t hidden_errors_ = 0;
};

client_core::client_core(const std::vector<server>& servers, const client_options& options)
    : options_(options), all_(ring_of(servers, options)), there_(ring_of(servers, options)) {
    for (const server& one : servers) sessions_.push_back(session_options_of(one, options));
    options_.user = options_.password = {};  // the sessions have copies
}

task<> client_core::connect() {
    for (session_options& how : sessions_) {
        nodes_.push_back(std::make_unique<node>(*this, nodes_.size()));
        nodes_.back()->link = session::open(std::move(how), nodes_.back().get());
    }
    sessions_.clear();
    std::exception_ptr first_failure;
    std::size_t failures = 0;
    for (const std::unique_ptr<node>& each : nodes_) {
        try {
            co_await each->link->ready();
            continue;
        } catch (const error& failure) {
            // One that refuses us is a mistake in the options; one that is away may come back.
            if (failure.code() == ouro::errc::cancelled || !is_trouble(failure.code()) ||
                failure.code() == errc::bad_reply)
                throw;
            if (!first_failure) first_failure = std::current_exception();
        }
        ++failures;
    }
    if (failures == nodes_.size()) std::rethrow_exception(first_failure);
}

task<> client_core::close() {
    for (const std::unique_ptr<node>& each : nodes_) each->link->close();
    for (const std::unique_ptr<node>& each : nodes_) co_await each->link->closed();
}

std::size_t client_core::node_of(std::string_view key) noexcept {
    if (nodes_.size() == 1) return 0;
    const std::size_t found = there_.server_of(key);
    return found < nodes_.size() ? found : all_.server_of(key);
}

void client_core::set_present(std::size_t node, bool present) {
    if (options_.failover) there_.set_present(node, present);
}

bool client_core::is_missed(const call_base& asked) {
    if (!asked.error_code()) return false;
    if (!options_.errors_as_misses || !is_trouble(asked.error_code())) asked.check();
    ++hidden_errors_;
    return true;
}

client_figures client_core::figures() const {
    client_figures now;
    now.hidden_errors = hidden_errors_;
    for (const std::unique_ptr<node>& each : nodes_) {
        const session& link = *each->link;
        now.servers.push_back(
            {link.name(), link.is_connected(), link.is_down(), link.connections(), link.figures()});
    }
    return now;
}

// Coming and going.

client::client(std::unique_ptr<client_core> core) noexcept : core_(std::move(core)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

// Not coroutines: what the arguments refer to need not outlive the call.
task<client> client::connect(std::string_view servers, const client_options& options) {
    std::vector<server> all;
    while (!servers.empty()) {
        const std::size_t end = std::min(servers.find(','), servers.size());
        std::string_view one = servers.substr(0, end);
        servers.remove_prefix(std::min(end + 1, servers.size()));
        while (one.starts_with(' ')) one.remove_prefix(1);
        while (one.ends_with(' ')) one.remove_suffix(1);
        all.emplace_back(std::string(one));
    }
    return connect(std::move(all), options);
}

task<client> client::connect(std::vector<server> servers, const client_options& options) {
    client_options plain = options;
    plain.user = plain.password = {};
    return connected(std::move(servers), plain, std::string(options.user),
                     std::string(options.password));
}

task<client> client::connected(std::vector<server> servers, client_options options,
                               std::string user, std::string password) {
    if (servers.empty())
        throw error(errc::bad_argument, net::fate::unsent, {}, "a client needs a server");
    options.user = user;
    options.password = password;
    auto core = std::make_unique<client_core>(servers, options);
    co_await core->connect();
    co_return client(std::move(core));
}

task<> client::close() { return core_->close(); }

// Reading.

task<std::optional<std::string>> client::get(std::string_view key) {
    call asked(*core_, {.what = verb::get, .key = key});
    std::string value;
    asked.into(value);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::nullopt;
    co_return std::move(value);
}

task<bool> client::get(std::string_view key, std::string& into) {
    call asked(*core_, {.what = verb::get, .key = key});
    asked.into(into);
    do co_await asked;
    while (asked.moves_on());
    co_return !core_->is_missed(asked) && asked.outcome() == outcome::done;
}

task<std::optional<std::size_t>> client::get(std::string_view key, std::span<std::byte> into) {
    call asked(*core_, {.what = verb::get, .key = key});
    asked.into({reinterpret_cast<char*>(into.data()), into.size()});
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::nullopt;
    if (asked.value_bytes() > into.size())
        throw error(errc::value_too_large, net::fate::answered, asked.asked().name(),
                    "the caller's buffer is too small");
    co_return asked.value_bytes();
}

task<std::optional<item>> client::gets(std::string_view key) {
    call asked(*core_, {.what = verb::get, .key = key, .wants_flags = true, .wants_cas = true});
    item found;
    asked.into(found.value);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::nullopt;
    found.flags = asked.said().flags;
    found.cas = asked.said().cas;
    co_return std::move(found);
}

task<std::optional<std::string>> client::get_and_touch(std::string_view key, expiry ttl) {
    call asked(*core_, {.what = verb::get, .key = key, .exptime = ttl.on_wire()});
    std::string value;
    asked.into(value);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::nullopt;
    co_return std::move(value);
}

namespace {

using index_list = std::vector<std::uint32_t>;

/// What a multi-get is about while it runs.
struct multi_get {
    client_core& core;
    std::span<const std::string_view> keys;
    std::vector<std::optional<item>>& found;
    request wishes;
    index_list left_over;  // keys whose server went down before they were asked for
};

task<> get_from(multi_get& all, session& to, index_list which) {
    const std::span<const std::uint32_t> rest(which);
    for (std::size_t at = 0; at < rest.size(); at += batch_keys_max) {
        const std::size_t n = std::min(batch_keys_max, rest.size() - at);
        batch_get asked(to, all.keys, rest.subspan(at, n), all.found, all.wishes);
        co_await asked;
        if (asked.error_code() && asked.how_far() == net::fate::unsent && to.is_down()) {
            bool some_stay = false;
            for (const std::uint32_t i : rest.subspan(at)) {
                const bool stays = &all.core.route(all.keys[i]) == &to;
                some_stay |= stays;
                if (!stays) all.left_over.push_back(i);
            }
            if (some_stay) all.core.is_missed(asked);
            co_return;
        }
        all.core.is_missed(asked);
    }
}

std::vector<index_list> group_by_node(multi_get& all, const index_list& which) {
    std::vector<index_list> groups(all.core.size());
    for (const std::uint32_t i : which) groups[all.core.node_of(all.keys[i])].push_back(i);
    return groups;
}

task<> get_from_all(multi_get& all, index_list which) {
    std::vector<index_list> groups = group_by_node(all, which);
    auto ask_each = [&](scope& tasks) -> task<> {
        for (std::size_t node = 0; node < groups.size(); ++node)
            if (!groups[node].empty())
                tasks.spawn(get_from(all, all.core.at(node), std::move(groups[node])));
        co_return;
    };
    co_await with_scope(ask_each);
}

task<> run_multi_get(multi_get& all) {
    index_list which(all.keys.size());
    for (std::uint32_t i = 0; i < which.size(); ++i) {
        const request one{.key = all.keys[i], .base64 = all.core.options().base64_keys};
        if (const std::error_code fault = find_fault(one, all.core.at(0).options()))
            throw error(fault, net::fate::unsent, {}, {});
        which[i] = i;
    }
    for (int round = 0; !which.empty() && round < 4; ++round) {
        all.left_over.clear();
        if (all.core.size() == 1)
            co_await get_from(all, all.core.at(0), std::move(which));
        else
            co_await get_from_all(all, std::move(which));
        which = std::move(all.left_over);
    }
    if (!which.empty() && !all.core.options().errors_as_misses)
        throw error(errc::server_down, net::fate::unsent, {}, "servers go down one after another");
}

}  // namespace

task<std::vector<std::optional<item>>> client::gets_multi(std::vector<std::string_view> keys) {
    std::vector<std::optional<item>> found(keys.size());
    multi_get all{*core_, keys, found, {.wants_flags = true, .wants_cas = true}, {}};
    co_await run_multi_get(all);
    co_return std::move(found);
}

task<std::vector<std::optional<std::string>>> client::get_multi(
    std::vector<std::string_view> keys) {
    std::vector<std::optional<item>> found(keys.size());
    multi_get all{*core_, keys, found, {}, {}};
    co_await run_multi_get(all);
    std::vector<std::optional<std::string>> values(keys.size());
    for (std::size_t i = 0; i < found.size(); ++i)
        if (found[i]) values[i] = std::move(found[i]->value);
    co_return std::move(values);
}

// Writing.

task<bool> client::store(request what) {
    call asked(*core_, what);
    do co_await asked;
    while (asked.moves_on());
    co_return !core_->is_missed(asked) && asked.outcome() == outcome::done;
}

namespace {

request store_request(verb what, std::string_view key, std::string_view value,
                      const store_options& with) {
    return {.what = what,
            .key = key,
            .value = value,
            .flags = with.flags,
            .exptime = with.ttl.on_wire()};
}

}  // namespace

task<> client::set(std::string_view key, std::string_view value, store_options with) {
    call asked(*core_, store_request(verb::set, key, value, with));
    do co_await asked;
    while (asked.moves_on());
    if (!core_->is_missed(asked) && asked.outcome() != outcome::done)
        throw error(errc::server_error, net::fate::answered, asked.asked().name(), "not stored");
}

task<bool> client::add(std::string_view key, std::string_view value, store_options with) {
    return store(store_request(verb::add, key, value, with));
}

task<bool> client::replace(std::string_view key, std::string_view value, store_options with) {
    return store(store_request(verb::replace, key, value, with));
}

task<bool> client::append(std::string_view key, std::string_view more) {
    return store({.what = verb::append, .key = key, .value = more});
}

task<bool> client::prepend(std::string_view key, std::string_view more) {
    return store({.what = verb::prepend, .key = key, .value = more});
}

task<cas_result> client::cas(std::string_view key, std::string_view value, std::uint64_t cas,
                             store_options with) {
    if (cas == 0) throw error(errc::bad_argument, net::fate::unsent, {}, "a cas of 0");
    request what = store_request(verb::set, key, value, with);
    what.cas = cas;
    call asked(*core_, what);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() == outcome::not_found)
        co_return cas_result::not_found;
    co_return asked.outcome() == outcome::done ? cas_result::stored : cas_result::exists;
}

task<std::optional<std::uint64_t>> client::count(request what) {
    call asked(*core_, what);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::nullopt;
    co_return asked.said().number;
}

task<std::optional<std::uint64_t>> client::increment(std::string_view key, std::uint64_t delta) {
    return count({.what = verb::increment, .key = key, .delta = delta});
}

task<std::optional<std::uint64_t>> client::decrement(std::string_view key, std::uint64_t delta) {
    return count({.what = verb::decrement, .key = key, .delta = delta});
}

task<std::uint64_t> client::increment_from(std::uint64_t initial, std::string_view key,
                                           std::uint64_t delta, expiry ttl) {
    if (core_->options().dialect != dialect::text) {
        const request what{.what = verb::increment,
                           .key = key,
                           .exptime = ttl.on_wire(),
                           .delta = delta,
                           .initial = initial};
        const std::optional<std::uint64_t> made = co_await count(what);
        co_return made.value_or(initial);
    }
    // The text dialect has no such command. Whoever adds first begins; the others count on.
    const std::string first = std::to_string(initial);
    const store_options with{.ttl = ttl};
    for (int tries = 0; tries < 3; ++tries) {
        const std::optional<std::uint64_t> counted = co_await increment(key, delta);
        if (counted) co_return *counted;
        const bool added = co_await add(key, first, with);
        if (added) co_return initial;
    }
    co_return initial;
}

task<bool> client::remove(std::string_view key) {
    return store({.what = verb::remove, .key = key});
}

task<bool> client::touch(std::string_view key, expiry ttl) {
    return store({.what = verb::touch, .key = key, .exptime = ttl.on_wire()});
}

// Stampede protection.

task<bool> client::mark_stale(std::string_view key, expiry ttl) {
    request what{.what = verb::remove, .key = key, .stale = true};
    if (!ttl.never()) what.exptime = ttl.on_wire();
    return store(what);
}

task<sighting> client::look_up(std::string_view key, const compute_options& how) {
    request what{.key = key, .wants_cas = true, .vivify = expiry(how.claim).on_wire()};
    if (how.early.count() > 0) what.recache = static_cast<std::int32_t>(how.early.count());
    call asked(*core_, what);
    sighting seen;
    asked.into(seen.value);
    do co_await asked;
    while (asked.moves_on());
    if (core_->is_missed(asked) || asked.outcome() != outcome::done) co_return std::move(seen);
    const reply& said = asked.said();
    seen.cas = said.cas;
    seen.has_value = !seen.value.empty();
    if (said.won)
        seen.what = sighting::kind::claimed;
    else if (said.taken && !seen.has_value)
        seen.what = sighting::kind::awaited;
    else
        seen.what = sighting::kind::found;
    co_return std::move(seen);
}

task<> client::settle_claim(std::string_view key, std::string_view value, std::uint64_t cas,
                            const compute_options& how) {
    request what = store_request(verb::set, key, value, {.ttl = how.ttl, .flags = how.flags});
    what.cas = cas;
    call asked(*core_, what);
    do co_await asked;
    while (asked.moves_on());
    // The value is computed, whether it could be stored or not: only cancelling stops it.
    if (asked.error_code() == ouro::errc::cancelled) asked.check();
}

task<> client::give_claim_back(std::string_view key, std::uint64_t cas) {
    call asked(*core_, {.what = verb::remove, .key = key, .cas = cas});
    co_await asked;  // whatever comes of it: the claim ends by itself
}

// All servers.

task<> client::flush_all(std::chrono::seconds delay) {
    for (std::size_t node = 0; node < core_->size(); ++node) {
        const request what{.what = verb::flush, .exptime = expiry(delay).on_wire()};
        call asked(core_->at(node), what);
        co_await asked;
        core_->is_missed(asked);
    }
}

task<std::vector<std::pair<std::string, stats_list>>> client::stats(std::string group) {
    std::vector<std::pair<std::string, stats_list>> all;
    for (std::size_t node = 0; node < core_->size(); ++node) {
        session& to = core_->at(node);
        stats_list entries;
        stats_call asked(to, group, entries);
        co_await asked;
        if (!core_->is_missed(asked)) all.emplace_back(to.name(), std::move(entries));
    }
    co_return std::move(all);
}

task<std::vector<std::pair<std::string, std::string>>> client::version() {
    std::vector<std::pair<std::string, std::string>> all;
    for (std::size_t node = 0; node < core_->size(); ++node) {
        session& to = core_->at(node);
        std::string text;
        call asked(to, {.what = verb::version});
        asked.into(text);
        co_await asked;
        if (!core_->is_missed(asked)) all.emplace_back(to.name(), std::move(text));
    }
    co_return std::move(all);
}

std::string client::server_of(std::string_view key) const { return core_->route(key).name(); }

client_figures client::figures() const { return core_->figures(); }

}  // namespace ouro::memcached
