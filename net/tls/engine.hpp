// engine.hpp: TLS without a socket: bytes in, bytes out.
//
//     the wire ──> space() … received() ──> handshake(), then take() ──> clear bytes
//     clear bytes ──> put() ──> pending() … sent() ──> the wire
//
//  1. It reads from its own block and writes into its own, which grows as it must: the library is
//     never told that it cannot write, so there is no write to repeat and no half record.
//  2. What is pending lies still until all of it was sent; what comes meanwhile is gathered behind
//     it, in another block. There is little of that: alerts, and answers to key updates, of which
//     the library owes one at a time.
//  3. The first failure is final. An alert about it is pending then, when one belongs there.
//     Nothing that came behind what was wrong is looked at.
//  4. An end of the wire is an end of the data only if the peer has said so before (close_notify).
//     Each direction ends by itself: what one side has ended, the other one may still send into.
//  5. Whatever a call left in the thread's queue of errors is gone when it returns.
//  6. `put` never waits for a receive. The one case in which the library would is a peer that has
//     sent the beginning of a message of the handshake's (a ticket larger than a record): up to
//     `held_back_max` clear bytes are then kept and sent once the rest has come; more is a failure.
//  7. Idle, it holds `rest_bytes` to receive into and none to send from; the library holds none.
//  8. A fatal alert, received or sent, from the offer of a session to the first data behind a
//     handshake that has resumed it, is put down to the session: the context is told to forget it.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/layer.hpp>
#include <ouro/net/tls/certificate.hpp>
#include <ouro/net/tls/error.hpp>
#include <ouro/net/tls/figures.hpp>
#include <ouro/net/tls/info.hpp>
#include <ouro/net/tls/openssl.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::net::tls {

enum class side : std::uint8_t { client, server };

/// What an engine is told by the context that makes it.
struct engine_terms {
    tls::side side = tls::side::client;
    std::string host;            ///< whom a client wants: for messages, and checked by the library
    std::string session_key;     ///< under which a client's sessions are kept; empty: they are not
    std::string_view offered;    ///< a client's protocols, each behind a byte with its length
    bool alpn_required = false;  ///< no protocol in common is a failure
    worker_figures* figures = nullptr;  ///< where to count; null: nowhere
    /// Set when a client offers a session: what to do when the server cannot stand it.
    void (*forget_session)(const ssl_st& connection) noexcept = nullptr;
    std::shared_ptr<const void> keeps;  ///< what these and the library's callbacks refer to
};

/// One side of one connection. A context makes it; see context.hpp. Worker-local.
class engine final : public layer {
public:
    /// Clear bytes of a record, and of one `put`.
    static constexpr std::size_t record_bytes_max = 16 * 1024;
    static constexpr std::size_t put_bytes_max = 4 * record_bytes_max;
    static constexpr std::size_t held_back_max = record_bytes_max;
    static constexpr std::size_t rest_bytes = 1024 - sizeof(block);
    static constexpr std::size_t handshake_bytes = 4096 - sizeof(block);
    static constexpr std::size_t receive_bytes_max = 64 * 1024;
    /// Answers behind what is being sent.
    static constexpr std::size_t back_bytes_max = 2 * record_bytes_max;
    /// Key updates and tickets without data between them.
    static constexpr unsigned quiet_messages_max = 64;
    /// Records under one key; a TLS 1.3 key is then replaced. RFC 8446 allows 2^24.5 of AES-GCM.
    static constexpr std::uint64_t records_per_key_max = std::uint64_t{1} << 23;

    engine(held<ssl_st> made, engine_terms terms);
    ~engine() override;
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    enum class progress : std::uint8_t {
        more,    ///< send what is pending, then receive
        done,    ///< from now on it is a layer; something may be pending, or received already
        failed,  ///< send what is pending, and close; see why()
    };
    /// Goes on with the handshake as far as what was received allows.
    progress handshake() noexcept;
    bool handshake_done() const noexcept { return done_; }

    // The layer. `space`, `received`, `pending` and `sent` serve the handshake, too.

    /// Errors: -ECONNRESET (truncated), -EPROTO, -ENOMEM; what() of why() has the words.
    int take(std::span<std::byte> into) noexcept override;
    bool ready() noexcept override;
    std::span<std::byte> space() noexcept override;
    void received(std::size_t n) noexcept override;
    /// Up to 16 KiB become one record; more, up to `put_bytes_max`, as few as can be.
    int put(std::span<const iovec> from) noexcept override;
    std::span<const std::byte> pending() const noexcept override {
        return front_.appended(front_sent_);
    }
    void sent(std::size_t n) noexcept override;
    /// Errors: -ENOMEM; -EPROTO behind an error, and while a message of the peer's is unfinished.
    int end() noexcept override;

