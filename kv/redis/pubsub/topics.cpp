#include <ouro/kv/redis/pubsub/topics.hpp>

#include <ouro/kv/redis/wire/slots.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

using namespace std::string_view_literals;

// What is refused as a whole is asked for one by one: that must not be very much.
constexpr std::size_t names_of_a_command_max = 1000;

verb verb_of(bool subscribe, topic_kind kind) noexcept {
    switch (kind) {
        case topic_kind::channel: return subscribe ? verb::subscribe : verb::unsubscribe;
        case topic_kind::pattern: return subscribe ? verb::psubscribe : verb::punsubscribe;
        case topic_kind::shard: return subscribe ? verb::ssubscribe : verb::sunsubscribe;
    }
    return verb::any;
}

/// What a server says that will soon say something else.
bool passes(std::error_code code) noexcept {
    return code == errc::busy || code == errc::loading || code == errc::try_again ||
           code == errc::cluster_down || code == errc::master_down;
}

void append(std::vector<std::byte>& to, verb what, std::span<const arg> arguments) {
    const command_info& about = info(what);
    const encoded_size size = size_of(about, arguments);
    const std::size_t before = to.size();
    to.resize(before + size.bytes);
    encode(about, arguments, size, reinterpret_cast<char*>(to.data() + before));
}

}  // namespace

// Listeners.

listener::~listener() { home_.leave_all(*this); }

listener::membership* listener::find(const topic& of) noexcept {
    const auto found = memberships_.find(&of);
    return found == memberships_.end() ? nullptr : &found->second;
}

void listener::taken() noexcept {
    if (full_ && has_room()) home_.has_room(*this);
}

void topic_table::has_room(listener& who) noexcept {
    OURO_ASSERT(who.full_ && full_ > 0);
    who.full_ = false;
    if (--full_ == 0) let_go();
}

// Coming and going.

topic_table::~topic_table() {
    for (map& all : topics_) {
        for (auto& [name, one] : all) {
            OURO_ASSERT(one->members.empty() && "a connection outlives its subscribers");
            if (one->linked()) one->unlink();
        }
    }
}

topic* topic_table::find(topic_kind kind, std::string_view name) noexcept {
    const auto found = of(kind).find(name);
    return found == of(kind).end() ? nullptr : found->second.get();
}

std::size_t topic_table::size() const noexcept {
    std::size_t sum = 0;
    for (const map& all : topics_) sum += all.size();
    return sum;
}

std::vector<std::string> topic_table::topics_of(const listener& who, topic_kind kind) const {
    std::vector<std::string> names;
    for (const auto& [one, membership] : who.memberships_)
        if (one->kind == kind) names.push_back(one->name);
    return names;
}

listener::membership& topic_table::join(listener& who, topic_kind kind, std::string_view name) {
    topic* one = find(kind, name);
    if (!one) {
        auto made = std::make_unique<topic>(kind, std::string(name));
        one = made.get();
        of(kind).emplace(one->name, std::move(made));
    }
    listener::membership* mine = who.find(*one);
    const bool is_new = mine == nullptr;
    try {
        if (is_new) mine = &who.memberships_.try_emplace(one, who, *one).first->second;
    } catch (const std::bad_alloc&) {
        consider(*one);  // perhaps nobody wants it now
        throw;
    }
    listener::membership& membership = *mine;
    if (is_new) {
        one->members.push_back(membership);
        membership.confirmed = one->heard();
    }
    if (one->is == topic::state::refused) one->is = topic::state::absent;
    if (one->is == topic::state::stuck) one->is = topic::state::present;
    consider(*one);
    return membership;
}

void topic_table::leave(listener::membership& from) noexcept {
    topic& one = from.of;
    remove(from);
    consider(one);
}

void topic_table::leave_all(listener& who) noexcept {
    who.interrupted_ = false;  // it need not be told
    while (!who.memberships_.empty()) leave(who.memberships_.begin()->second);
    if (who.full_) has_room(who);
}

void topic_table::remove(listener::membership& from) noexcept {
    listener& who = from.who;
    const bool was_missing = from.confirmed && !from.of.heard();
    from.unlink();
    who.memberships_.erase(&from.of);
    if (was_missing) found(who);
}

