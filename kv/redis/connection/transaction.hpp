// transaction.hpp: commands that run together or not at all: MULTI … EXEC.
#pragma once

#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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
class transaction : public commands<transaction> {
public:
    explicit transaction(std::shared_ptr<client_core> on) noexcept;
    explicit transaction(session& on) noexcept;
    /// On a session with a watch: `watching` becomes false once EXEC has ended that.
    transaction(session& on, bool& watching) noexcept;
    transaction(transaction&&) = delete;
    ~transaction();

    template <class T>
    handle<T> run(verb what, std::span<const arg> arguments = {}) {
        return {batch_, add(redis::info(what), arguments)};
    }
    template <class T>
    handle<T> run(verb what, std::initializer_list<arg> arguments) {
        return run<T>(what, std::span(arguments.begin(), arguments.size()));
    }
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments) {
        return {batch_, add(redis::command(name, arguments))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments = {}) {
        return command<T>(name, arguments.args());
    }
    /// One that is in no table: see client.
    template <class T = reply>
    handle<T> command(std::string_view name, std::span<const arg> arguments,
                      const command_options& how) {
        return {batch_, add(redis::command(name, arguments, how))};
    }
    template <class T = reply>
    handle<T> command(std::string_view name, const words& arguments, const command_options& how) {
        return command<T>(name, arguments.args(), how);
    }

    /// Runs them. Throws redis::error: errc::conflict when a watched key was changed and nothing
    /// was done; errc::exec_aborted with the words of the command that was refused; the
    /// connection's failure, with how_far(); errc::no_permission for a user who may not MULTI,
    /// whose commands ran one by one. An empty one is done at once, and watched keys stay watched.
    task<> exec();

    /// Throws the error of the first command that failed, if one did: for those who do not look at
    /// each handle.
    void throw_if_failed() const { batch_.throw_first_error(); }

    std::size_t size() const noexcept { return batch_.size(); }
    bool empty() const noexcept { return batch_.empty(); }
    void clear() noexcept { batch_.clear(); }

private:
    std::size_t add(const redis::command_info& what, std::span<const arg> arguments);
    std::size_t add(const redis::command& what);

    batch batch_;
    std::shared_ptr<client_core> client_;
    session* session_ = nullptr;
    bool* watching_ = nullptr;
};

/// MULTI, the commands of a batch, EXEC: in one piece, on one session.
class [[nodiscard]] transaction_call final : public request {
public:
    /// `from` must not change until this has ended, and has at least one command.
    transaction_call(session& on, batch& from) noexcept;

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return !error_ && start(by.promise());
    }

    /// Throws as transaction::exec does.
    void await_resume() const;
    result<void> await_result() const noexcept {
        if (error_) return error_;
        return {};
    }
    /// What the server said when it refused: the words of the first command that it did not queue,
    /// or of EXEC.
    const std::string& words() const noexcept { return words_; }
    net::fate how_far() const noexcept { return how_far_; }
    /// Whether EXEC was answered, which ends every watch, whatever the answer.
    bool ended_watch() const noexcept { return ended_watch_; }

    void describe(leaf_description& into) const override;

private:
    bool encode(net::writer& out) override;
    bool take(const value& from) noexcept override;
    void take_queued(const value& from);
    void take_exec(const value& from);
    void failed(std::error_code why, net::fate how_far) noexcept override;

    batch& batch_;
    std::size_t next_ = 0;  // MULTI is 0
    std::error_code error_;
    std::string words_;
    net::fate how_far_ = net::fate::answered;
    bool ended_watch_ = false;
};

}  // namespace ouro::redis
