#include <ouro/kv/redis/connection/session.hpp>

#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/decode.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

namespace ouro::redis {
namespace {

using namespace std::string_view_literals;

constexpr const char* version_of_ouro = OURO_VERSION;

/// What trying again soon may mend. Everything else a server says to a handshake is final.
bool may_pass(std::error_code code) noexcept {
    if (net::is_tls_refusal(code)) return false;
    return code.category() != redis::category() || code == errc::loading || code == errc::busy ||
           code == errc::too_many_clients || code == errc::master_down ||
           code == errc::cluster_down || code == errc::try_again || code == errc::unhealthy;
}

/// Between two connections that are left because of READONLY. A replica may be meant.
constexpr backoff_options between_read_only = {.first = std::chrono::milliseconds(100),
                                               .ceiling = std::chrono::seconds(30)};

/// Another version of the protocol says nothing else about these.
bool is_about_login(std::error_code code) noexcept {
    return code == errc::no_auth || code == errc::wrong_password || code == errc::no_permission;
}

bool is_cut(std::error_code code) noexcept {
    return code == ouro::errc::end_of_stream || code == std::errc::connection_reset ||
           code == std::errc::broken_pipe;
}

/// What whoever asked gets in place of a reply that is not to be believed.
value too_large() noexcept {
    static constexpr std::string_view words =
        "REPLYTOOLARGE a line of the reply is longer than resp_limits::line_bytes_max";
    static constexpr node said = [] {
        node made;
        made.kind = type::error;
        made.text = {0, static_cast<std::uint32_t>(words.size())};
        return made;
    }();
    return {said, words.data()};
}

net::lasting_options lasting_options_of(const session_options& options) noexcept {
    net::lasting_options made;
    made.connect_timeout = options.connect_timeout;
    made.reconnect = options.reconnect;
    made.guided = options.guided;
    made.backoff = options.backoff;
    made.stream = options.stream;
    made.reader = {.first_bytes = 16 * 1024, .bytes_max = options.limits.reply_bytes_max + 64};
    made.names = options.names;
    return made;
}

}  // namespace

std::shared_ptr<session> session::open(session_options options, session_observer* observer) {
    auto made = std::make_shared<session>(std::move(options), observer);
    session* const raw = made.get();
    made->start(made);
    // The task keeps the session alive; those who use it keep it open.
    return {raw, [made = std::move(made)](session*) {
                made->tell_end();
                made->close();
            }};
}

session::session(session_options options, session_observer* observer)
    : net::session(options.requests),
      net::lasting_connection(lasting_options_of(options)),
      options_(std::move(options)),
      parser_(options_.limits) {
    if (observer) add_observer(*observer);
}

session::~session() { tell_end(); }

// Nobody observes any more: there will be no news.
void session::tell_end() noexcept {
    while (!observers_.empty()) observers_.pop_front().ended();
}

task<> session::ready() {
    const auto self = shared_from_this();
    co_await tried().wait();
    if (!failure().code) co_return;
    throw error(failure().code, net::fate::unsent, "redis " + to_string(options_.where),
                failure().words);
}

void session::remove_setup(const command& which) {
    std::vector<command> left;
    for (const command& each : options_.setup)
        if (!std::ranges::equal(each.bytes(), which.bytes())) left.push_back(each);
    options_.setup = std::move(left);
}

void session::move_to(address where) {
    options_.where = std::move(where);
    move();
}

void session::leave(std::error_code why) noexcept {
    hold();
    set_trouble(why);
}

void session::distrust() noexcept { give_up(errc::protocol_error); }

void session::close() noexcept {
    stop(ouro::errc::closed);
    net::lasting_connection::close();
}

task<> session::closed() {
    const auto self = shared_from_this();
    close();
    co_await over().wait();
}

// The life of a session.

task<> session::live() {
    std::optional<join_handle<void>> beside[2];
    std::exception_ptr failure;
    try {
        beside[0].emplace(spawn(ping_when_idle()));
        beside[1].emplace(spawn(renew_login()));
        static_cast<void>(co_await as_result(keep_connected()));
    } catch (...) {  // whatever it was, those two end first
        failure = std::current_exception();
    }
    for (auto& each : beside) {
        if (!each) continue;
        each->cancel();
        try {
            static_cast<void>(co_await as_result(shield(*each)));
        } catch (const std::bad_alloc&) {  // it had none for what it asks, and has ended
        }
    }
    if (failure) std::rethrow_exception(failure);
}

void session::established() noexcept {
    set_trouble({});
    tell([](session_observer& each) { each.connected(); });
}

void session::failed(const net::lasting_failure& why) noexcept {
    tell([&why](session_observer& each) { each.refused(why.code, why.words); });
    parser_.reset();
    in_trouble(why.code);
    // Garbage on a connection that had been good concerns those who had asked there, no others.
    if (why.refusal && !options_.guided) fail_queued(why.code);
}

void session::lost(std::error_code why) noexcept {
    tell([why](session_observer& each) { each.disconnected(why); });
    parser_.reset();
    in_trouble(why);
    // Of one that is not made again, who asks next hears of it.
    if (!options_.reconnect && why == std::errc::not_enough_memory) stop(why);
}

/// What those are told who wait for too long. Who guides it knows what to do.
void session::in_trouble(std::error_code why) noexcept {
    set_trouble(options_.guided ? make_error_code(errc::unhealthy) : why);
}

void session::finished(std::error_code why) noexcept {
    stop(why);
    tell_end();
}

bool session::is_refusal(std::error_code code) const noexcept { return !may_pass(code); }

task<net::stream> session::dial(net::connect_options how) {
    return reach(options_.where, how, options_.tls, options_.tls_name);
}

task<std::error_code> session::establish() {
    parser_.reset();
    const std::error_code refused = co_await identify();
    if (refused) co_return refused;
    co_return co_await net::lasting_connection::establish();
}

/// Behind the words of the refusal: what may help.
void session::add_advice(std::string_view words) noexcept {
    try {
        std::string all = said().words.empty() ? said().code.message() : said().words;
        said().words = (all += "; ") += words;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

// The handshake.

task<std::error_code> session::shake_hands() {
    std::error_code why = co_await greet(options_.protocol);
    if (may_do_without_hello(why)) why = co_await shake_hands_without_hello();
    if (why == errc::no_permission && hello_ == hello::refused)
        add_advice("with protocol = 2 HELLO is not sent");
    if (why && may_want_tls(why)) add_advice("a port for TLS does that, too: try rediss://");
    co_return why;
}

/// A server that speaks TLS answers what is clear with an alert, or with nothing, and closes.
bool session::may_want_tls(std::error_code why) noexcept {
    if (options_.tls.wanted() || connections() > 0) return false;
    return is_cut(why) || (why == errc::protocol_error && net::looks_like_tls(in().ready()));
}

// A server that has spoken RESP3 may close a connection, but that is not because of HELLO.
bool session::may_do_without_hello(std::error_code why) const noexcept {
    if (hello_ == hello::cut) return protocol_ != 3;
    return hello_ == hello::refused && !is_about_login(why) && !may_pass(why);
}

task<std::error_code> session::shake_hands_without_hello() {
    const bool was_cut = hello_ == hello::cut;
    const net::lasting_failure first = std::exchange(said(), {});
    // What came behind HELLO may have been done: a subscription would be in the way of AUTH.
    if (was_cut || !options_.setup.empty()) {
        parser_.reset();
        const std::error_code refused = co_await connect();
        if (refused) co_return refused;
    }
    const std::error_code why = co_await greet(2);
    if (!why) co_return why;
    if (!was_cut && is_cut(why)) co_return refuse(first.code, first.words);  // it was said before
    if (was_cut)
        add_advice("HELLO was answered by closing the connection, so this is without it");
    else
        add_advice("HELLO was answered with \"" + first.words + "\", so this is without it");
    co_return why;
}

namespace {

/// The commands of a handshake, in their order.
struct greeting {
    std::vector<command> all;
    std::size_t courtesies = 0;  // behind the first one: whatever is said to these does not count
};

void add_login(greeting& to, const credentials& who) {
    if (who.user.empty() && who.password.empty()) return;
    arg_list words;
    // Servers before 6.0 know no users, and take the password alone.
    if (!who.user.empty() && who.user != "default") words.add(who.user);
    words.add(who.password);
    to.all.emplace_back(verb::auth, words);
}

void add_hello(greeting& to, const session_options& options, const credentials& who, int version) {
    const std::string_view user = who.user.empty() ? "default"sv : who.user;
    arg_list hello;
    hello.add(version);
    if (!who.user.empty() || !who.password.empty()) hello.add("AUTH", user, who.password);
    if (!options.client_name.empty()) hello.add("SETNAME", options.client_name);
    to.all.emplace_back(verb::hello, hello);
    // Only behind HELLO: a proxy that is spoken to without it may close at what it does not know.
    if (!options.library_info) return;
    for (const auto& [what, text] :
         {std::pair("LIB-NAME", "ouro"), std::pair("LIB-VER", version_of_ouro)}) {
        arg_list info;
        info.add(what, text);
        to.all.emplace_back("CLIENT SETINFO", info);
        ++to.courtesies;
    }
}

greeting greeting_of(const session_options& options, const credentials& who, int version) {
    greeting made;
    if (version > 2) {
        add_hello(made, options, who, version);
    } else {
        add_login(made, who);
        if (!options.client_name.empty())
            made.all.emplace_back(verb::client_setname,
                                  std::initializer_list<arg>{options.client_name});
    }
    if (options.database != 0)
        made.all.emplace_back(verb::select, std::initializer_list<arg>{options.database});
    if (options.replica) made.all.emplace_back(verb::readonly, std::span<const arg>());
    if (!options.role.empty()) made.all.emplace_back(verb::role, std::span<const arg>());
    for (const command& more : options.setup) made.all.push_back(more);
    // An answer shows that this is a Redis server, and that it does not ask for a password.
    if (made.all.empty()) made.all.emplace_back(verb::ping, std::span<const arg>());
    return made;
}

/// Whether it is the answer to a part of the greeting. A push is none, except that a subscription
/// is confirmed by one that says so; others are news that nobody wants yet.
bool is_answer(const value& said, const command& asked) {
    if (said.kind() != type::push) return true;
    const verb what = asked.info().id;
    if (what != verb::subscribe && what != verb::psubscribe && what != verb::ssubscribe)
        return false;
    if (said.size() != 3 || !said[0].has_text() || !said[1].has_text()) return false;
    const std::string_view kind = said[0].text();
    const bool same = what == verb::subscribe    ? kind == "subscribe"sv
                      : what == verb::psubscribe ? kind == "psubscribe"sv
                                                 : kind == "ssubscribe"sv;
    return same && asked.words().at(1) == said[1].text();
}

}  // namespace

task<std::error_code> session::greet(int version) {
    const greeting said = greeting_of(options_, who_, version);
    std::vector<std::byte> bytes;
    for (const command& each : said.all)
        bytes.insert(bytes.end(), each.bytes().begin(), each.bytes().end());
    hello_ = hello::none;
    const result<void> sent = co_await as_result(connection().send_all(bytes));
    std::error_code why;
    for (std::size_t at = 0; at < said.all.size(); ++at) {
        const bool is_hello = version > 2 && at == 0;
        std::error_code broken = co_await read_reply();
        while (!broken && !is_answer(answer_, said.all[at])) broken = co_await read_reply();
        const bool was_cut = sent && is_cut(broken) && in().ready().empty();
        if (is_hello && was_cut) hello_ = hello::cut;
        // A server that has too many clients says so and closes: what it said is what counts, and
        // may have come though the sending has failed. So may a last alert of TLS.
        if (broken) co_return why ? why : refuse(sent ? broken : sent.error(), {});
        if (why || (at > 0 && at <= said.courtesies)) continue;
        why = check_greeting(said.all[at]);
        if (why && is_hello) hello_ = hello::refused;
    }
    if (!why) protocol_ = version;
    co_return why;
}

task<std::error_code> session::read_reply() {
    for (;;) {
        const result<std::size_t> used = parse(in().ready());
        if (!used) co_return used.error();
        if (*used > 0) {
            if (parser_.overlong()) co_return make_error_code(ouro::errc::limit_exceeded);
            answer_.assign(parser_.root());
            in().consume(*used);
            co_return std::error_code();
        }
        const result<std::size_t> got = co_await as_result(in().read_some());
        if (!got) co_return got.error();
        if (*got == 0) co_return make_error_code(ouro::errc::end_of_stream);
    }
}

std::error_code session::check_greeting(const command& asked) {
    const value said = answer_;
    if (said.is_error()) {  // whoever it is may say again what we have said
        const std::error_code why = refuse(
            code_of(said.text()), without_secret(without_arguments(said.text()), who_.password));
        if (asked.info().id == verb::auth && asked.size() > 2 &&
            said.text().find("wrong number of arguments") != std::string_view::npos)
            add_advice("this server knows no users: leave the user out");
        return why;
    }
    if (asked.info().id == verb::role && !options_.role.empty()) return check_role(said);
    if (asked.info().id != verb::hello) return {};
    static_cast<void>(for_each_pair(said, [this](const value& key, const value& about) {
        if (key.has_text() && key.text() == "id" && about.kind() == type::integer)
            id_ = about.integer();
        return std::error_code();
    }));
    return {};
}

std::error_code session::check_role(const value& said) {
    const bool known = !said.empty() && (*said.begin()).has_text();
    const std::string_view role = known ? (*said.begin()).text() : "unknown"sv;
    if (role == options_.role) return {};
    return refuse(errc::unhealthy, "its role is " + std::string(role));
}

// An idle connection that is dead is noticed before somebody needs it.
task<> session::ping_when_idle() {
    if (options_.idle_ping <= duration::zero()) co_return;
    for (std::uint64_t before = taken_;; before = taken_) {
        co_await sleep_for(options_.idle_ping);
        if (!connected() || taken_ != before || load() > 0 || is_paused()) continue;
        static_cast<void>(co_await as_result(call<void>(*this, verb::ping)));
    }
}

// Replies.

// What is wrong with one line concerns who asked for it, and nobody else here.
result<std::size_t> session::parse_on(std::error_code wrong, std::span<const std::byte> ready) {
    if (wrong == ouro::errc::limit_exceeded && parser_.go_on()) return parser_.parse(ready);
    return wrong;
}

result<std::size_t> session::take(std::span<const std::byte> ready) {
    std::size_t used = 0;
    while (used < ready.size() && !is_paused()) {
        const result<std::size_t> bytes = parse(ready.subspan(used));
        if (!bytes) return bytes;
        if (*bytes == 0) break;
        const value said = parser_.root();
        const bool believed = !parser_.overlong() || is_push(said);
        if (!deliver(believed ? said : too_large())) return make_error_code(errc::protocol_error);
        parser_.reset();  // now, since there may be no next one: a huge reply takes much memory
        used += *bytes;
    }
    return used;
}

/// False when it is a reply that nobody has asked for.
bool session::deliver(const value& from) noexcept {
    ++taken_;
    if (is_push(from)) {
        tell([&](session_observer& each) { each.pushed(from); });
        return true;
    }
    if (!expecting()) return false;
    if (from.is_error()) {
        tell([words = from.text()](session_observer& each) { each.error_seen(words); });
        if (code_of(from.text()) == errc::read_only) met_read_only();
    }
    request* const who = static_cast<request*>(next());
    if (!who || who->take(from)) took_reply();
    return true;
}

read_only_pace::read_only_pace() noexcept : wait_(between_read_only) {}

bool read_only_pace::counts() noexcept {
    const time_point now = clock::now();
    if (now < from_) return false;
    if (now - from_ > 2 * between_read_only.ceiling) wait_.reset();
    from_ = after(now, wait_.next());
    return true;
}

// The name, or what stands in front of the servers, may lead to another one by now, which is the
// master; and this connection would lead to the old one for ever.
void session::met_read_only() noexcept {
    if (!options_.reconnect) return spoil();
    const bool meant = options_.replica || options_.role == "slave"sv;
    if (meant || options_.guided) return;  // who guides it has heard it, too
    if (read_only_.counts()) retire(errc::read_only);
}

bool session::looks_like_push(const value& from) const noexcept {
    if (from.kind() != type::array || from.size() < 3) return false;
    const value first = *from.begin();
    constexpr std::array words = {"message"sv,     "pmessage"sv,     "smessage"sv,
                                  "subscribe"sv,   "psubscribe"sv,   "ssubscribe"sv,
                                  "unsubscribe"sv, "punsubscribe"sv, "sunsubscribe"sv};
    for (const std::string_view word : words)
        if (first.has_text() && first.text() == word) return true;
    return false;
}

void session::abandoned(const net::exchange&, std::size_t) noexcept {
    if (options_.abandon_closes) give_up(ouro::errc::closed);
}

}  // namespace ouro::redis
