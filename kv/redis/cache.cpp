#include <ouro/kv/redis/cache.hpp>

#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>

#include <algorithm>
#include <array>
#include <new>

namespace ouro::redis {
namespace {

std::vector<std::string> copy_of(const words& texts) {
    std::vector<std::string> all;
    for (const arg& each : texts.args())
        each.for_each([&](std::string_view text) { all.emplace_back(text); });
    return all;
}

command tracking_command(bool broadcast, const std::vector<std::string>& prefixes) {
    std::vector<std::string_view> words = {"ON"};
    words.push_back(broadcast ? "BCAST" : "OPTIN");
    for (const std::string& prefix : prefixes) {
        words.push_back("PREFIX");
        words.push_back(prefix);
    }
    return {verb::client_tracking, {arg(std::span<const std::string_view>(words))}};
}

// Reads whose answers change though the key does not, or that read more than the key they name.
constexpr std::array fickle = {
    verb::evalsha_ro,   verb::eval_ro,      verb::fcall_ro,        verb::hrandfield,
    verb::hscan,        verb::memory_usage, verb::object_freq,     verb::object_idletime,
    verb::pttl,         verb::sort_ro,      verb::srandmember,     verb::sscan,
    verb::touch,        verb::ttl,          verb::xinfo_consumers, verb::xinfo_groups,
    verb::xinfo_stream, verb::xpending,     verb::xread,           verb::zrandmember,
    verb::zscan,
};
static_assert(std::ranges::is_sorted(fickle));

bool has_one_key(const command& what) {
    const command_info& info = what.info();
    if (info.first_key <= 0 || info.is(command_flag::movable_keys))
        return keys_of(info, what.words()).size() == 1;
    const auto count = static_cast<std::int64_t>(what.size());
    const std::int64_t last = info.last_key < 0 ? count + info.last_key : info.last_key;
    return info.first_key == last && last < count;
}

bool is_cacheable(const command& what) {
    const command_info& info = what.info();
    return info.is(command_flag::read_only) && !std::ranges::binary_search(fickle, info.id) &&
           has_one_key(what);
}

std::string_view text_of(const command& what) noexcept {
    return {reinterpret_cast<const char*>(what.bytes().data()), what.bytes().size()};
}

// A reply says that a key is not there: null, an empty collection, a length of 0.
bool is_nothing(const value& what) noexcept {
    if (what.is_aggregate()) return what.empty();
    return what.is_null() || (what.kind() == type::integer && what.integer() == 0);
}

}  // namespace

/// One connection: whether the server tells us on it what changes.
class cache_core::tracked_session final : public session_observer {
public:
    tracked_session(cache_core& of, session& on) : core_(of), session_(on) {
        on.add_setup(of.tracking_);
        on.add_observer(*this);
    }
    ~tracked_session() { let_go(); }

    void let_go() {
        if (!linked()) return;
        session::forget_observer(*this);
        session_.remove_setup(core_.tracking_);
        tracks_ = false;
    }

    session& on() const noexcept { return session_; }
    /// Whether what has just been read there may be kept.
    bool tracks() const noexcept { return tracks_; }
    /// Whether what is read there now will be, as far as is known: it may be lost at the moment.
    bool will_track() const noexcept { return confirmed_ && session_.protocol() == 3; }

    /// The server has said so once; from now on the handshake sees to it.
    void confirm() noexcept {
        confirmed_ = true;
        if (session_.is_connected()) connected();
    }

private:
    void connected() noexcept override { tracks_ = will_track(); }
    void disconnected(std::error_code) noexcept override {
        tracks_ = false;
        ++core_.figures_.flushes;
        core_.store_.drop_origin(this);
    }
    void pushed(const value& what) noexcept override { core_.pushed(what); }

    cache_core& core_;
    session& session_;
    bool confirmed_ = false;
    bool tracks_ = false;
};

/// A command on its way, with what stands before and behind it.
class cache_core::flight final : public request {
public:
    flight(cache_core& of, tracked_session& on, cache_entry& into) noexcept
        : request(on.on(), 1), core_(of), on_(on), entry_(into) {
        begin();
        set_replies(1U + caching_left_ + life_left_);
    }

    void await_resume() const noexcept {}
    /// Its connection was lost before the reply: it is to be awaited once more.
    bool take_again() noexcept {
        begin();
        return std::exchange(again_, false);
    }