/// Keeps the list of the changed ones, and forgets what nobody wants and the server does not know.
void topic_table::consider(topic& one) noexcept {
    if (one.in_round()) return;  // its end will see to it
    OURO_ASSERT(one.is != topic::state::subscribing && one.is != topic::state::unsubscribing);
    if (one.linked() && !one.wants_round()) one.unlink();
    if (!one.linked() && one.wants_round()) changed_.push_back(one);
    if (one.members.empty() && !one.heard()) of(one.kind).erase(one.name);
}

// Rounds.

std::span<const std::byte> topic_table::compose() {
    abandon_round();
    bytes_.clear();
    patient_ = false;
    std::vector<topic*> together[2][3];  // by what to do, and kind
    while (!changed_.empty()) {
        topic& one = changed_.pop_front();
        const bool subscribe = !one.members.empty();
        topic* const itself = &one;
        // The shard channels of one command must have the same slot.
        if (one.alone || one.kind == topic_kind::shard) {
            add_part(subscribe, one.kind, {&itself, 1});
            continue;
        }
        auto& some = together[subscribe][static_cast<std::size_t>(one.kind)];
        some.push_back(&one);
        if (some.size() < names_of_a_command_max) continue;
        add_part(subscribe, one.kind, some);
        some.clear();
    }
    for (const bool subscribe : {false, true})
        for (const topic_kind kind : {topic_kind::channel, topic_kind::pattern})
            add_part(subscribe, kind, together[subscribe][static_cast<std::size_t>(kind)]);
    add_fence();
    return bytes_;
}

std::span<const std::byte> topic_table::compose_nothing() {
    abandon_round();
    bytes_.clear();
    add_fence();
    return bytes_;
}

void topic_table::add_fence() {
    token_ = "round " + std::to_string(++rounds_);
    const arg token(token_);
    append(bytes_, verb::ping, {&token, 1});
}

void topic_table::add_part(bool subscribe, topic_kind kind, std::span<topic* const> some) {
    if (some.empty()) return;
    std::vector<std::string_view> names;
    for (topic* const one : some) {
        names.push_back(one->name);
        in_round_.push_back(one);
        one->is = subscribe ? topic::state::subscribing : topic::state::unsubscribing;
        one->part = static_cast<std::uint32_t>(parts_.size());
    }
    const bool shard = kind == topic_kind::shard;
    parts_.push_back({.names = static_cast<std::uint32_t>(some.size()),
                      .subscribe = subscribe,
                      .shard = shard,
                      .slot = shard ? slot_of(names.front()) : std::uint16_t{0}});
    const arg all{std::span<const std::string_view>(names)};
    append(bytes_, verb_of(subscribe, kind), {&all, 1});
}

topic_table::answer topic_table::reply(const value& from) {
    if (!from.is_error() && !is_token(from)) return answer::foreign;
    if (from.is_error() && !is_of_fence(from.text())) {
        failures_.push_back({code_of(from.text()), std::string(from.text()), answered_, {}});
        if (const auto said = read_redirection(from.text(), {})) failures_.back().slot = said->slot;
        return answer::more;
    }
    blame();
    end_round();
    return answer::last;
}

/// Under RESP2 a PING is answered by an array once there are subscriptions.
bool topic_table::is_token(const value& from) const noexcept {
    if (token_.empty()) return false;
    if (from.has_text()) return from.text() == token_;
    return from.kind() == type::array && from.size() == 2 && from[1].has_text() &&
           from[1].text() == token_;
}

/// Whether an error is that of the PING: by its words, or because every command has its answer.
bool topic_table::is_of_fence(std::string_view words) const noexcept {
    if (words.find("'ping' command") != words.npos) return true;
    const auto may_fail = std::count_if(parts_.begin(), parts_.end(), [](const part& each) {
        return each.open() || each.doubtful();
    });
    return failures_.size() >= static_cast<std::size_t>(may_fail);
}

