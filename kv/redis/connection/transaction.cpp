#include <ouro/kv/redis/connection/transaction.hpp>

#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/runtime/as_result.hpp>

#include <string>
#include <utility>

namespace ouro::redis {

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
    if (watching_ && sent.replies().ended_watch()) *watching_ = false;
    sent.await_resume();
}

transaction_call::transaction_call(session& on, batch& from) : request(on, 2), replies_(from) {
    if (replies_.prepare()) set_replies(replies_.replies());
}

bool transaction_call::encode(net::writer& out) { return out.write(replies_.bytes()); }

bool transaction_call::take(const value& from) noexcept {
    replies_.take(from);
    return true;
}

void transaction_call::failed(std::error_code why, net::fate how_far) noexcept {
    replies_.fail(why, how_far);
}

void transaction_call::describe(leaf_description& into) const {
    into.text("redis transaction of " + std::to_string(replies_.size()) + " at " +
              to_string(static_cast<const session&>(on()).where()));
}

}  // namespace ouro::redis
