// ticket_keys.hpp: what a server's session tickets are sealed with.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/duration.hpp>

#include <array>
#include <cstddef>
#include <mutex>

struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace ouro::net::tls {

/// The keys of a server's tickets, shared by its workers: else a ticket could be resumed by the
/// worker only that gave it. A new one takes over when the current one is old enough, asked by the
/// first handshake after that. Tickets of the two before it are taken, and replaced.
class ticket_keys {
public:
    static constexpr std::size_t keys_max = 3;

    explicit ticket_keys(duration age) noexcept : age_(age) {}
    ~ticket_keys();
    ticket_keys(const ticket_keys&) = delete;
    ticket_keys& operator=(const ticket_keys&) = delete;

    void set_age(duration age) noexcept;
    /// A new current key, now. False when no random bytes can be had.
    bool rotate() noexcept;

    /// As SSL_CTX_set_tlsext_ticket_key_evp_cb wants: 1 well, 2 well but renew it, 0 unknown (a
    /// full handshake follows), -1 failed.
    int prepare(unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher,
                evp_mac_ctx_st* mac, bool seal) noexcept;

private:
    struct key {
        std::array<unsigned char, 16> name;
        std::array<unsigned char, 32> cipher;
        std::array<unsigned char, 32> mac;
    };

    bool rotate_locked() noexcept;
    const key* find(const unsigned char* name) const noexcept;

    std::mutex lock_;
    std::array<key, keys_max> keys_{};  // the current one first
    std::size_t count_ = 0;
    time_point made_{};
    duration age_;
};

}  // namespace ouro::net::tls