/// Gives every error to the command that it was the answer to.
void topic_table::blame() noexcept {
    auto next = failures_.begin();
    auto missing =
        std::count_if(parts_.begin(), parts_.end(), [](const part& each) { return each.open(); });
    for (std::size_t index = 0; index < parts_.size() && next != failures_.end(); ++index) {
        part& each = parts_[index];
        if (each.open()) {
            --missing;
        } else {
            // It was the server's own news if there are more errors than commands without answer.
            if (!each.doubtful() || index < next->behind) continue;
            if (failures_.end() - next <= missing) continue;
            if (next->slot && *next->slot != each.slot) continue;
        }
        each.code = next->code;
        each.words = std::move(next->words);
        ++next;
    }
}

void topic_table::forget_round() noexcept {
    in_round_.clear();
    parts_.clear();
    failures_.clear();
    answered_ = 0;
    token_.clear();
}

void topic_table::end_round() noexcept {
    for (topic* const one : in_round_) {
        OURO_ASSERT(one->part < parts_.size());
        const part& its = parts_[std::exchange(one->part, topic::no_part)];
        if (its.code) {
            refuse(*one, its);
        } else if (one->is == topic::state::subscribing) {
            // Neither confirmed nor refused: no Redis does that.
            refuse(*one, {.names = 1, .code = errc::unexpected_reply});
        } else if (one->is == topic::state::unsubscribing) {
            one->is = topic::state::absent;
        }
        consider(*one);
    }
    forget_round();
}

void topic_table::refuse(topic& one, const part& why) noexcept {
    // The server would not be asked, having given it up by itself: that is what was wanted.
    if (!why.subscribe && one.is != topic::state::unsubscribing) return;
    one.code = why.code;
    one.words = why.words;
    if (one.is == topic::state::unsubscribing) {
        one.is = one.members.empty() ? topic::state::stuck : topic::state::present;
        came_back(one);
        return;
    }
    bool was_heard = false;
    one.members.for_each([&](const listener::membership& each) { was_heard |= each.confirmed; });
    one.is = topic::state::absent;
    if (passes(why.code) && was_heard) {
        patient_ = true;
    } else if (why.names > 1) {
        one.alone = true;
    } else {
        expel(one, why.words.empty() ? "the server did not confirm it"sv : why.words);
        one.is = topic::state::refused;  // for those who wait for it
    }
}

void topic_table::begin_again() noexcept {
    abandon_round();
    for (map& all : topics_)
        for (auto at = all.begin(); at != all.end();) consider(*at++->second);  // may erase it
}

void topic_table::abandon_round() noexcept {
    for (topic* const one : in_round_) {
        one->part = topic::no_part;
        if (one->is == topic::state::subscribing) one->is = topic::state::absent;
        if (one->is == topic::state::unsubscribing) {
            one->is = topic::state::present;
            came_back(*one);
        }
        consider(*one);
    }
    forget_round();
}

// Confirmations and the loss of the connection.

void topic_table::confirm(topic& one, bool subscribed) noexcept {
    if (subscribed) {
        if (one.is != topic::state::subscribing) return;
        one.is = topic::state::present;
        confirm_part(one, true);
        came_back(one);
    } else if (one.is == topic::state::unsubscribing) {
        one.is = topic::state::absent;
        confirm_part(one, one.kind != topic_kind::shard);
    } else if (one.heard()) {  // nobody asked for it: the slot of a shard channel has moved
        expel(one, "the server ended the subscription");
        one.is = topic::state::absent;
        consider(one);
    }
}

void topic_table::confirm_part(const topic& one, bool sure) noexcept {
    OURO_ASSERT(one.in_round() && one.part < parts_.size());
    ++parts_[one.part].confirmed;
    if (sure) answered_ = std::max<std::size_t>(answered_, one.part + 1);
}

/// The server knows the topic: so do its members.
void topic_table::came_back(topic& one) noexcept {
    one.members.for_each([this](listener::membership& each) {
        if (std::exchange(each.confirmed, true)) found(each.who);
    });
}

/// One topic less is missing.
void topic_table::found(listener& who) noexcept {
    OURO_ASSERT(who.missing_ > 0);
    if (--who.missing_ > 0 || !std::exchange(who.interrupted_, false)) return;
    if (who.memberships_.empty()) return;
    try {
        who.put(message({.kind = message_kind::resumed}));
    } catch (const std::bad_alloc&) {
        who.miss();
    }
}

