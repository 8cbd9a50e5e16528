// call.hpp: one command on its way: sent when awaited, and resumed with its reply as a `T`.
#pragma once

#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/decode.hpp>

#include <exception>
#include <initializer_list>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ouro::redis {

/// Says that the session of a call is shared with others: what must not go there is refused.
struct among_others {};

/// What does not depend on the type of the reply.
class call_base : public request {
public:
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return begin() && start(by.promise());
    }

    /// Waits as long as the server does, not only for the session's request timeout.
    using request::be_patient;

    const command& what() const noexcept { return command_; }
    /// How far it came, when it failed.
    net::fate how_far() const noexcept { return how_far_; }
    /// What the server said, when it answered with an error.
    const std::string& words() const noexcept { return words_; }

    void describe(leaf_description& into) const override;

protected:
    template <class... How>
    explicit call_base(session& on, How&&... how)
        : request(on, 1), command_(std::forward<How>(how)...) {
        if (command_.info().is(command_flag::read_only) || on.options().repeat_writes)
            repeat(on.options().repeats);
    }
    ~call_base() = default;

    /// Ends with errc::not_shareable if it must not go where others ask, too.
    void be_considerate() noexcept { obstacle_ = obstacle_of(command_); }

    /// Reads a reply that is no error.
    virtual std::error_code read(const value& from) = 0;

    /// Throws what reading the reply has thrown, if it did.
    std::error_code error_code() {
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
        return error_;
    }
    void throw_if_failed() {
        if (error_code()) throw_failure();
    }

private:
    bool begin() noexcept;
    bool encode(net::writer& out) final { return out.write(command_.bytes()); }
    bool take(const value& from) noexcept final;
    void failed(std::error_code why, net::fate how_far) noexcept final;
    [[noreturn]] void throw_failure() const;

    command command_;
    std::error_code error_;
    std::exception_ptr thrown_;  // by a decoder
    std::string words_;
    net::fate how_far_ = net::fate::unsent;
    obstacle obstacle_ = obstacle::none;
};

/// A command that is sent when it is awaited; see session for when it leaves and what may go wrong.
///
/// It owns the encoded command, so arguments need not outlive the expression that made it; it
/// allocates only for commands of more than 104 bytes, from the thread's pool up to 4 KiB, and for
/// what `T` needs: a std::string once for a value of more than 15 bytes, a short_text never. Throws
/// redis::error; `as_result` gives the code alone. What a decoder of yours throws comes out of the
/// await. Cancelling it takes back what was not sent, and else lets its reply pass by. The door it
/// came from must live until then.
template <class T>
class [[nodiscard]] call final : public call_base {
public:
    explicit call(session& on, verb what, std::span<const arg> arguments = {})
        : call_base(on, what, arguments) {}
    call(session& on, verb what, std::initializer_list<arg> arguments)
        : call_base(on, what, arguments) {}
    call(session& on, command what) : call_base(on, std::move(what)) {}
    template <class... How>
    call(among_others, session& on, How&&... how) : call_base(on, std::forward<How>(how)...) {
        be_considerate();
    }

    T await_resume() {
        throw_if_failed();
        return std::move(value_);
    }
    result<T> await_result() {
        if (const std::error_code failed = error_code()) return failed;
        return std::move(value_);
    }

private:
    std::error_code read(const value& from) override { return decode(from, value_); }

    T value_ = blank<T>::make();
};

template <>
class [[nodiscard]] call<void> final : public call_base {
public:
    explicit call(session& on, verb what, std::span<const arg> arguments = {})
        : call_base(on, what, arguments) {}
    call(session& on, verb what, std::initializer_list<arg> arguments)
        : call_base(on, what, arguments) {}
    call(session& on, command what) : call_base(on, std::move(what)) {}
    template <class... How>
    call(among_others, session& on, How&&... how) : call_base(on, std::forward<How>(how)...) {
        be_considerate();
    }

    void await_resume() { throw_if_failed(); }
    result<void> await_result() {
        if (const std::error_code failed = error_code()) return failed;
        return {};
    }

private:
    std::error_code read(const value&) override { return {}; }
};

}  // namespace ouro::redis
