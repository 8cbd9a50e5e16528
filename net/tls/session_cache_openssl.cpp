#include <ouro/net/tls/session_cache.hpp>

#include <openssl/ssl.h>

#include <algorithm>
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

/// The entry of that server, as the newest one.
session_cache::entry& session_cache::renew(std::string_view key) {
    if (const auto known = by_key_.find(key); known != by_key_.end()) {
        by_age_.splice(by_age_.begin(), by_age_, known->second);
        return by_age_.front();
    }
    by_age_.push_front({std::string(key), nullptr});
    try {
        by_key_.emplace(by_age_.front().key, by_age_.begin());
    } catch (...) {
        by_age_.pop_front();
        throw;
    }
    if (by_age_.size() > limit_) {
        by_key_.erase(by_age_.back().key);
        by_age_.pop_back();
    }
    return by_age_.front();
}

void session_cache::put(std::string_view key, held<ssl_session_st> session) {
    if (limit_ == 0 || key.empty() || !usable(*session)) return;
    const auto known = by_key_.find(key);
    if (known != by_key_.end() && is_refused(*known->second)) return;
    renew(key).session = std::move(session);
}

void session_cache::refuse(std::string_view key, std::time_t now) noexcept {
    if (limit_ == 0 || key.empty()) return;
    try {
        entry& of = renew(key);
        of.session.reset();
        of.refused = now;
    } catch (const std::bad_alloc&) {
        return;  // it had none, so the next connection does without; the one after that may not
    }
}

bool session_cache::is_refused(const entry& of) const noexcept {
    return !of.session && std::time(nullptr) - of.refused < refusal_lasts;
}

std::size_t session_cache::size() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        by_age_.begin(), by_age_.end(), [](const entry& each) { return each.session != nullptr; }));
}

held<ssl_session_st> session_cache::take(const std::string& key) {
    const auto known = by_key_.find(key);
    if (known == by_key_.end() || !known->second->session) return nullptr;
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