    void describe(leaf_description& into) const override {
        into.text("redis cache at " + to_string(on_.on().where()));
    }

private:
    void begin() noexcept {
        const bool alone = entry_.sent().size() == entry_.command().size();
        caching_left_ = !alone && !core_.broadcast_;
        life_left_ = !alone;
        keep_ = !alone;
    }

    bool encode(net::writer& out) override { return out.write(entry_.sent()); }

    bool take(const value& from) noexcept override {
        entry_.how_far = net::fate::answered;
        if (caching_left_) {
            caching_left_ = false;
            keep_ = keep_ && !from.is_error();
        } else if (!has_value_) {
            take_value(from);
            if (!life_left_) land();
        } else {
            take_life(from);
            land();
        }
        return true;
    }

    void take_value(const value& from) noexcept {
        has_value_ = true;
        try {
            if (from.is_error()) {
                entry_.error = code_of(from.text());
                entry_.words = from.text();
            } else {
                entry_.value.assign(from);
            }
        } catch (const std::bad_alloc&) {
            entry_.error = make_error_code(std::errc::not_enough_memory);
        }
    }

    void take_life(const value& from) noexcept {
        const std::int64_t left = from.kind() == type::integer ? from.integer() : -2;
        // Counted from when it was asked for, so that it ends here before it ends there.
        if (left >= 0 && left < std::chrono::milliseconds(std::chrono::years(100)).count())
            entry_.expires_at = entry_.asked_at + std::chrono::milliseconds(left);
        if (left == -2 && !entry_.error) keep_ = keep_ && is_nothing(entry_.value.root());
    }

    void failed(std::error_code why, net::fate how_far) noexcept override {
        if (how_far == net::fate::unanswered && why != ouro::errc::cancelled && !has_value_ &&
            repeats_left_ > 0) {
            --repeats_left_;
            again_ = true;
            return;
        }
        keep_ = false;
        if (!has_value_) {  // else only its life is not known
            entry_.error = core_.shut_ ? make_error_code(ouro::errc::closed) : why;
            entry_.how_far = how_far;
        }
        land();
    }

    void land() noexcept {
        entry_.origin = &on_;
        core_.store_.land(entry_, keep_ && !entry_.error && on_.tracks());
    }

