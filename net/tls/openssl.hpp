// openssl.hpp: how this room holds what OpenSSL makes, and keeps its error queue clean.
//
// OpenSSL keeps one queue of errors for each thread, not for each connection: what one call leaves
// there fails the next one, whoever's it is. So nobody here calls into the library about a
// connection or a file without a `clean_queue`.
#pragma once

#include <memory>
#include <new>
#include <string>

struct bio_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;
struct x509_store_st;

namespace ouro::net::tls {

/// Lets go of what the library counts.
struct let_go {
    void operator()(bio_st* p) const noexcept;
    void operator()(evp_pkey_st* p) const noexcept;
    void operator()(ssl_ctx_st* p) const noexcept;
    void operator()(ssl_session_st* p) const noexcept;
    void operator()(ssl_st* p) const noexcept;
    void operator()(x509_st* p) const noexcept;
    void operator()(x509_store_st* p) const noexcept;
};

template <class T>
using held = std::unique_ptr<T, let_go>;

/// Empties this thread's queue of errors, now and at its end.
class clean_queue {
public:
    clean_queue() noexcept { empty(); }
    ~clean_queue() { empty(); }
    clean_queue(const clean_queue&) = delete;
    clean_queue& operator=(const clean_queue&) = delete;

    /// The words of the oldest error, which is the cause of the others: "no shared cipher"; empty
    /// when there is none.
    std::string words() const;

private:
    static void empty() noexcept;
};

/// Throws std::bad_alloc when there is none.
template <class T>
held<T> hold(T* made) {
    if (!made) throw std::bad_alloc();
    return held<T>(made);
}

}  // namespace ouro::net::tls
