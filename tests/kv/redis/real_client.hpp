// real_client.hpp: clients of a real server, and how their commands fail: for tests of the client.
#pragma once

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

namespace ouro::testing {

/// One server for all tests of a program that leave it as it was, but for the data.
inline redis_server& shared_redis() {
    static redis_server server;
    return server;
}

inline std::string url_of(const redis_server& server) { return "redis://" + server.address(); }

/// A client of the shared server, which holds no keys.
inline task<redis::client> fresh_client(redis::client_options options = {}) {
    redis::client db = co_await redis::client::connect(url_of(shared_redis()), options);
    co_await db.flushall();
    co_return db;
}

/// How something failed; a zero code when it did not.
struct failure {
    std::error_code code;
    std::string words;  // the server's
    net::fate how_far = net::fate::answered;

    explicit operator bool() const noexcept { return static_cast<bool>(code); }
    bool says(std::string_view begin) const { return words.starts_with(begin); }
};

/// Awaits and tells how it failed. The awaitable must live as long, as temporaries of the awaited
/// expression do.
template <class Awaitable>
task<failure> failure_of(Awaitable&& awaitable) {
    failure seen;
    try {
        static_cast<void>(co_await static_cast<Awaitable&&>(awaitable));
    } catch (const redis::error& error) {
        seen = failure{error.code(), std::string(error.words()), error.how_far()};
    } catch (const std::system_error& error) {
        seen.code = error.code();
    }
    co_return seen;
}

/// How reading a handle fails.
template <class T>
failure failure_in(const redis::handle<T>& of) {
    failure seen;
    try {
        static_cast<void>(of.get());
    } catch (const redis::error& error) {
        seen = failure{error.code(), std::string(error.words()), error.how_far()};
    } catch (const std::system_error& error) {
        seen.code = error.code();
    }
    return seen;
}

}  // namespace ouro::testing
