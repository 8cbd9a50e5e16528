#include <ouro/kv/memcached/connection/session.hpp>

#include <ouro/kv/memcached/error.hpp>
#include <ouro/net/connect.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <array>
#include <new>
#include <string_view>
#include <utility>

namespace ouro::memcached {
namespace {

/// The key that a handshake asks for.
constexpr std::string_view probe_key = "ouro:probe";

/// What trying again soon may mend. Everything else a server says to a handshake is final.
bool may_pass(std::error_code code) noexcept {
    return code.category() != memcached::category() || code == errc::too_many_connections ||
           code == errc::server_error || code == errc::out_of_memory;
}

net::reader_options reader_options_of(const wire_limits& limits) noexcept {
    return {.first_bytes = 16 * 1024,
            .bytes_max = 2 * (limits.value_bytes_max + limits.line_bytes_max)};
}

/// What it says beside its code's message, which `error` says again.
std::string words_of(const std::system_error& failure) {
    std::string words = failure.what();
    const std::string end = ": " + failure.code().message();
    if (words.ends_with(end)) words.resize(words.size() - end.size());
    return words;
}

/// A line for error messages of what somebody else than memcached says.
std::string_view first_words(std::string_view ready) noexcept {
    constexpr std::size_t shown_max = 80;
    const std::string_view line = ready.substr(0, ready.find_first_of("\r\n"));
    for (const char c : line)
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return "bytes that are no text";
    return line.substr(0, shown_max);
}

}  // namespace

std::shared_ptr<session> session::open(session_options options, session_observer* observer) {
    auto made = std::make_shared<session>(std::move(options), observer);
    session* const raw = made.get();
    made->runner_.emplace(spawn(run(made)));
    // The task keeps the session alive; those who use it keep it open.
    return {raw, [made = std::move(made)](session*) {
                made->observer_ = nullptr;
                made->close();
            }};
}

session::session(session_options options, session_observer* observer)
    : net::session(options.requests),
      options_(std::move(options)),
      observer_(observer),
      name_(to_string(options_.where)),
      wait_(options_.backoff) {}

task<> session::ready() {
    const auto self = shared_from_this();
    co_await tried_.wait();
    if (refusal_.code) throw error(refusal_.code, net::fate::unsent, name_, refusal_.words);
}

void session::close() noexcept {
    stop(ouro::errc::closed);
    if (runner_) runner_->cancel();
}

task<> session::closed() {
    const auto self = shared_from_this();
    close();
    co_await over_.wait();
}

// The life of a session.

task<> session::run(std::shared_ptr<session> self) {
    try {
        static_cast<void>(co_await as_result(self->keep_connected()));
    } catch (...) {  // whatever it was, those who wait are told
        self->refuse(make_error_code(std::errc::not_enough_memory), {});
    }
    self->stop(self->refusal_.code ? self->refusal_.code : make_error_code(ouro::errc::closed));
    if (!self->refusal_.code) self->refuse(ouro::errc::closed, {});
    self->tried_.set();
    self->over_.set();
    self->runner_.reset();
}

task<> session::keep_connected() {
    while (!stopped()) {
        refusal_ = {};
        result<void> tried = make_error_code(std::errc::not_enough_memory);
        try {
            tried = co_await as_result(timeout(options_.connect_timeout, establish()));
        } catch (const std::bad_alloc&) {  // there will be another attempt
        }
        std::error_code why = tried.error();
        bool lasted = false;
        if (why) {
            refuse(why, refusal_.words);
        } else {
            ++connections_;
            failures_ = 0;
            due_opaque_.reset();
            passing_ = 0;
            set_trouble({});
            tried_.set();
            if (std::exchange(is_down_, false) && observer_) observer_->came_back();
            const time_point began = clock::now();
            why = make_error_code(std::errc::not_enough_memory);
            try {
                why = co_await serve(connection_, *in_);
            } catch (const std::bad_alloc&) {  // it has not begun
            }
            lasted = wait_.ended_after(clock::now() - began);
        }
        in_.reset();
        co_await shield(connection_.close());
        set_trouble(why);
        // A server that closed an idle connection is no failure; the next attempt will tell.
        if (refusal_.code || why == ouro::errc::timed_out) failed_once_more(why);
        tried_.set();
        if (refusal_.code && !may_pass(why)) fail_queued(why);
        if (!lasted) co_await sleep_for(wait_.next());
    }
}

void session::failed_once_more(std::error_code why) {
    ++failures_;
    if (options_.failures_max == 0 || failures_ < options_.failures_max || is_down_) return;
    is_down_ = true;
    if (observer_) observer_->went_down();
    fail_queued(why);
}

std::error_code session::refuse(std::error_code code, std::string_view words) noexcept {
    refusal_.code = code;
    try {
        refusal_.words = without_secret(std::string(words), who_.password);
    } catch (const std::bad_alloc&) {  // the code says enough
        refusal_.words.clear();
    }
    return code;
}

// The handshake.

task<result<void>> session::establish() {
    std::error_code why = co_await identify();
    if (why) co_return why;
    why = co_await connect();
    if (why) co_return why;
    in_.emplace(connection_, reader_options_of(options_.limits));
    why = co_await authenticate();
    if (why) co_return why;
    why = co_await probe();
    co_return why;
}

task<std::error_code> session::connect() {
    const net::connect_options how{.stream = options_.stream, .names = options_.names};
    try {
        if (options_.where.path.empty())
            connection_ = co_await net::connect(options_.where.host, options_.where.port, how);
        else
            connection_ = co_await net::connect("unix:" + options_.where.path, how);
    } catch (const std::system_error& failure) {
        co_return refuse(failure.code(), words_of(failure));
    }
    co_return std::error_code();
}

task<credentials> session::login() {
    if (options_.credentials) co_return co_await options_.credentials->login(options_.where);
    co_return credentials(options_.user, options_.password);
}

task<std::error_code> session::identify() {
    std::error_code code;
    std::string words = "credentials: ";
    try {
        who_ = co_await login();
        co_return std::error_code();
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::system_error& failure) {
        code = failure.code();
        words += words_of(failure);
    } catch (const std::exception& failure) {
        code = make_error_code(std::errc::state_not_recoverable);
        words += failure.what();
    } catch (...) {
        code = make_error_code(std::errc::state_not_recoverable);
    }
    co_return refuse(code, words);
}

task<std::error_code> session::authenticate() {
    if (who_.user.empty() && who_.password.empty()) co_return std::error_code();
    const std::string secret = spoken().credentials(who_.user, who_.password);
    const request login{.what = verb::authenticate, .value = secret};
    const std::error_code why = co_await ask(login);
    if (why) co_return why;
    if (answer_.what != status::ok) co_return refuse(errc::not_authenticated, answer_.words);
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
    const result<void> sent = co_await as_result(connection_.send_all(bytes));
    // A server that has too many connections says so and closes: what it said is what counts.
    const std::error_code unread = co_await read_reply();
    if (unread) co_return sent ? unread : refuse(sent.error(), {});
    if (answer_.is_error()) co_return refuse(answer_.code, answer_.words);
    co_return std::error_code();
}

task<std::error_code> session::read_reply() {
    for (;;) {
        const result<std::size_t> used = spoken().parse(in_->ready(), answer_, options_.limits);
        if (!used) co_return refuse(used.error(), first_words(in_->ready_text()));
        if (*used > 0) {
            in_->consume(*used);  // what was consumed stays where it is until the next receive
            co_return std::error_code();
        }
        const result<std::size_t> got = co_await as_result(in_->read_some());
        if (!got) co_return refuse(got.error(), {});
        if (*got == 0) co_return refuse(ouro::errc::end_of_stream, {});
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
