// The part of a session that says who we are: in the handshake, and later.

#include <ouro/kv/redis/connection/call.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace ouro::redis {

task<credentials> session::login() {
    if (options_.credentials) co_return co_await options_.credentials->login(options_.where);
    co_return credentials(options_.user, options_.password);
}

task<std::error_code> session::identify() {
    try {
        who_ = co_await login();
        note_validity(who_);
    } catch (...) {
        co_return refuse_thrown("credentials");
    }
    co_return std::error_code();
}

task<> session::reauthenticate() {
    const auto self = shared_from_this();
    if (!is_connected()) co_return;
    const std::uint64_t connection = connections();
    credentials now = co_await login();
    arg_list words;
    if (!now.user.empty()) words.add(now.user);
    words.add(now.password);
    call<void> asked(*this, verb::auth, words);
    const result<void> done = co_await as_result(asked);
    // A connection made meanwhile has asked for itself.
    const bool lost = !is_connected() || connection != connections();
    if (done && !lost) note_validity(now);
    if (done || (lost && done.error() != ouro::errc::cancelled)) co_return;
    throw error(done.error(), asked.how_far(), "AUTH", without_secret(asked.words(), now.password));
}

void session::note_validity(const credentials& who) noexcept {
    constexpr duration soonest = std::chrono::seconds(1);
    const bool ends = who.valid_for < duration::max();
    renew_at_ =
        ends ? after(clock::now(), std::max(who.valid_for / 5 * 4, soonest)) : time_point::max();
    renew_later_.set();
}

// Under RESP2 a connection with subscriptions takes no AUTH.
bool session::takes_auth() const noexcept { return protocol_ == 3 || options_.setup.empty(); }

task<> session::renew_login() {
    if (!options_.credentials) co_return;
    for (backoff wait(options_.backoff);;) {
        static_cast<void>(co_await as_result(with_deadline(renew_at_, renew_later_.wait())));
        if (current_cancellation() != cancel_reason::none) co_return;
        if (clock::now() < renew_at_) continue;
        renew_at_ = time_point::max();
        if (options_.abandon_closes)
            spoil();  // leased: whoever has it may be in the middle of something
        else if (!takes_auth() || co_await renew_login_once())
            wait.reset();
        else
            renew_at_ = after(clock::now(), wait.next());
    }
}

/// False when it failed, and may be tried again.
task<bool> session::renew_login_once() {
    std::string why;
    try {
        co_await reauthenticate();
        co_return true;
    } catch (const std::exception& failure) {
        why = failure.what();
    } catch (...) {
        why = "the source of credentials throws";
    }
    if (!log_enabled()) co_return false;
    log(log_level::warning, "redis at " + to_string(options_.where) + ": new login: " + why);
    co_return false;
}

}  // namespace ouro::redis
