// session_cache.hpp: the sessions that a client may resume.
#pragma once

#include <ouro/net/tls/openssl.hpp>

#include <cstddef>
#include <ctime>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ouro::net::tls {

/// The newest session of each server, up to a number of servers; the one that was least recently
/// given is forgotten first. A TLS 1.3 session is taken once, so that nobody who watches can tell
/// that two connections are one client's. A server that could not stand one has none kept for a
/// while. Whoever uses it has a lock.
class session_cache {
public:
    /// How long, in seconds, a server is not asked to resume one again.
    static constexpr std::time_t refusal_lasts = 600;

    /// Nothing is kept while the limit is zero.
    void set_limit(std::size_t sessions_max) noexcept { limit_ = sessions_max; }

    /// Keeps it, if it can be resumed. Throws std::bad_alloc, and then nothing has changed.
    void put(std::string_view key, held<ssl_session_st> session);
    /// A session that has not expired, or null.
    held<ssl_session_st> take(const std::string& key);
    /// Forgets the one that it has, if any, and keeps none until `refusal_lasts` after `now`.
    void refuse(std::string_view key, std::time_t now = std::time(nullptr)) noexcept;

    /// Sessions, without the servers that have refused one.
    std::size_t size() const noexcept;

private:
    struct entry {
        std::string key;
        held<ssl_session_st> session;  // null: the server has refused one
        std::time_t refused = 0;       // when
    };
    using place = std::list<entry>::iterator;

    entry& renew(std::string_view key);
    bool is_refused(const entry& of) const noexcept;

    std::size_t limit_ = 0;
    std::list<entry> by_age_;                             // the newest first
    std::unordered_map<std::string_view, place> by_key_;  // of the entries' own keys
};

}  // namespace ouro::net::tls
