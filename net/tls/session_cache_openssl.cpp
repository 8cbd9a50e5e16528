#include <ouro/net/tls/session_cache.hpp>

#include <openssl/ssl.h>

#include <ctime>
#include <utility>

namespace ouro::net::tls {
namespace {

bool usable(const SSL_SESSION& session) noexcept {
    if (SSL_SESSION_is_resumable(&session) != 1) return false;
    const long made = SSL_SESSION_get_time(&session);
    return std::time(nullptr) - made < SSL_SESSION_get_timeout(&session);
}

bool is_single_use(const SSL_SESSION& session) noexcept {
    return SSL_SESSION_get_protocol_version(&session) >= TLS1_3_VERSION;
}

}  // namespace

void session_cache::put(std::string_view key, held<ssl_session_st> session) {
    if (limit_ == 0 || key.empty() || !usable(*session)) return;
    if (const auto known = by_key_.find(key); known != by_key_.end()) {
        by_age_.splice(by_age_.begin(), by_age_, known->second);
        known->second->session = std::move(session);
        return;
    }
    by_age_.push_front({std::string(key), std::move(session)});
    try {
        by_key_.emplace(by_age_.front().key, by_age_.begin());
    } catch (...) {
        by_age_.pop_front();
        throw;
    }
    if (by_age_.size() <= limit_) return;
    by_key_.erase(by_age_.back().key);
    by_age_.pop_back();
}

held<ssl_session_st> session_cache::take(const std::string& key) {
    const auto known = by_key_.find(key);
    if (known == by_key_.end()) return nullptr;
    const place at = known->second;
    held<ssl_session_st> session;
    if (usable(*at->session)) {
        // A copy: the library spoils the one that a connection has which does not end well.
        if (!is_single_use(*at->session))
            return held<ssl_session_st>(SSL_SESSION_dup(at->session.get()));
        session = std::move(at->session);
    }
    by_key_.erase(known);
    by_age_.erase(at);
    return session;
}

}  // namespace ouro::net::tls
