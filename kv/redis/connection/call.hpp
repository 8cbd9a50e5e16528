// call.hpp: one command on its way: sent when awaited, and resumed with its reply as a `T`.
#pragma once

#include <ouro/kv/redis/connection/obstacle.hpp>
#include <ouro/kv/redis/connection/reading.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/wire/command.hpp>

#include <exception>
#include <initializer_list>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ouro::redis {

/// Says that the session of a call is shared with others: what must not go there is refused.
struct among_others {};

/// The part of a call that does not depend on the type of the reply.
class call_base : public request {
public:
    template <class... How>
    explicit call_base(session& on, How&&... how)
        : request(on, 1), command_(std::forward<How>(how)...) {
        if (command_.info().is(command_flag::read_only) || on.options().repeat_writes)
            repeat(on.options().repeats);
    }
    call_base(session& on, verb what) : call_base(on, what, std::span<const arg>()) {}
    call_base(session& on, verb what, std::initializer_list<arg> arguments)
        : call_base(on, what, std::span(arguments.begin(), arguments.size())) {}
    /// On a session that is shared: ends with errc::not_shareable if it must not go where others
    /// ask, too.
    template <class... How>
    call_base(among_others, session& on, How&&... how) : call_base(on, std::forward<How>(how)...) {
        obstacle_ = obstacle_of(command_);
    }

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        if (begin()) return start(by.promise());
        note_awaited(by.promise());  // and refused
        return false;
    }

    /// Waits as long as the server does, not only for the session's request timeout.
    using request::be_patient;

    const command& what() const noexcept { return command_; }
    /// How far it came, when it failed.
    net::fate how_far() const noexcept { return how_far_; }
    /// The server's words, when it answered with an error.
    const std::string& words() const noexcept { return words_; }

    void describe(leaf_description& into) const override;

protected:
    ~call_base() { assert_awaited("redis call"); }

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
    /// False when it must not be sent, and why is known.
    bool begin() noexcept {
        const bool is_new = !error_ && !thrown_;
        const bool may_go = !command_.too_large() && obstacle_ == obstacle::none;
        return (is_new && may_go) || begin_anew();
    }
    bool begin_anew() noexcept;
    bool encode(net::writer& out) final { return write(out, command_); }
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
/// what `T` needs: a std::string once for a value of more than 15 bytes, a short_text never. That
/// copy of the arguments is the last one for a command of 16 KiB or more. Throws
/// redis::error; `as_result` gives the code alone. What a decoder of yours throws comes out of the
/// await. Cancelling it takes back what was not sent, and else lets its reply pass by. The door it
/// came from must live until then.
template <class T>
using call = reading<call_base, T>;

}  // namespace ouro::redis
