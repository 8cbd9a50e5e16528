#include <ouro/kv/redis/pubsub/hub.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <span>
#include <string_view>
#include <utility>

namespace ouro::redis {
namespace {

// What the server refused for a reason that passes, and a queue that was full, is tried again.
constexpr duration retry_delay = std::chrono::milliseconds(100);
// So is a round for which there was no memory.
constexpr duration memory_delay = std::chrono::milliseconds(5);

}  // namespace

/// A round on its way. Its replies are a PING's, which ends it, and those of commands that failed.
class pubsub_hub::round_request final : public request {
public:
    explicit round_request(pubsub_hub& of) noexcept : request(*of.session_, 1), hub_(of) {
        be_indispensable();
    }

    void await_resume() const {
        if (why_) throw_error(why_);
    }
    result<void> await_result() const noexcept {
        if (why_) return why_;
        return {};
    }
    net::fate how_far() const noexcept { return how_far_; }

    void describe(leaf_description& into) const override { into.text("redis subscriptions"); }

private:
    // Put together when it is about to be sent, so that all that was wanted until then is in it.
    bool encode(net::writer& out) override {
        try {
            return out.write(hub_.ended_ ? hub_.compose_nothing() : hub_.compose());
        } catch (const std::bad_alloc&) {
            hub_.begin_again();
            throw;
        }
    }
    bool take(const value& from) noexcept override {
        answer is = answer::foreign;
        try {
            is = hub_.reply(from);
        } catch (const std::bad_alloc&) {  // whose error it was is lost: a new connection knows
        }
        if (is == answer::foreign) hub_.session_->distrust();
        return is == answer::last;
    }
    void failed(std::error_code why, net::fate how_far) noexcept override {
        why_ = why;
        how_far_ = how_far;
        hub_.abandon_round();
    }

    pubsub_hub& hub_;
    std::error_code why_;
    net::fate how_far_ = net::fate::answered;
};

/// Waits for the end of a round, whoever's.
class pubsub_hub::round_wait final : public sync_op<round_wait, void> {
public:
    explicit round_wait(pubsub_hub& of) noexcept : sync_op("redis subscriptions"), hub_(of) {}

    /// Why the round failed; zero when it did not.
    std::error_code why;
    net::fate how_far = net::fate::answered;

private:
    friend sync_op;

    bool attempt() noexcept { return false; }
    wait_list& queue() noexcept { return hub_.rounds_; }
    void value() noexcept {}

    pubsub_hub& hub_;
};

/// What a call has added, until it has succeeded.
class pubsub_hub::claim {
public:
    claim(pubsub_hub& hub, listener& who, topic_kind kind) noexcept
        : hub_(hub), who_(who), kind_(kind) {}
    claim(const claim&) = delete;
    claim& operator=(const claim&) = delete;
    ~claim() {
        for (const auto& [name, added] : names_) {
            listener::membership* const mine = membership(name);
            if (!mine) continue;
            if (mine->waiting > 0) --mine->waiting;
            if (!kept_ && added && mine->waiting == 0) hub_.leave(*mine);
        }
        if (!kept_) hub_.work();
    }

    void add(std::string name) {
        names_.emplace_back(std::move(name), false);
        auto& [kept_name, added] = names_.back();
        added = membership(kept_name) == nullptr;
        ++hub_.join(who_, kind_, kept_name).waiting;
    }
    void keep() noexcept { kept_ = true; }

private:
    listener::membership* membership(const std::string& name) noexcept {
        topic* const one = hub_.find(kind_, name);
        return one ? who_.find(*one) : nullptr;
    }

