#include <ouro/kv/redis/sentinel/core.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

constexpr std::uint16_t sentinel_port = 26379;

/// Reads one of the addresses that the user gave. Nothing of it is quoted: it may hold a password.
url read_sentinel(std::string_view text) {
    std::string why;
    const result<url> read = url::parse(text, why, sentinel_port);
    if (read && !read->where.path.empty()) why = "the path of a socket: sentinels are at hosts";
    if (read && read->database != 0) why = "the database: a sentinel has none";
    if (!why.empty())
        throw error(read ? make_error_code(errc::bad_url) : read.error(), net::fate::unsent,
                    "sentinel URL", why);
    return *read;
}

/// "name old-host old-port new-host new-port"
struct switch_message {
    std::string_view name;
    address from;
    address to;
};

std::optional<switch_message> read_switch(std::string_view text) {
    std::array<std::string_view, 5> parts;
    for (std::string_view& part : parts) {
        const std::size_t end = std::min(text.find(' '), text.size());
        part = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (part.empty()) return std::nullopt;
    }
    switch_message read;
    read.name = parts[0];
    const auto number = [](std::string_view digits, std::uint16_t& into) {
        const auto end = digits.data() + digits.size();
        return std::from_chars(digits.data(), end, into).ptr == end && into != 0;
    };
    read.from.host = parts[1];
    read.to.host = parts[3];
    if (!number(parts[2], read.from.port) || !number(parts[4], read.to.port)) return std::nullopt;
    return read;
}

/// Without an address.
session_options at_any_sentinel(const sentinel_options& options) {
    session_options how;
    how.user = options.sentinel_user;
    how.password = options.sentinel_password;
    how.client_name = options.client.client_name;
    how.set_link(options.client.link);
    how.set_tls(options.sentinel_tls);
    how.connect_timeout = options.ask_limit;
    how.requests = {.request_timeout = options.ask_limit};
    how.backoff = {};
    how.tls.on = how.tls.wanted();
    return how;
}

/// Where nothing else is said, they are trusted as the master is. A context alone asks for TLS, so
/// it comes last.
session_options with_context(session_options how, const sentinel_options& options) {
    if (how.tls.on && !how.tls.context) how.tls.context = options.client.link.tls.context;
    return how;
}

/// At one that the user named: what its URL says goes before the options.
session_options at_sentinel(session_options how, const url& one) {
    how.where = one.where;
    how.tls.on = how.tls.on || one.tls;
    if (!one.user.empty() || !one.password.empty()) {
        how.user = one.user;
        how.password = one.password;
    }
    if (!one.client_name.empty()) how.client_name = one.client_name;
    if (one.protocol != 0) how.protocol = one.protocol;
    if (one.connect_timeout) how.connect_timeout = *one.connect_timeout;
    if (one.request_timeout) how.requests.request_timeout = *one.request_timeout;
    return how;
}

session_options at_master(const sentinel_options& options) {
    url who;
    who.user = options.user;
    who.password = options.password;
    who.database = options.database;
    session_options how = client_core::options_of(who, options.client);
    how.role = "master";
    how.guided = true;
    return how;
}

}  // namespace

/// One of the shared connections to the master.
class sentinel_core::master_connection final : public session_observer {
public:
    master_connection(sentinel_core& of, session& on) : core_(of), session_(on) {
        on.add_observer(*this);
    }
    ~master_connection() { session::forget_observer(*this); }

    bool lost = true;  // it waits to be told where to go
    bool up = false;   // it is connected

private:
    void connected() noexcept override {
        lost = false;
        up = true;
        core_.settled_perhaps();
    }
    void disconnected(std::error_code) noexcept override {
        up = false;
        lost = !session_.is_told();
        if (lost) core_.lost_connection();
    }
    void refused(std::error_code why, std::string_view words) noexcept override {
        lost = true;
        try {
            core_.failed_once(why, "master " + to_string(session_.where()) + ": " +
                                       std::string(words.empty() ? why.message() : words));
        } catch (const std::bad_alloc&) {
            core_.failed_once(why, {});
        }
        core_.in_trouble();
    }
    void ended() noexcept override {
        lost = true;
        up = false;
        core_.over();
    }
    void error_seen(std::string_view words) noexcept override {
        if (!words.starts_with("READONLY")) return;
        core_.suspected_ = true;
        core_.in_trouble();
    }

