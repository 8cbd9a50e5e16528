#include <ouro/net/session/lasting.hpp>

#include <ouro/net/session/thrown.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/timeout.hpp>

#include <exception>
#include <new>
#include <utility>

namespace ouro::net {
namespace {

std::error_code no_memory() noexcept { return make_error_code(std::errc::not_enough_memory); }

}  // namespace

lasting_connection::lasting_connection(const lasting_options& options)
    : options_(options), wait_(options.backoff) {}

// Beginning and end.

void lasting_connection::start(std::shared_ptr<void> self) {
    OURO_ASSERT(!runner_ && !over_.is_set() && "lasting_connection: started twice");
    runner_.emplace(spawn(run(std::move(self))));
}

void lasting_connection::close() noexcept {
    closing_ = true;
    if (runner_) runner_->cancel();
}

void lasting_connection::finish() noexcept {
    if (!serving_) return close();
    finishing_ = true;
    wind_down();
}

task<> lasting_connection::run(std::shared_ptr<void> self) {
    try {
        static_cast<void>(co_await as_result(live()));
    } catch (...) {  // whatever it was, those who wait are told
        if (!failure_.code) failure_.code = no_memory();
    }
    in_.reset();
    co_await shield(connection_.close());
    // Whoever waits for the first attempt may not have seen yet why it failed.
    if (!failure_.code) failure_.code = make_error_code(errc::closed);
    OURO_ASSERT(!connection_.is_open());
    finished(failure_.code);
    tried_.set();
    over_.set();
    runner_.reset();
    static_cast<void>(self);
}

/// Closed, or its task was asked to stop by whoever ends the whole run.
bool lasting_connection::is_ending() const noexcept {
    return closing_ || finishing_ || current_cancellation() != cancel_reason::none;
}

// The loop.

task<> lasting_connection::keep_connected() {
    while (!is_ending()) {
        OURO_ASSERT(!serving_ && "lasting_connection: one connection at a time");
        if (options_.guided) co_await told_.wait();
        set_out();
        std::error_code why = no_memory();
        try {
            const result<void> tried = co_await as_result(attempt());
            why = tried.error();
        } catch (const std::bad_alloc&) {  // there will be another attempt
        } catch (...) {
            why = make_error_code(std::errc::state_not_recoverable);
        }
        const bool called_off = moved_ || is_ending();
        bool lasted = false;
        if (!why && !called_off) {
            failure_ = {};
            ++connections_;
            serving_ = true;
            established();
            tried_.set();
            const time_point began = clock::now();
            why = no_memory();
            try {
                why = co_await serve_connection(connection_, *in_);
            } catch (const std::bad_alloc&) {  // it has not begun
            }
            serving_ = false;
            lasted = wait_.ended_after(clock::now() - began);
            lost(why);
        } else if (!called_off) {
            has_failed(why);
        }
        in_.reset();
        co_await shield(connection_.close());
        if (failure_.code) tried_.set();
        if (!options_.reconnect || is_ending()) co_return;
        // Who guides it knows what to do.
        if (options_.guided || moved_ || (lasted && options_.again_at_once)) continue;
        const result<void> moved = co_await as_result(timeout(wait_.next(), called_off_.wait()));
        if (moved.error() == errc::cancelled) co_return;
    }
}

/// What was said before concerns what came before.
void lasting_connection::set_out() noexcept {
    moved_ = false;
    told_.reset();
    called_off_.reset();
    said_ = {};
}

void lasting_connection::has_failed(std::error_code why) noexcept {
    OURO_ASSERT(why);
    why = cause_of(why);
    failure_ = {why, std::move(said_.words), is_refusal(why)};
    failed(failure_);
}

/// What TLS knows of the end of a stream, which can only say that it broke.
std::error_code lasting_connection::cause_of(std::error_code why) noexcept {
    const bool is_systems =
        why.category() == std::system_category() || why.category() == std::generic_category();
    if (!security_ || !is_systems) return why;
    const std::shared_ptr<const tls::failure> told = security_->why();
    if (!told) return why;
    try {
        return refuse(told->what, told->details());
    } catch (const std::bad_alloc&) {  // the code says enough
        return refuse(told->what, {});
    }
}

task<result<void>> lasting_connection::attempt() {
    auto limited = timeout(options_.connect_timeout, establish_or_fail());
    auto first = co_await any_of(limited, called_off_.wait());
    if (first.index() == 1) co_return make_error_code(errc::closed);
    co_return std::move(*first.get<0>());
}

/// As a result, so that the end of the time for it is told from a cancellation.
task<result<void>> lasting_connection::establish_or_fail() {
    std::error_code why = co_await establish();
    // A server may answer a resumed handshake behind its end, and take a whole one.
    const auto told = why && security_ ? security_->why() : nullptr;
    if (told && told->resuming) {
        said_ = {};
        why = co_await establish();
    }
    if (why) co_return why;
    co_return result<void>();
}

task<std::error_code> lasting_connection::establish() {
    const std::error_code why = co_await connect();
    if (why) co_return why;
    co_return co_await shake_hands();
}

task<std::error_code> lasting_connection::connect() {
    in_.reset();
    co_await shield(connection_.close());
    security_.reset();
    const connect_options how{.stream = options_.stream, .names = options_.names};
    for (bool again = false;; again = true) {
        try {
            connection_ = co_await dial(how);
            break;
        } catch (const tls::error& failure) {
            // Without the session that it was offered, the server may well take us.
            if (!failure.why().resuming || again)
                co_return refuse(failure.code(), failure.why().details());
        } catch (const std::system_error& failure) {
            co_return refuse(failure.code(), words_of(failure));
        }
    }
    in_.emplace(connection_, options_.reader);
    co_return std::error_code();
}

task<stream> lasting_connection::secure(task<stream> dialling, const tls::client_context* with,
                                        std::string host) {
    stream wire = co_await std::move(dialling);
    const tls::client_context& context = with ? *with : default_tls_context();
    tls::handshake_options how;
    how.time_limit = duration::max();  // the attempt has one
    tls::secured made = co_await tls_connect(std::move(wire), context, std::move(host), how);
    security_ = std::make_shared<const tls::session>(std::move(made.session));
    co_return std::move(made.stream);
}

std::error_code lasting_connection::refuse(std::error_code code, std::string_view words) noexcept {
    said_.code = code;
    try {
        said_.words = words;
    } catch (const std::bad_alloc&) {  // the code says enough
        said_.words.clear();
    }
    return code;
}

std::error_code lasting_connection::refuse_thrown(std::string_view whom) {
    const std::string words = std::string(whom) + ": ";
    const std::error_code no_code = make_error_code(std::errc::state_not_recoverable);
    try {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::system_error& failure) {
        return refuse(failure.code(), words + words_of(failure));
    } catch (const std::exception& failure) {
        return refuse(no_code, words + failure.what());
    } catch (...) {
        return refuse(no_code, words);
    }
}

// Moving.

void lasting_connection::move() noexcept {
    told_.set();
    leave_here();
}

void lasting_connection::hold() noexcept {
    OURO_ASSERT(options_.guided && "lasting_connection: held, and nobody would tell it to go on");
    told_.reset();
    leave_here();
}

void lasting_connection::leave_here() noexcept {
    moved_ = true;
    called_off_.set();
    drop(errc::closed);
}

}  // namespace ouro::net