    pubsub_hub& hub_;
    listener& who_;
    topic_kind kind_;
    std::vector<std::pair<std::string, bool>> names_;  // and whether it was added here
    bool kept_ = false;
};

// Beginning and end.

std::shared_ptr<pubsub_hub> pubsub_hub::open(session_options how) {
    how.pubsub = true;
    auto keeper = session::open(std::move(how));
    auto made = std::make_shared<pubsub_hub>(*keeper, std::move(keeper));
    pubsub_hub* const raw = made.get();
    // Its task may keep the hub alive; those who use it keep it open.
    return {raw, [made = std::move(made)](pubsub_hub*) { made->close(); }};
}

std::shared_ptr<pubsub_hub> pubsub_hub::share(session& with) {
    return std::make_shared<pubsub_hub>(with, nullptr);
}

pubsub_hub::pubsub_hub(session& on, std::shared_ptr<session> keeper)
    : keeper_(std::move(keeper)), session_(on.shared_from_this()) {
    session_->add_observer(*this);
}

pubsub_hub::~pubsub_hub() {
    session::forget_observer(*this);
    if (again_.armed()) executor::current().timers().disarm(again_);
}

void pubsub_hub::close() noexcept {
    ended();
    keeper_.reset();
}

task<> pubsub_hub::closed() {
    const auto self = shared_from_this();
    ended();
    if (keeper_) co_await std::exchange(keeper_, nullptr)->closed();
}

void pubsub_hub::ended() noexcept {
    if (std::exchange(ended_, true)) return;
    while (!listeners_.empty()) listeners_.pop_front().end();
    end_rounds(ouro::errc::closed, net::fate::unsent);
}

void pubsub_hub::add(listener& who) noexcept {
    if (ended_)
        who.end();
    else
        listeners_.push_back(who);
}

void pubsub_hub::remove(listener& who) noexcept {
    if (who.linked()) who.unlink();
    leave_all(who);
    // Without a connection there is nobody to be told.
    if (session_->is_connected()) work();
}

// What the session says.

// Everything that is wanted and is not known goes out, in one write. A server that was replaced by
// one that knows no RESP3 must not be asked on a connection that others use: they would get the
// messages for replies.
void pubsub_hub::connected() noexcept {
    if (session_->protocol() < 3 && !session_->options().pubsub)
        ended();
    else
        work();
}

void pubsub_hub::disconnected(std::error_code why) noexcept {
    try {
        lost(why.message());
    } catch (const std::bad_alloc&) {
        lost({});
    }
    end_rounds(why, net::fate::unanswered);
}

void pubsub_hub::pushed(const value& from) noexcept {
    push(from);
    // Where a reply is awaited, nobody holds the connection back.
    if (held_back() && keeper_ && !working_ && session_->load() == 0) session_->pause();
}

// Rounds.

void pubsub_hub::work() noexcept {
    if (working_ || ended_ || !changed()) return;
    working_ = true;
    session_->resume();
    try {
        spawn(run(shared_from_this()));
    } catch (const std::bad_alloc&) {  // nobody else would come back to it
        working_ = false;
        const time_point when = after(clock::now(), memory_delay);
        if (!again_.armed())
            executor::current().timers().arm(again_, when.time_since_epoch().count());
    }
}

task<> pubsub_hub::run(std::shared_ptr<pubsub_hub> self) {
    pubsub_hub& hub = *self;
    while (!hub.ended_ && hub.changed()) {
        round_request round(hub);
        // An error reply to a round that nobody waits for would be taken for the reply to its PING.
        const result<void> done = co_await as_result(shield(round));
        hub.end_rounds(done.error(), round.how_far());
        if (!done && !hub.session_->is_connected()) break;  // connected() goes on
        if (done && !hub.be_patient()) continue;
        const bool no_memory = done.error() == std::errc::not_enough_memory;
        const duration pause = no_memory ? memory_delay : retry_delay;
        const result<void> waited = co_await as_result(sleep_for(pause));
        if (!waited) break;
    }
    OURO_ASSERT(hub.working_ && "one task sends the rounds");
    hub.working_ = false;
    hub.end_rounds({}, net::fate::unanswered);
}

void pubsub_hub::end_rounds(std::error_code why, net::fate how_far) noexcept {
    while (!rounds_.empty()) {
        round_wait& oldest = rounds_.front<round_wait>();
        oldest.why = why;
        oldest.how_far = how_far;
        rounds_.wake_one();
    }
}

task<> pubsub_hub::idle() {
    const auto self = shared_from_this();
    while (working_) {
        round_wait end(*this);
        co_await end;
    }
}

task<> pubsub_hub::round_end(std::string_view about) {
    if (ended_) throw error(ouro::errc::closed, net::fate::unsent, about, {});
    work();
    round_wait end(*this);
    co_await end;
    if (end.why && end.how_far == net::fate::unsent) throw error(end.why, end.how_far, about, {});
}

// Subscribing.

namespace {

std::string_view name_of(bool subscribe, topic_kind kind) noexcept {
    switch (kind) {
        case topic_kind::channel: return subscribe ? "SUBSCRIBE" : "UNSUBSCRIBE";
        case topic_kind::pattern: return subscribe ? "PSUBSCRIBE" : "PUNSUBSCRIBE";
        case topic_kind::shard: return subscribe ? "SSUBSCRIBE" : "SUNSUBSCRIBE";
    }
    return {};
}

}  // namespace

task<> pubsub_hub::subscribe(listener& who, topic_kind kind, std::vector<std::string> names) {
    const auto self = shared_from_this();
    claim added(*this, who, kind);
    for (const std::string& name : names) {
        if (name.size() > word_bytes_max)
            throw error(errc::too_large, net::fate::unsent, name_of(true, kind), {});
        added.add(name);
    }
    co_await limited(settled(who, kind, names));
    added.keep();
}

task<> pubsub_hub::unsubscribe(listener& who, topic_kind kind, std::vector<std::string> names) {
    const auto self = shared_from_this();
    for (const std::string& name : names) {
        topic* const one = find(kind, name);
        listener::membership* const mine = one ? who.find(*one) : nullptr;
        if (mine) leave(*mine);
    }
    work();
    co_await limited(gone(kind, names));
}

// The request timeout of the session counts from the moment when a round is asked for, and knows
// why there is no connection. This one is for rounds that come and go without an answer.
task<> pubsub_hub::limited(task<> waiting) {
    const duration limit = 2 * session_->options().requests.request_timeout;
    if (limit > duration::zero())
        co_await timeout(limit, std::move(waiting));
    else
        co_await std::move(waiting);
}

task<> pubsub_hub::settled(listener& who, topic_kind kind, const std::vector<std::string>& names) {
    for (;;) {
        bool all = true;
        for (const std::string& name : names) {
            const topic* const one = find(kind, name);
            if (!one || !who.find(*one)) continue;  // it was given up meanwhile
            if (one->is == topic::state::refused)
                throw error(one->code, net::fate::answered, name_of(true, kind), one->words);
            all = all && one->heard();
        }
        if (all) co_return;
        co_await round_end(name_of(true, kind));
    }
}

task<> pubsub_hub::gone(topic_kind kind, const std::vector<std::string>& names) {
    while (!ended_) {
        bool all = true;
        for (const std::string& name : names) {
            const topic* const one = find(kind, name);
            if (!one || !one->members.empty()) continue;
            if (one->is == topic::state::stuck)
                throw error(one->code, net::fate::answered, name_of(false, kind), one->words);
            all = false;
        }
        if (all) co_return;
        co_await round_end(name_of(false, kind));
    }
}

}  // namespace ouro::redis
