// credentials.hpp: who we are at a server, when that changes while the program runs.
#pragma once

#include <ouro/kv/redis/url.hpp>
#include <ouro/runtime/duration.hpp>
#include <ouro/runtime/task.hpp>

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

namespace ouro::redis {

/// A user and a password, or a token in its place.
struct credentials {
    credentials() {}  // no aggregate: g++ 12 gets those wrong inside awaited calls
    credentials(std::string user, std::string password, duration valid_for = duration::max())
        : user(std::move(user)), password(std::move(password)), valid_for(valid_for) {}

    std::string user;      ///< empty: the default user
    std::string password;  ///< when this is empty, too: no AUTH
    /// How long they hold from now on. When four fifths of it are over, but not within a second,
    /// each connection asks again and says AUTH between the requests of others; one that is leased
    /// is closed when it comes back. duration::max(): for ever, as far as is known.
    duration valid_for = duration::max();
};

/// Knows who we are now. Asked in every handshake, by reauthenticate(), and before what it has said
/// ends (`valid_for`); the login of the URL or of the options does not count then.
///
/// Named in options by a pointer: it stays until the client has been closed, `close()` awaited, or
/// until connecting has failed.
class credential_source {
public:
    virtual ~credential_source() = default;

    /// The present login at a server. What it throws is told to whoever waits for the connection,
    /// and the attempt to connect is made again later; it counts for connect_timeout. May be asked
    /// by several connections at once.
    virtual task<credentials> login(address where) = 0;
};

/// One that is a function: of nothing or of the server's address, returning credentials or a task
/// of them.
///
///     redis::credentials_from tokens([&] { return redis::credentials("app", present_token()); });
///     auto db = co_await redis::client::connect(url, {.credentials = &tokens});
template <class Ask>
class credentials_from final : public credential_source {
public:
    explicit credentials_from(Ask ask) : ask_(std::move(ask)) {}

    task<credentials> login(address where) override {
        if constexpr (std::is_invocable_v<Ask&, const address&>)
            return as_task(ask_(where));
        else
            return as_task(ask_());
    }

private:
    static task<credentials> as_task(task<credentials> said) { return said; }
    static task<credentials> as_task(credentials said) { co_return said; }

    Ask ask_;
};

}  // namespace ouro::redis
