#include <ouro/kv/redis/connection/transaction.hpp>

#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>

#include <new>
#include <utility>

namespace ouro::redis {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec_ = "*1\r\n$4\r\nEXEC\r\n";

}  // namespace

transaction::transaction(std::shared_ptr<client_core> on) noexcept : client_(std::move(on)) {}
transaction::transaction(session& on) noexcept : session_(&on) {}
transaction::transaction(session& on, bool& watching) noexcept
    : session_(&on), watching_(&watching) {}
transaction::~transaction() = default;

std::size_t transaction::add(const redis::command_info& what, std::span<const arg> arguments) {
    if (!is_plain(what)) return add(redis::command(what, arguments));
    return batch_.add(what, arguments);
}

std::size_t transaction::add(const redis::command& what) {
    const obstacle found = client_ ? obstacle_of(what) : obstacle::none;
    if (found != obstacle::none && found != obstacle::blocks) throw refusal_of(what.name(), found);
    if (session_ && changes_connection(what)) session_->spoil();
    return batch_.add(what);
}

task<> transaction::exec() {
    batch_.forget_replies();
    if (batch_.empty()) co_return;
    session& on = session_ ? *session_ : client_->shared();
    transaction_call sent(on, batch_);
    static_cast<void>(co_await as_result(sent));
    if (watching_ && sent.ended_watch()) *watching_ = false;
    sent.await_resume();
}

transaction_call::transaction_call(session& on, batch& from) noexcept
    : request(on, 2), batch_(from) {
    OURO_ASSERT(!from.empty());
    for (std::size_t index = 0; index < from.size(); ++index) {
        if (!from.has_outcome(index)) continue;
        error_ = from.error_of(index);  // too large: a transaction without it would be another one
        how_far_ = net::fate::unsent;
    }
    set_replies(static_cast<std::uint32_t>(2 + from.size()));
}

bool transaction_call::encode(net::writer& out) {
    return out.write(multi) && out.write(batch_.bytes()) && out.write(exec_);
}

bool transaction_call::take(const value& from) noexcept {
    const std::size_t index = next_++;
    try {
        if (index <= batch_.size())
            take_queued(from);
        else
            take_exec(from);
    } catch (const std::bad_alloc&) {
        if (!error_) error_ = make_error_code(std::errc::not_enough_memory);
    }
    return true;
}

// "OK" and "QUEUED", or why not: then EXEC will refuse, and say less.
void transaction_call::take_queued(const value& from) {
    if (!from.is_error()) return;
    if (next_ > 1) batch_.set_reply(next_ - 2, from);
    if (words_.empty()) words_ = from.text();
}

void transaction_call::take_exec(const value& from) {
    ended_watch_ = true;
    if (from.is_error()) {
        error_ = code_of(from.text());
        ended_watch_ = error_ == errc::exec_aborted;
        if (!ended_watch_ && !words_.empty()) error_ = code_of(words_);  // MULTI itself was refused
        if (words_.empty()) words_ = from.text();
    } else if (from.is_null()) {
        error_ = errc::conflict;
    } else if (!from.is_aggregate() || from.size() != batch_.size()) {
        error_ = errc::unexpected_reply;
    } else {
        std::size_t index = 0;
        for (const value& each : from) batch_.set_reply(index++, each);
    }
    if (error_) batch_.fail_rest(error_, net::fate::answered);
}

void transaction_call::failed(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
    batch_.fail_rest(why, how_far);
}

void transaction_call::await_resume() const {
    if (error_) throw error(error_, how_far_, "EXEC", words_);
}

void transaction_call::describe(leaf_description& into) const {
    into.text("redis transaction of " + std::to_string(batch_.size()) + " at " +
              to_string(static_cast<const session&>(on()).where()));
}

}  // namespace ouro::redis