void topic_table::lost(std::string_view why) noexcept {
    abandon_round();
    message news;
    try {
        news = message({.kind = message_kind::interrupted, .payload = why});
    } catch (const std::bad_alloc&) {  // then they are told of a message they have missed
    }
    for (map& all : topics_) {
        for (auto at = all.begin(); at != all.end();) {
            topic& one = *at++->second;
            if (one.heard()) {
                one.is = topic::state::absent;
                went_away(one, news);
            }
            consider(one);  // may erase it
        }
    }
}

void topic_table::went_away(topic& one, const message& news) noexcept {
    one.members.for_each([&](listener::membership& each) {
        ++each.who.missing_;
        if (std::exchange(each.who.interrupted_, true)) return;
        if (news)
            each.who.put(news);
        else
            each.who.miss();
    });
}

/// Tells the members of old that it is over. Who still waits for the confirmation is told by that.
void topic_table::expel(topic& one, std::string_view why) noexcept {
    one.members.for_each([&](listener::membership& each) {
        if (!each.confirmed) return;
        const bool pattern = one.kind == topic_kind::pattern;
        try {
            each.who.put(message({.kind = message_kind::ended,
                                  .topic = one.kind,
                                  .channel = pattern ? std::string_view() : one.name,
                                  .pattern = pattern ? one.name : std::string_view(),
                                  .payload = why}));
        } catch (const std::bad_alloc&) {
            each.who.miss();
        }
        remove(each);
    });
}

// Pushes.

void topic_table::push(const value& from) {
    if (from.size() < 3 || !from[0].has_text()) return;
    const std::string_view what = from[0].text();
    if (what == "message") return take_message(topic_kind::channel, from);
    if (what == "pmessage") return take_message(topic_kind::pattern, from);
    if (what == "smessage") return take_message(topic_kind::shard, from);
    constexpr std::pair<std::string_view, topic_kind> confirmations[] = {
        {"subscribe"sv, topic_kind::channel},
        {"psubscribe"sv, topic_kind::pattern},
        {"ssubscribe"sv, topic_kind::shard},
    };
    constexpr std::pair<std::string_view, topic_kind> farewells[] = {
        {"unsubscribe"sv, topic_kind::channel},
        {"punsubscribe"sv, topic_kind::pattern},
        {"sunsubscribe"sv, topic_kind::shard},
    };
    for (const auto& [word, kind] : confirmations)
        if (what == word) return take_confirmation(kind, true, from);
    for (const auto& [word, kind] : farewells)
        if (what == word) return take_confirmation(kind, false, from);
}

void topic_table::take_confirmation(topic_kind kind, bool subscribed, const value& from) {
    if (!from[1].has_text()) return;  // null: there was nothing to unsubscribe from
    if (topic* const one = find(kind, from[1].text())) confirm(*one, subscribed);
}

void topic_table::take_message(topic_kind kind, const value& from) {
    const bool pattern = kind == topic_kind::pattern;
    if (from.size() != (pattern ? 4 : 3)) return;
    auto at = from.begin();
    const value wanted = *++at;
    const value channel = pattern ? *++at : wanted;
    const value payload = *++at;
    if (!wanted.has_text() || !channel.has_text() || !payload.has_text()) return;
    topic* const to = find(kind, wanted.text());
    if (!to || !to->heard() || to->members.empty()) return;
    deliver(*to, {.topic = kind,
                  .channel = channel.text(),
                  .pattern = pattern ? wanted.text() : std::string_view(),
                  .payload = payload.text()});
}

void topic_table::deliver(topic& to, const message::parts& what) noexcept {
    message one;
    try {
        one = message(what);
    } catch (const std::bad_alloc&) {  // below
    }
    to.members.for_each([&](listener::membership& each) {
        listener& who = each.who;
        if (!one) return who.miss();
        who.put(one);
        if (who.policy() != slow_policy::block || who.full_ || !who.full()) return;
        who.full_ = true;
        ++full_;
    });
}

}  // namespace ouro::redis
