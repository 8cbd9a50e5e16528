// core.hpp: keeps a client at the master that the sentinels name.
//
//   +switch-master ──┐                      ┌── move_to ──> the client's connections
//   connection lost ─┼──> guide ── lookup ──┤
//   READONLY ────────┤    (one task)        └── nobody ──> leave: requests wait, then unhealthy
//   poll ────────────┘
//
//  1. No connection is used whose server did not say itself, in the handshake, that it is a master:
//     every one of them, shared or leased, asks ROLE.
//  2. A connection that was lost goes nowhere until the sentinels were asked: the server that comes
//     back at that address may have been replaced.
//  3. When the sentinels announce a new master, the old one is left at once, before the new one is
//     known to be ready: what it is still told would be lost.
//  4. A sentinel that tells of an older configuration than we know is not believed, unless nobody
//     tells of a newer one for several rounds.
//  5. Sentinels that cannot be reached change nothing as long as the master is connected.
#pragma once

#include <ouro/kv/redis/client/core.hpp>
#include <ouro/kv/redis/sentinel/lookup.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/auto_reset_event.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// How a client with sentinels behaves. Its texts are copied when connecting.
struct sentinel_options {
    client_options client = {};  ///< for the connections to the master
    std::string_view user = {};  ///< at master and replicas; needs the right to ask ROLE
    std::string_view password = {};
    std::uint32_t database = 0;
    std::string_view sentinel_user = {};  ///< at the sentinels, which have passwords of their own
    std::string_view sentinel_password = {};
    /// TLS at the sentinels, which choose for themselves; that at master and replicas is in
    /// `client.link`. A sentinel's URL with "rediss:" asks for it as well, and when one does, so do
    /// the connections to those that are learned. Without a context it is that of `client.link`.
    net::tls_options sentinel_tls = {};
    duration ask_limit = std::chrono::seconds(2);  ///< for one sentinel's answer, and its proof
    duration poll_interval = std::chrono::seconds(10);  ///< in case an announcement was missed
    std::size_t sentinels_max = 16;  ///< that are known, those learned from others included
    int rounds_max = 3;  ///< of questions without an answer, before requests are told `unhealthy`
    backoff_options between_rounds = {.ceiling = std::chrono::seconds(1)};
    bool replicas = false;  ///< connects to the replicas, too, for reads
};
static_assert(std::is_trivially_copyable_v<sentinel_options>);

/// Counts of what has happened since it was made.
struct sentinel_figures {
    std::uint64_t rounds = 0;         ///< of questions to the sentinels
    std::uint64_t failed_rounds = 0;  ///< without a good answer
    std::uint64_t moves = 0;          ///< to another server than before, the first one included
    std::uint64_t announcements = 0;  ///< of another master, by sentinels
};

/// The guide of a client. Worker-local; stays where it is.
class sentinel_core final {
public:
    /// `sentinels` are "host:port" or URLs; see sentinel_client::connect. May throw errc::bad_url.
    /// Ends when the last copy dies.
    static std::shared_ptr<sentinel_core> open(const std::vector<std::string>& sentinels,
                                               std::string name, const sentinel_options& options);

    sentinel_core(const std::vector<std::string>& sentinels, std::string name,
                  const sentinel_options& options);
    ~sentinel_core();

    /// Waits until the master is connected, or throws why that did not succeed within `rounds_max`
    /// rounds.
    static task<> ready(std::shared_ptr<sentinel_core> self);
    static task<> close(std::shared_ptr<sentinel_core> self);
    static task<> reauthenticate(std::shared_ptr<sentinel_core> self);

    const std::shared_ptr<client_core>& master() const noexcept { return master_; }
    /// One of the replicas, each in its turn; the master when none is connected.
    std::shared_ptr<session> replica() noexcept;

    /// Where the master is; nothing while none is known.
    std::optional<address> where() const;
    std::vector<address> sentinels() const;
    std::vector<address> replicas() const;
    const sentinel_figures& figures() const noexcept { return figures_; }

private:
    class master_connection;
    class watcher;

    static task<> guide(std::shared_ptr<sentinel_core> self);
    task<> pause();
    task<> round();
    void arrive(const sentinel_report& report, bool by_hint);
    void nowhere(const sentinel_lookup& asked);
    /// Whether there is a reason to ask at once.
    bool in_need() const noexcept;
    void in_trouble() noexcept;
    void lost_connection() noexcept;
    void failed_once(std::error_code why, std::string_view story) noexcept;
    void over() noexcept;
    void settled_perhaps() noexcept;

    void announced(std::string_view message);
    void leave() noexcept;
    void stop() noexcept;

    void learn(session_options how);
    void keep_replicas(const std::vector<address>& wanted);

    sentinel_options options_;  // without its texts
    sentinel_inquiry about_;
    session_options to_sentinel_;  // one that is learned from another
    std::shared_ptr<client_core> master_;
    std::vector<std::unique_ptr<master_connection>> connections_;
    std::vector<std::unique_ptr<watcher>> watchers_;
    std::vector<std::shared_ptr<session>> replicas_;
    std::size_t next_replica_ = 0;

    std::optional<address> where_;
    std::uint64_t epoch_ = 0;  // of the newest configuration that was told
    std::error_code failure_;  // the last one: of a round, or of connecting
    std::string story_;
    sentinel_figures figures_;
    int failures_ = 0;        // since all was well
    bool suspected_ = false;  // the master has said that it is none
    bool restless_ = false;   // the last connections did not last
    bool stopped_ = false;
    time_point settled_at_;  // when all were connected
    backoff wait_;           // between rounds that were in need
    auto_reset_event woken_;
    event decided_;  // connected for the first time, or failed to
    std::optional<join_handle<void>> guide_;
};

}  // namespace ouro::redis