    sentinel_core& core_;
    session& session_;
};

/// A sentinel whose announcements are heard.
class sentinel_core::watcher final : private session_observer {
public:
    watcher(sentinel_core& of, session_options how) : core_(of) {
        how.pubsub = true;
        how.setup.emplace_back(verb::subscribe, std::initializer_list<arg>{"+switch-master"});
        session_ = session::open(std::move(how), this);
    }
    ~watcher() { session::forget_observer(*this); }

    const address& where() const noexcept { return session_->where(); }
    const std::shared_ptr<session>& on() const noexcept { return session_; }

private:
    void connected() noexcept override {
        // It asks for announcements that it has missed.
        if (std::exchange(was_connected_, true)) core_.woken_.set();
    }
    void pushed(const value& what) noexcept override {
        if (what.size() != 3) return;
        auto at = what.begin();
        const value kind = *at++;
        const value channel = *at++;
        const value text = *at;
        if (kind.has_text() && kind.text() == "message" && channel.has_text() &&
            channel.text() == "+switch-master" && text.has_text())
            hear(text.text());
    }
    void hear(std::string_view announcement) noexcept {
        try {
            core_.announced(announcement);
        } catch (const std::bad_alloc&) {
            core_.woken_.set();  // it is asked for
        }
    }

    sentinel_core& core_;
    std::shared_ptr<session> session_;
    bool was_connected_ = false;
};

// Its life.

std::shared_ptr<sentinel_core> sentinel_core::open(const std::vector<std::string>& sentinels,
                                                   std::string name,
                                                   const sentinel_options& options) {
    auto made = std::make_shared<sentinel_core>(sentinels, std::move(name), options);
    sentinel_core* const raw = made.get();
    made->guide_.emplace(spawn(guide(made)));
    return {raw, [made = std::move(made)](sentinel_core*) { made->stop(); }};
}

sentinel_core::sentinel_core(const std::vector<std::string>& sentinels, std::string name,
                             const sentinel_options& options)
    : options_(options), wait_(options.between_rounds) {
    OURO_ASSERT(options.rounds_max > 0 && options.sentinels_max > 0);
    about_.name = std::move(name);
    const session_options any = at_any_sentinel(options);
    to_sentinel_ = any;
    about_.to_master = at_master(options);
    about_.limit = options.ask_limit;
    for (const std::string& each : sentinels) {
        const url one = read_sentinel(each);
        session_options how = at_sentinel(any, one);
        // Those that are learned from others are known by their address alone.
        to_sentinel_.tls.on = to_sentinel_.tls.on || how.tls.on;
        if (to_sentinel_.password.empty()) {
            to_sentinel_.user = how.user;
            to_sentinel_.password = how.password;
        }
        learn(with_context(std::move(how), options));
    }
    to_sentinel_ = with_context(std::move(to_sentinel_), options);
    if (about_.sentinels.empty()) throw error(errc::bad_url, net::fate::unsent, "no sentinels", {});
    master_ = std::make_shared<client_core>(about_.to_master, options.client);
    for (const auto& each : master_->sessions())
        connections_.push_back(std::make_unique<master_connection>(*this, *each));
    options_.user = options_.password = {};
    options_.sentinel_user = options_.sentinel_password = options_.client.client_name = {};
    options_.sentinel_tls.server_name = options_.client.link.tls.server_name = {};
}

sentinel_core::~sentinel_core() = default;

