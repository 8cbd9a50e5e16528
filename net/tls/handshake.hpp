// handshake.hpp: a stream becomes one under TLS.
//
//     tls::secured made = co_await tls_connect(std::move(wire), secrets, "db.example.org");
//     co_await made.stream.send_all("…");       // encrypted; nothing else is different
//
//  1. The handshake is done on the stream as it is, and only then is the layer put there: what
//     sends afterwards never has to wait for a receive. What came behind the handshake's last
//     message is not lost; the engine has it.
//  2. A handshake that fails, is cancelled or runs out of time closes the stream, after the alert
//     that belongs there. Nothing goes on in the clear.
//  3. Receiving afterwards fails with std::errc::connection_reset when the peer ends without saying
//     so, and with std::errc::protocol_error for what is wrong with a record or is an alert;
//     `session.why()` tells which. 0 is a good end only.
//  4. `stream.shutdown(half::send)` says that it is the end. A stream that is closed without does
//     not, so that a peer does not take what was cut off for whole.
#pragma once

#include <ouro/net/stream.hpp>
#include <ouro/net/tls/certificate.hpp>
#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/info.hpp>
#include <ouro/runtime/duration.hpp>
#include <ouro/runtime/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro {

class semaphore;

namespace net {
namespace tls {

/// How a handshake is done.
struct handshake_options {
    /// How long it may take, with the time that it waits for its turn.
    duration time_limit = std::chrono::seconds(10);
    /// What limits how many are under way at once on this worker: each takes about 50 KB, and
    /// up to a millisecond of the worker's time. Null: the worker's own, of
    /// `handshakes_at_once_max`.
    semaphore* limit = nullptr;
};

inline constexpr std::size_t handshakes_at_once_max = 64;

/// What can be asked about a stream under TLS, by the worker that it belongs to. Copies ask the
/// same; it may outlive the stream, and then keeps about 16 KB.
class session {
public:
    session() noexcept = default;
    explicit session(std::shared_ptr<engine> of);

    explicit operator bool() const noexcept { return engine_ != nullptr; }

    /// What was agreed on.
    const tls::info& info() const noexcept { return *info_; }
    /// Whom the peer has shown itself to be; see engine, also for the next ones.
    std::optional<certificate> peer_certificate() const { return engine_->peer_certificate(); }
    std::vector<std::byte> server_end_point() const { return engine_->server_end_point(); }
    /// The channel binding of RFC 9266, tls-exporter: 32 bytes.
    std::vector<std::byte> exporter_binding() const;
    bool export_key(std::string_view label, std::string_view context,
                    std::span<std::byte> into) const noexcept {
        return engine_->export_key(label, context, into);
    }
    bool update_keys(bool both) noexcept { return engine_->update_keys(both); }

    /// Why it cannot go on: a tls::errc; zero while it can.
    std::error_code error() const noexcept { return engine_->error(); }
    /// Everything that is known about it; null when nothing has failed.
    std::shared_ptr<const failure> why() const noexcept { return engine_->why(); }

    std::uint64_t records_sent() const noexcept { return engine_->records_sent(); }
    std::uint64_t sends() const noexcept { return engine_->sends(); }

private:
    std::shared_ptr<engine> engine_;
    std::shared_ptr<const tls::info> info_;
};

/// A stream under TLS.
struct secured {
    secured() noexcept = default;
    secured(net::stream under, tls::session with) noexcept
        : stream(std::move(under)), session(std::move(with)) {}

    net::stream stream;
    tls::session session;
};

}  // namespace tls

/// The server's part. `context` must live until it has resumed. Throws tls::error, and
/// std::system_error when the connection breaks.
task<tls::secured> tls_accept(stream wire, const tls::server_context& context,
                              tls::handshake_options options = {});

/// The client's part: `host` is who should be there, a name or an address.
task<tls::secured> tls_connect(stream wire, const tls::client_context& context, std::string host,
                               tls::handshake_options options = {});

}  // namespace net
}  // namespace ouro
