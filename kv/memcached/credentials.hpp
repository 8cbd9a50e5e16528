// credentials.hpp: who we are at a server, when that changes while the program runs.
#pragma once

#include <ouro/kv/memcached/server.hpp>
#include <ouro/runtime/task.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace ouro::memcached {

/// A user and a password.
struct credentials {
    credentials() {}  // no aggregate: g++ 12 gets those wrong inside awaited calls
    credentials(std::string user, std::string password)
        : user(std::move(user)), password(std::move(password)) {}

    std::string user;
    std::string password;  ///< with `user` empty, too: no authentication
};

/// Knows who we are now. Asked in every handshake; the login of the options does not count then.
/// memcached lets a connection be whom it was when it was made.
///
/// Named in options by a pointer: it stays until the client has been closed, `close()` awaited, or
/// until connecting has failed.
class credential_source {
public:
    virtual ~credential_source() = default;

    /// The present login at a server. What it throws is told to whoever waits for the connection,
    /// and the attempt to connect is made again later; it counts for connect_timeout. May be asked
    /// for several servers at once.
    virtual task<credentials> login(address where) = 0;
};

/// One that is a function: of nothing or of the server's address, returning credentials or a task
/// of them.
///
///     memcached::credentials_from tokens([&] { return memcached::credentials("app", token()); });
///     auto cache = co_await memcached::client::connect("cache1", {.credentials = &tokens});
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

}  // namespace ouro::memcached