task<> sentinel_core::ready(std::shared_ptr<sentinel_core> self) {
    co_await self->decided_.wait();
    // A connection that was there, and is lost again by now, is made again like any other.
    if (self->where_ && (!self->in_need() || !self->failure_)) co_return;
    const std::error_code why = self->failure_;
    const bool ours = why == errc::no_auth || why == errc::wrong_password ||
                      why == errc::no_permission || why == errc::protocol_error ||
                      net::is_tls_refusal(why) || why == std::errc::not_enough_memory;
    throw error(ours ? why : make_error_code(errc::unhealthy), net::fate::unsent,
                "master " + self->about_.name, self->story_);
}

void sentinel_core::stop() noexcept {
    stopped_ = true;
    if (guide_) guide_->cancel();
    watchers_.clear();
    replicas_.clear();
}

task<> sentinel_core::close(std::shared_ptr<sentinel_core> self) {
    std::vector<std::shared_ptr<session>> others = self->replicas_;
    for (const auto& each : self->watchers_) others.push_back(each->on());
    self->stop();
    co_await self->master_->close();
    for (const auto& each : others) co_await each->closed();
}

task<> sentinel_core::reauthenticate(std::shared_ptr<sentinel_core> self) {
    std::exception_ptr failure;
    try {
        co_await self->master_->reauthenticate();
    } catch (...) {
        failure = std::current_exception();
    }
    const std::vector<std::shared_ptr<session>> replicas = self->replicas_;
    for (const auto& each : replicas) co_await each->reauthenticate();
    if (failure) std::rethrow_exception(failure);
}

// Its work.

task<> sentinel_core::guide(std::shared_ptr<sentinel_core> self) {
    while (!self->stopped_) {
        bool no_memory = false;
        try {
            const result<void> waited = co_await as_result(self->pause());
            if (!waited) break;
            const result<void> asked = co_await as_result(self->round());
            if (asked.error() == ouro::errc::cancelled) break;
        } catch (const std::bad_alloc&) {
            no_memory = true;
        }
        if (!no_memory) continue;
        if (self->in_need()) self->failed_once(make_error_code(std::errc::not_enough_memory), {});
        const result<void> waited = co_await as_result(sleep_for(self->wait_.next()));
        if (!waited) break;
    }
    self->guide_.reset();
}

task<> sentinel_core::pause() {
    duration most = options_.poll_interval;
    if (in_need()) {
        if (failures_ == 0 && (!restless_ || about_.hint)) co_return;
        most = wait_.next();
        woken_.reset();  // only what is new is worth hurrying for
    }
    const result<void> woken = co_await as_result(timeout(most, woken_.wait()));
    if (woken.error() == ouro::errc::cancelled) throw_error(ouro::errc::cancelled);
}

task<> sentinel_core::round() {
    ++figures_.rounds;
    const sentinel_inquiry about = about_;
    sentinel_lookup asked(about);
    const std::optional<sentinel_report> found = co_await asked.find();
    if (stopped_ || about_.hint != about.hint) co_return;  // announced meanwhile: ask again
    if (found)
        arrive(*found, about.hint == found->master && found->epoch == 0);
    else
        nowhere(asked);
}

void sentinel_core::arrive(const sentinel_report& report, bool by_hint) {
    about_.hint.reset();
    suspected_ = false;
    epoch_ = by_hint ? about_.epoch_min : std::max(epoch_, report.epoch);
    about_.epoch_min = std::max(about_.epoch_min, epoch_);
    for (const address& each : report.sentinels) {
        session_options how = to_sentinel_;
        how.where = each;
        learn(std::move(how));
    }
    if (options_.replicas && !by_hint) keep_replicas(report.replicas);

    const bool moved = where_ != report.master;
    const bool lost =
        std::ranges::any_of(connections_, [](const auto& each) { return each->lost; });
    if (moved) ++figures_.moves;
    where_ = report.master;
    if (!moved && !lost) return;
    for (const auto& each : connections_) each->lost = false;
    master_->move_to(*where_);
}

void sentinel_core::nowhere(const sentinel_lookup& asked) {
    ++figures_.failed_rounds;
    if (!in_need()) return;  // a master that is connected needs no word for it
    if (suspected_) leave();
    failed_once(asked.failure() ? asked.failure() : make_error_code(errc::unhealthy),
                asked.story());
}