    cache_core& core_;
    tracked_session& on_;
    cache_entry& entry_;
    std::uint8_t repeats_left_ = on_.on().options().repeats;
    bool caching_left_ = false;  // replies to come: that of CLIENT CACHING, …
    bool has_value_ = false;
    bool life_left_ = false;  // … and that of PTTL
    bool keep_ = false;
    bool again_ = false;
};

cache_core::cache_core(std::shared_ptr<client_core> client, const cache_options& options)
    : client_(std::move(client)),
      prefixes_(copy_of(options.prefixes)),
      broadcast_(options.broadcast),
      ttl_(options.ttl),
      tracking_(tracking_command(broadcast_, prefixes_)),
      caching_yes_(verb::client_caching, {"YES"}),
      store_(options.entries_max, options.bytes_max) {
    OURO_ASSERT((broadcast_ || prefixes_.empty()) && "prefixes are for broadcasting");
}

cache_core::~cache_core() { shut(); }

task<> cache_core::track() {
    const auto self = shared_from_this();
    for (const auto& each : client_->sessions())
        sessions_.push_back(std::make_unique<tracked_session>(*this, *each));
    for (const auto& each : sessions_) {
        session& on = each->on();
        call<void> asked(on, tracking_);
        const result<void> told = co_await as_result(asked);
        if (on.protocol() == 2)
            throw error(errc::no_protocol, net::fate::answered, tracking_.name(),
                        "invalidations need RESP3, and with this server RESP2 is spoken");
        if (!told) throw error(told.error(), asked.how_far(), tracking_.name(), asked.words());
        each->confirm();
    }
}

void cache_core::shut() noexcept {
    if (shut_) return;
    shut_ = true;
    for (const auto& each : sessions_) each->let_go();
    store_.for_each_under_way([](cache_entry& each) {
        if (each.fetch) each.fetch->cancel();
    });
    store_.drop_all();
}

task<> cache_core::close() {
    const auto self = shared_from_this();
    shut();
    for (const auto& each : client_->sessions()) {
        if (!each->is_connected()) continue;
        call<void> off(*each, verb::client_tracking, {"OFF"});
        static_cast<void>(co_await as_result(off));
    }
}

// Looking up and asking.

bool cache_core::is_tracked(std::string_view key) const noexcept {
    if (prefixes_.empty()) return true;
    return std::ranges::any_of(prefixes_,
                               [&](const std::string& each) { return key.starts_with(each); });
}

cache_core::tracked_session& cache_core::tracked(const session& on) const noexcept {
    std::size_t at = 0;
    while (&sessions_[at]->on() != &on) ++at;
    return *sessions_[at];
}

result<cached_reply> cache_core::look_up(const command& what, duration ttl) {
    if (shut_) return ouro::errc::closed;
    if (what.too_large()) return make_error_code(errc::too_large);
    if (!is_cacheable(what)) return make_error_code(errc::not_cacheable);
    const std::string_view key = what.first_key();
    const time_point now = clock::now();
    cached_reply found = store_.find(key, text_of(what), now, now - ttl);
    if (found) {
        ++(found.entry().under_way ? figures_.shared : figures_.hits);
        return found;
    }
    ++figures_.misses;
    cached_reply made = make_entry(what, key);
    made.entry().asked_at = now;
    store_.begin(made.entry(), is_tracked(key) && sessions_.front()->will_track());
    try {
        made.entry().fetch.emplace(spawn(fly(shared_from_this(), made)));
    } catch (...) {
        store_.land(made.entry(), false);
        throw;
    }
    return made;
}

cached_reply cache_core::peek(const command& what) const noexcept {
    return store_.peek(what.first_key(), text_of(what), clock::now());
}

cached_reply cache_core::make_entry(const command& what, std::string_view key) const {
    const std::string_view text = text_of(what);
    const bool tracked = is_tracked(key);
    std::string sent;
    if (tracked && !broadcast_) sent += text_of(caching_yes_);
    const std::size_t begin = sent.size();
    sent += text;
    if (tracked) sent += text_of(command(verb::pttl, {key}));
    const std::size_t key_at = begin + static_cast<std::size_t>(key.data() - text.data());
    return cached_reply(
        *new cache_entry(std::move(sent), {begin, text.size()}, {key_at, key.size()}));
}

task<> cache_core::fly(std::shared_ptr<cache_core> self, cached_reply entry) {
    flight asked(*self, self->tracked(self->client_->shared()), entry.entry());
    do {
        co_await asked;
    } while (asked.take_again());
    entry.entry().fetch.reset();
}

// Pushes of the server.

void cache_core::pushed(const value& what) noexcept {
    if (what.size() < 2) return;
    auto at = what.begin();
    const value kind = *at++;
    if (!kind.has_text() || kind.text() != "invalidate") return;
    const value keys = *at;
    if (!keys.is_aggregate()) {  // null: FLUSHALL, FLUSHDB
        ++figures_.flushes;
        store_.drop_all();
        return;
    }
    for (const value key : keys)
        if (key.has_text()) figures_.invalidations += store_.drop_key(key.text());
}

cache_figures cache_core::figures() const noexcept {
    cache_figures now = figures_;
    now.evictions = store_.evictions();
    now.entries = store_.size();
    now.bytes = store_.bytes();
    return now;
}

// Waiting.

void cache_wait::look_up(const command& what, duration ttl) noexcept {
    if (executor::current().running()->owner->cancelled()) return;
    try {
        result<cached_reply> found = of_.look_up(what, ttl);
        if (found)
            entry_ = std::move(*found);
        else
            error_ = found.error();
    } catch (const std::bad_alloc&) {
        error_ = make_error_code(std::errc::not_enough_memory);
    }
}

bool cache_wait::await_ready() noexcept {
    executor& here = executor::current();
    if (here.running()->owner->cancelled()) fail(ouro::errc::cancelled);
    if (failed() || error_) return true;
    return !entry_.entry().under_way && may_go_on(here);
}

std::error_code cache_wait::outcome() const noexcept {
    if (failed()) return ouro::make_error_code(waiter::error());
    return error_ ? error_ : entry_.entry().error;
}

void cache_wait::throw_failure(std::error_code code) const {
    if (failed() || !entry_) throw redis::error(code, net::fate::unsent, "cache", {});
    const cache_entry& of = entry_.entry();
    throw redis::error(code, of.how_far, of.words.empty() ? "cache" : "", of.words);
}

// The door.

task<cache> cache::begin(std::shared_ptr<cache_core> core) {
    co_await core->track();
    co_return cache(std::move(core));
}

std::vector<command> cache::gets(const words& keys) {
    std::vector<command> all;
    all.reserve(keys.size());
    for (const arg& each : keys.args())
        each.for_each([&](std::string_view key) { all.push_back(command(verb::get, {key})); });
    return all;
}

}  // namespace ouro::redis
