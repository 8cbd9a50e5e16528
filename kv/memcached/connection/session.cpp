#include <ouro/kv/memcached/connection/session.hpp>

#include <ouro/kv/memcached/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/check.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

namespace ouro::memcached {
namespace {

/// The key that a handshake asks for.
constexpr std::string_view probe_key = "ouro:probe";

/// What trying again soon may mend. Everything else a server says to a handshake is final.
bool may_pass(std::error_code code) noexcept {
    if (net::is_tls_refusal(code)) return false;
    return code.category() != memcached::category() || code == errc::too_many_connections ||
           code == errc::server_error || code == errc::out_of_memory;
}

net::lasting_options lasting_options_of(const session_options& options) noexcept {
    const wire_limits& limits = options.limits;
    net::lasting_options made;
    made.connect_timeout = options.connect_timeout;
    made.again_at_once = true;
    made.backoff = options.backoff;
    made.stream = options.stream;
    made.reader = {.first_bytes = 16 * 1024,
                   .bytes_max = 2 * (limits.value_bytes_max + limits.line_bytes_max)};
    made.names = options.names;
    return made;
}

constexpr std::string_view may_want_tls = "a port for TLS does that: try client_options::tls";

/// A line for error messages of what somebody else than memcached says.
std::string_view first_words(std::string_view ready) noexcept {
    constexpr std::size_t shown_max = 80;
    if (net::looks_like_tls(std::as_bytes(std::span(ready)))) return may_want_tls;
    const std::string_view line = ready.substr(0, ready.find_first_of("\r\n"));
    for (const char c : line)
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return "bytes that are no text";
    return line.substr(0, shown_max);
}

}  // namespace

std::shared_ptr<session> session::open(session_options options, session_observer* observer) {
    auto made = std::make_shared<session>(std::move(options), observer);
    session* const raw = made.get();
    made->start(made);
    // The task keeps the session alive; those who use it keep it open.
    return {raw, [made = std::move(made)](session*) {
                made->observer_ = nullptr;
                made->close();
            }};
}

session::session(session_options options, session_observer* observer)
    : net::session(options.requests),
      net::lasting_connection(lasting_options_of(options)),
      options_(std::move(options)),
      observer_(observer),
      name_(to_string(options_.where)) {}

task<> session::ready() {
    const auto self = shared_from_this();
    co_await tried().wait();
    if (failure().code) throw error(failure().code, net::fate::unsent, name_, failure().words);
}

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

void session::established() noexcept {
    failures_ = 0;
    due_opaque_.reset();
    passing_ = 0;
    set_trouble({});
    if (std::exchange(is_down_, false) && observer_) observer_->came_back();
}

void session::failed(const net::lasting_failure& why) noexcept {
    set_trouble(why.code);
    failed_once_more(why.code);
    if (why.refusal) fail_queued(why.code);
}

// A server that closed an idle connection is no failure; the next attempt will tell.
void session::lost(std::error_code why) noexcept {
    set_trouble(why);
    if (why == ouro::errc::timed_out) failed_once_more(why);
}

void session::failed_once_more(std::error_code why) noexcept {
    ++failures_;
    if (options_.failures_max == 0 || failures_ < options_.failures_max || is_down_) return;
    is_down_ = true;
    if (observer_) observer_->went_down();
    fail_queued(why);
}

bool session::is_refusal(std::error_code code) const noexcept { return !may_pass(code); }

task<net::stream> session::dial(net::connect_options how) {
    return reach(options_.where, how, options_.tls, options_.tls_name);
}

// The handshake.

task<std::error_code> session::establish() {
    const std::error_code refused = co_await identify();
    if (refused) co_return refused;
    co_return co_await net::lasting_connection::establish();
}

task<std::error_code> session::shake_hands() {
    const std::error_code why = co_await authenticate();
    if (why) co_return why;
    co_return co_await probe();
}

/// Whoever it is may say again what we have said.
std::error_code session::turned_down(std::error_code code, std::string_view words) {
    return refuse(code, without_secret(std::string(words), who_.password));
}

/// The end instead of an answer: so does a server that speaks TLS take what is clear.
std::error_code session::broken(std::error_code code) {
    const bool first = !options_.tls.wanted() && connections() == 0;
    const bool ended = code == ouro::errc::end_of_stream || code == std::errc::connection_reset;
    return refuse(code, first && ended ? may_want_tls : std::string_view());
}

task<credentials> session::login() {
    if (options_.credentials) co_return co_await options_.credentials->login(options_.where);
    co_return credentials(options_.user, options_.password);
}

task<std::error_code> session::identify() {
    try {
        who_ = co_await login();
    } catch (...) {
        co_return refuse_thrown("credentials");
    }
    co_return std::error_code();
}

task<std::error_code> session::authenticate() {
    if (who_.user.empty() && who_.password.empty()) co_return std::error_code();
    const std::string secret = spoken().credentials(who_.user, who_.password);
    const request login{.what = verb::authenticate, .value = secret};
    const std::error_code why = co_await ask(login);
    if (why) co_return why;
    if (answer_.what != status::ok) co_return turned_down(errc::not_authenticated, answer_.words);
    co_return std::error_code();
}

// Any reply shows that there is a memcached, that it wants no password or took ours, and that it
// speaks the dialect. Meta servers before 1.6.10 do not give the opaque back on a miss.
task<std::error_code> session::probe() {
    request what{.what = verb::version};
    if (options_.dialect == dialect::meta)
        what = {.what = verb::get, .key = probe_key, .opaque = 0, .wants_value = false};
    const std::error_code why = co_await ask(what);
    if (why) co_return why;
    if (spoken().has_opaque && !answer_.has_opaque)
        co_return refuse(errc::unsupported, "replies without opaque: use dialect::text");
    co_return std::error_code();
}

task<std::error_code> session::ask(request what) {
    std::array<char, head_bytes_max> head;
    std::string bytes(head.data(), spoken().encode_head(what, head));
    bytes += what.value;
    if (!what.value.empty()) bytes += spoken().behind_value;
    const result<void> sent = co_await as_result(connection().send_all(bytes));
    // A server that has too many connections says so and closes: what it said is what counts.
    const std::error_code unread = co_await read_reply();
    if (unread) co_return sent ? unread : broken(sent.error());
    if (answer_.is_error()) co_return turned_down(answer_.code, answer_.words);
    co_return std::error_code();
}

task<std::error_code> session::read_reply() {
    for (;;) {
        const result<std::size_t> used = spoken().parse(in().ready(), answer_, options_.limits);
        if (!used) co_return turned_down(used.error(), first_words(in().ready_text()));
        if (*used > 0) {
            in().consume(*used);  // what was consumed stays where it is until the next receive
            co_return std::error_code();
        }
        const result<std::size_t> got = co_await as_result(in().read_some());
        if (!got) co_return broken(got.error());
        if (*got == 0) co_return broken(ouro::errc::end_of_stream);
    }
}

// Replies.

result<std::size_t> session::take(std::span<const std::byte> ready) {
    const grammar& language = spoken();
    std::size_t used = pass_over(ready.size());
    reply from;
    while (used < ready.size()) {
        const auto bytes = language.parse(ready.subspan(used), from, options_.limits);
        if (bytes && *bytes == 0) break;
        const bool too_large = bytes.error() == errc::value_too_large;
        if (!bytes && !too_large) return bytes.error();
        const bool last = is_last(from);
        if (too_large) refuse_value(from);
        if (const std::error_code wrong = deliver(from, last)) return wrong;
        if (!too_large) used += *bytes;
        used += pass_over(ready.size() - used);
    }
    return used;
}

// One value that is too large is its caller's misfortune and not the connection's.
void session::refuse_value(reply& from) noexcept {
    OURO_ASSERT(passing_ == 0 && from.bytes_wanted > 0);
    passing_ = from.bytes_wanted;
    from.what = status::server_error;
    from.code = errc::value_too_large;
    from.words = {};
}

std::size_t session::pass_over(std::size_t at_most) noexcept {
    const std::size_t n = std::min(passing_, at_most);
    passing_ -= n;
    return n;
}

bool session::is_last(const reply& from) const noexcept {
    return from.what != status::stat &&
           (from.what != status::value || !spoken().values_have_an_end);
}

std::error_code session::deliver(const reply& from, bool last) {
    // Said instead of an answer, before the connection is closed.
    if (from.what == status::error && from.code == errc::too_many_connections) return from.code;
    if (!expecting()) return errc::bad_reply;
    if (from.has_opaque) {
        // Requests leave in the order of their opaques: one that is not newer belongs to the past,
        // and one that was not given out to nobody. A slot whose caller has gone knows no more.
        const std::uint32_t due = due_opaque_.value_or(from.opaque);
        const bool is_old = static_cast<std::int32_t>(from.opaque - due) < 0;
        const bool is_unknown = static_cast<std::int32_t>(next_opaque_ - from.opaque) <= 0;
        if (is_old || is_unknown) return errc::wrong_opaque;
        due_opaque_ = from.opaque + (last ? 1 : 0);
    }
    auto* const who = static_cast<pending_request*>(next());
    if (who == nullptr) return drop(from, last);
    const bool doubtful = from.what == status::client_error && who->carries_a_value();
    if (const std::error_code wrong = who->take(from, last)) return wrong;
    if (last) took_reply();
    return doubtful ? make_error_code(errc::framing_in_doubt) : std::error_code();
}

std::error_code session::drop(const reply& from, bool last) {
    if (last) took_reply();
    // Nobody remembers what was asked; it may have carried a value.
    return from.what == status::client_error ? make_error_code(errc::framing_in_doubt)
                                             : std::error_code();
}

}  // namespace ouro::memcached