void sentinel_core::failed_once(std::error_code why, std::string_view story) noexcept {
    failure_ = why;
    try {
        story_ = story;
    } catch (const std::bad_alloc&) {
        story_.clear();
    }
    if (++failures_ < options_.rounds_max) return;
    about_.hint.reset();
    about_.epoch_min = 0;  // if nobody knows what is newer, what is older may be all there is
    leave();
    master_->fail_waiting(errc::unhealthy);
    decided_.set();
}

/// A connection of the master's has ended for good: closed, or begun without memory.
void sentinel_core::over() noexcept {
    if (stopped_) return;
    where_.reset();
    failure_ = make_error_code(std::errc::not_enough_memory);
    decided_.set();
}

void sentinel_core::leave() noexcept {
    where_.reset();
    suspected_ = false;
    for (const auto& each : connections_) each->lost = true;
    master_->leave(errc::unhealthy);
}

bool sentinel_core::in_need() const noexcept {
    return suspected_ || about_.hint ||
           std::ranges::any_of(connections_, [](const auto& each) { return each->lost; });
}

void sentinel_core::in_trouble() noexcept { woken_.set(); }

// A master that takes connections and does not keep them is asked for less and less often.
void sentinel_core::lost_connection() noexcept {
    restless_ = !wait_.ended_after(clock::now() - settled_at_);
    in_trouble();
}

void sentinel_core::settled_perhaps() noexcept {
    if (in_need() || !std::ranges::all_of(connections_, [](const auto& each) { return each->up; }))
        return;
    failures_ = 0;
    failure_ = {};
    settled_at_ = clock::now();
    decided_.set();
}

// The news it gets.

void sentinel_core::announced(std::string_view message) {
    const std::optional<switch_message> read = read_switch(message);
    if (!read || read->name != about_.name) return;
    if (where_ == read->to || about_.hint == read->to) return;  // every sentinel announces it
    ++figures_.announcements;
    if (!where_ || where_ == read->from) {
        about_.hint = read->to;
        about_.epoch_min = epoch_ + 1;
        leave();
    }
    woken_.set();
}

void sentinel_core::learn(session_options how) {
    const auto has_its_address = [&](const auto& each) { return each.where == how.where; };
    if (about_.sentinels.size() >= options_.sentinels_max ||
        std::ranges::any_of(about_.sentinels, has_its_address))
        return;
    about_.sentinels.reserve(about_.sentinels.size() + 1);
    session_options one = how;
    watchers_.push_back(std::make_unique<watcher>(*this, std::move(how)));
    about_.sentinels.push_back(std::move(one));
}

// Replicas.

void sentinel_core::keep_replicas(const std::vector<address>& wanted) {
    std::erase_if(replicas_, [&](const auto& each) {
        return std::ranges::find(wanted, each->where()) == wanted.end();
    });
    for (const address& where : wanted) {
        const bool known = std::ranges::any_of(
            replicas_, [&](const auto& each) { return each->where() == where; });
        if (known) continue;
        session_options how = about_.to_master;
        how.where = where;
        how.role = "slave";
        how.guided = false;
        replicas_.push_back(session::open(std::move(how)));
    }
}

std::shared_ptr<session> sentinel_core::replica() noexcept {
    for (std::size_t tried = 0; tried < replicas_.size(); ++tried) {
        const auto& next = replicas_[next_replica_++ % replicas_.size()];
        if (next->is_connected()) return next;
    }
    return master_->shared().shared_from_this();
}

// Questions.

std::optional<address> sentinel_core::where() const { return where_; }

std::vector<address> sentinel_core::sentinels() const {
    std::vector<address> all;
    for (const session_options& each : about_.sentinels) all.push_back(each.where);
    return all;
}

std::vector<address> sentinel_core::replicas() const {
    std::vector<address> all;
    for (const auto& each : replicas_)
        if (each->is_connected()) all.push_back(each->where());
    return all;
}

}  // namespace ouro::redis
