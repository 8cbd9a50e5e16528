// core.hpp: what the doors to one server share: its sessions, and connections to lend.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/opener.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/pubsub/hub.hpp>
#include <ouro/net/pool/pool.hpp>

#include <cstddef>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// How a client behaves. Where and who is in the URL. (Trivially copyable, since g++ 12 gets other
/// structs wrong that are written in braces inside an awaited call.)
struct client_options {
    std::size_t connections = 1;        ///< shared ones; each has a queue of its own
    std::size_t dedicated_max = 16;     ///< leased ones at a time; more wait their turn
    std::size_t dedicated_from = 2000;  ///< a pipeline of so many commands goes on a leased one
    std::string_view client_name = {};  ///< CLIENT SETNAME; copied when connecting
    /// Says who we are instead of the URL, in every handshake and in reauthenticate(); it stays
    /// until the client has been closed.
    credential_source* credentials = nullptr;
    duration connect_timeout = std::chrono::seconds(5);
    std::uint8_t repeats = 1;    ///< times that a read is sent again when its connection was lost
    bool repeat_writes = false;  ///< … and writes, too: for who can stand it that one is done twice
    link_options link = {};      ///< how each connection is made and kept
};
static_assert(std::is_trivially_copyable_v<client_options>);

/// The sessions of a client.
class client_core {
public:
    client_core(const url& where, client_options options);
    /// With sessions as they are described; guided ones connect when they are told where.
    client_core(session_options how, client_options options);

    /// The shared session with the least to do.
    session& shared() noexcept;
    const std::vector<std::shared_ptr<session>>& sessions() const noexcept { return shared_; }
    /// Where subscribers meet: on a shared session; on a connection of its own where the server
    /// speaks RESP2, or where it is to be held back.
    std::shared_ptr<pubsub_hub> hub(slow_policy policy);
    /// Waits for a connection of one's own.
    net::pool<connection>::acquire_op lease() noexcept { return pool_.acquire(); }
    net::pool_figures dedicated_figures() const noexcept { return pool_.figures(); }

    const client_options& options() const noexcept { return options_; }
    const session_options& how() const noexcept { return how_; }

    /// Waits until all are connected, or throws why one is not.
    task<> ready();
    /// See client::reauthenticate.
    task<> reauthenticate();
    task<> close();

    // For who guides it; see session_options::guided.

    /// Moves everything there, unless it is there already: shared sessions with the requests that
    /// wait, subscribers with their subscriptions. Leased connections elsewhere are closed.
    void move_to(const address& where);
    /// Leaves the server; requests wait, until they are told `why` when it takes too long.
    void leave(std::error_code why) noexcept;
    /// Fails the requests that wait.
    void fail_waiting(std::error_code why) noexcept;

    static session_options options_of(const url& where, const client_options& options);

private:
    class opener;

    std::shared_ptr<pubsub_hub> open_hub();

    client_options options_;
    session_options how_;
    std::vector<std::shared_ptr<session>> shared_;
    std::weak_ptr<pubsub_hub> hub_;                    // the shared one
    std::vector<std::weak_ptr<pubsub_hub>> own_hubs_;  // those with a connection of their own
    opener* opener_;                                   // the pool's
    net::pool<connection> pool_;
    // What a shared session hears of READONLY concerns the pool's connections, too.
    std::vector<std::unique_ptr<connection_opener::watch>> watches_;
};

}  // namespace ouro::redis
