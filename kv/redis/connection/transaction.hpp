// transaction.hpp: commands that run together or not at all: MULTI … EXEC.
#pragma once

#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/kv/redis/connection/multi_exec.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace ouro::redis {

class client_core;

/// Collects commands and has the server run them without anybody else's in between:
///
///     auto tx = db.transaction();
///     tx.decrby("from", 5);
///     auto now = tx.incrby("to", 5);
///     co_await tx.exec();
///     use(now.get());
///
/// MULTI, the commands and EXEC go out in one piece on the shared connection. Redis has no
/// rollback: a command that fails when it runs (WRONGTYPE) says so in its handle, the others have
/// run. One that is refused when it is queued (unknown, wrong number of arguments, out of memory)
/// makes EXEC do nothing: errc::exec_aborted. What must not go on a shared connection (see
/// obstacle) is refused with errc::not_shareable there; blocking ones do not block in here. Stays
/// where it is, and must live as long as its handles.
class transaction : public batch_door<transaction> {
public:
    explicit transaction(std::shared_ptr<client_core> on) noexcept;
    explicit transaction(session& on) noexcept;
    /// On a session with a watch: `watching` becomes false once EXEC has ended that.
    transaction(session& on, bool& watching) noexcept;
    transaction(transaction&&) = delete;
    ~transaction();

    /// Runs them. Throws redis::error: errc::conflict when a watched key was changed and nothing
    /// was done; errc::exec_aborted with the words of the command that was refused; the
    /// connection's failure, with how_far(); errc::no_permission for a user who may not MULTI,
    /// whose commands ran one by one. An empty one is done at once, and watched keys stay watched.
    task<> exec();

    /// Throws the error of the first command that failed, if one did: for those who do not look at
    /// each handle.
    void throw_if_failed() const { batch_.throw_first_error(); }

private:
    friend batch_door;

    std::size_t add(const redis::command_info& what, std::span<const arg> arguments);
    std::size_t add(const redis::command& what);

    std::shared_ptr<client_core> client_;
    session* session_ = nullptr;
    bool* watching_ = nullptr;
};

/// MULTI, the commands of a batch, EXEC: in one piece, on one session.
class [[nodiscard, gnu::warn_unused]] transaction_call final : public request {
public:
    /// `from` must not change until this has ended, and has at least one command.
    transaction_call(session& on, batch& from);

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        if (!replies_.error()) return start(by.promise());
        note_awaited(by.promise());  // and refused
        return false;
    }

    /// Throws as transaction::exec does.
    void await_resume() const { replies_.throw_if_failed(); }
    result<void> await_result() const noexcept {
        if (replies_.error()) return replies_.error();
        return {};
    }
    const multi_exec& replies() const noexcept { return replies_; }

    void describe(leaf_description& into) const override;

private:
    bool encode(net::writer& out) override;
    bool take(const value& from) noexcept override;
    void failed(std::error_code why, net::fate how_far) noexcept override;

    multi_exec replies_;
};

}  // namespace ouro::redis