    /// New keys for what this side sends; what says so is pending, and leaves with the next send.
    /// With `both`, it asks the peer for new ones, too. False when it cannot be: TLS 1.2 has none,
    /// and after an end or an error.
    bool update_keys(bool both) noexcept;

    // Questions.

    /// Zero while nothing has failed; what `why` says in one word. std::errc::not_enough_memory
    /// when there was none.
    std::error_code error() const noexcept { return error_; }
    /// Everything that is known about error(); null while nothing has failed, or without memory.
    const std::shared_ptr<const failure>& why() const noexcept { return why_; }

    /// What was agreed on; after the handshake.
    tls::info info() const;
    /// Whom the peer has shown itself to be; none when it has shown no certificate.
    std::optional<certificate> peer_certificate() const;
    /// tls-server-end-point (RFC 5929), the same on both sides; empty when there is none.
    std::vector<std::byte> server_end_point() const;
    /// Fills `into` with what both sides, and nobody else, can derive (RFC 5705, RFC 8446 7.5). The
    /// channel binding of RFC 9266 has the label "EXPORTER-Channel-Binding", an empty context and
    /// 32 bytes. False before the handshake is done.
    bool export_key(std::string_view label, std::string_view context,
                    std::span<std::byte> into) const noexcept;

    std::uint64_t records_sent() const noexcept { return records_sent_; }
    std::uint64_t sends() const noexcept { return sends_; }
    std::uint64_t bytes_put() const noexcept { return bytes_put_; }
    const engine_terms& terms() const noexcept { return terms_; }

    // For the library's callbacks.

    static engine& of(const ssl_st& connection) noexcept;
    /// The first complaint about a certificate.
    void note_certificate(certificate_fault fault, int depth, const char* reason,
                          const x509_st* leaf) noexcept;
    /// A callback is about to have the handshake fail, and why.
    void note(errc what) noexcept {
        if (noted_ == errc{}) noted_ = what;
    }
    /// … for want of memory.
    void note_no_memory() noexcept { no_memory_ = true; }

private:
    struct wire;  // the library's way to our bytes
    enum class outcome : std::uint8_t { ok, more, ended, failed };

    /// Where what the library writes during this call goes.
    void enter() noexcept { into_back_ = !front_.appended(front_sent_).empty(); }
    bool ready_at_a_glance() const noexcept;
    outcome read(std::span<std::byte> into, std::size_t& n, bool peek) noexcept;
    bool write(std::span<const std::byte> clear) noexcept;
    outcome settle(int answer) noexcept;
    void send_held_back() noexcept;
    bool hold_back(std::span<const iovec> from, std::size_t& taken) noexcept;
    void check_first(std::span<const std::byte> bytes) noexcept;
    bool alpn_fits() const noexcept;
    bool append(const char* bytes, std::size_t n) noexcept;
    bool reserve(open_block& in, std::size_t more) noexcept;
    void fail(errc what, const char* reason = nullptr) noexcept;
    void fail_memory() noexcept;
    bool resumption_failed() const noexcept;
    void saw_message(bool written, int type, const unsigned char* bytes, std::size_t n) noexcept;
    std::span<const std::byte> unread() const noexcept { return in_.appended(in_read_); }

    held<ssl_st> ssl_;
    open_block in_;            // what came from the wire
    std::size_t in_read_ = 0;  // of it, by the library
    std::size_t in_bytes_;     // how large the next one is
    open_block front_, back_;  // what goes to the wire, and what comes behind that
    std::size_t front_sent_ = 0;
    open_block held_back_;  // clear bytes
    std::uint64_t records_sent_ = 0;
    std::uint64_t records_at_update_ = 0;
    std::uint64_t sends_ = 0;
    std::uint64_t bytes_put_ = 0;
    std::error_code error_;
    std::shared_ptr<const failure> why_;
    std::unique_ptr<failure> complaint_;  // about a certificate
    engine_terms terms_;
    unsigned quiet_messages_ = 0;
    errc noted_{};
    std::uint8_t alert_received_ = failure::no_alert;
    std::uint8_t alert_sent_ = failure::no_alert;
    std::uint8_t first_bytes_ = 0;  // how many of the first two were looked at
    bool into_back_ = false;
    bool keeps_buffer_ = false;  // the library does, to write from, behind what is not data
    bool done_ = false;
    bool no_memory_ = false;
    bool wire_ended_ = false;  // nothing more comes
    bool ended_ = false;       // the peer has said so
    bool end_sent_ = false;
};

}  // namespace ouro::net::tls
