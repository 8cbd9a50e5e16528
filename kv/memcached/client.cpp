#include <ouro/kv/memcached/client.hpp>

#include <ouro/kv/memcached/client_core.hpp>
#include <ouro/kv/memcached/connection/call.hpp>

#include <algorithm>
#include <utility>

namespace ouro::memcached {

// Coming and going.

client::client(std::unique_ptr<client_core> core) noexcept : core_(std::move(core)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

// Not coroutines: what the arguments refer to need not outlive the call.
task<client> client::connect(std::string_view servers, const client_options& options) {
    return connect(parse_servers(servers), options);
}

task<client> client::connect(std::vector<server> servers, const client_options& options) {
    client_options plain = options;
    plain.user = plain.password = plain.tls.server_name = {};
    return connected(std::move(servers), plain, std::string(options.user),
                     std::string(options.password), std::string(options.tls.server_name));
}

task<client> client::connected(std::vector<server> servers, client_options options,
                               std::string user, std::string password, std::string tls_name) {
    if (servers.empty())
        throw error(errc::bad_argument, net::fate::unsent, {}, "a client needs a server");
    options.user = user;
    options.password = password;
    options.tls.server_name = tls_name;
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
