// connection.hpp: the server's clients, of which this connection is one.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace ouro::redis {

/// Which clients: those that match everything that is given.
struct client_kill_options {
    std::optional<std::int64_t> id = {};
    std::string_view type = {};  ///< "normal", "master", "replica", "pubsub"
    std::string_view user = {};
    std::string_view address = {};        ///< theirs: "127.0.0.1:41234"
    std::string_view local_address = {};  ///< the server's end
    bool skip_me = true;                  ///< not the connection that asks
};
static_assert(std::is_trivially_copyable_v<client_kill_options>);

/// At most one of them is given.
struct client_list_options {
    std::string_view type = {};  ///< "normal", "master", "replica", "pubsub"; empty: all
    words ids = {};              ///< only these; none: all
};
static_assert(std::is_trivially_copyable_v<client_list_options>);

/// The connection commands of a door that leave its connection as it is. What is said of "this
/// connection" is for a leased one: on one that others share it is errc::not_shareable.
template <class Door>
class connection_commands {
public:
    /// CLIENT GETNAME: this connection's name; empty when it has none.
    auto client_getname() {
        return door().template run<std::optional<std::string>>(verb::client_getname);
    }
    /// CLIENT GETREDIR: to which client invalidations go; -1: no tracking, 0: to this one.
    auto client_getredir() { return door().template run<std::int64_t>(verb::client_getredir); }
    /// CLIENT ID: of this connection.
    auto client_id() { return door().template run<std::int64_t>(verb::client_id); }
    /// CLIENT INFO: about this connection, as a line of client_list.
    auto client_info() { return door().template run<std::string>(verb::client_info); }
    /// CLIENT KILL: ends the connections that match; how many.
    auto client_kill(const client_kill_options& options) {
        arg_list list;
        if (options.id) list.add("ID", *options.id);
        if (!options.type.empty()) list.add("TYPE", options.type);
        if (!options.user.empty()) list.add("USER", options.user);
        if (!options.address.empty()) list.add("ADDR", options.address);
        if (!options.local_address.empty()) list.add("LADDR", options.local_address);
        list.add("SKIPME", options.skip_me ? "yes" : "no");
        return door().template run<std::int64_t>(verb::client_kill, list);
    }
    /// CLIENT LIST: a line "id=3 addr=… name=…" for each.
    auto client_list(const client_list_options& options = {}) {
        OURO_ASSERT(options.type.empty() || options.ids.size() == 0);
        arg_list list;
        if (!options.type.empty()) list.add("TYPE", options.type);
        if (options.ids.size() > 0) {
            list.add("ID");
            add_all(list, options.ids.args());
        }
        return door().template run<std::string>(verb::client_list, list);
    }
    /// CLIENT PAUSE: the server answers nobody for so long, or with `writes_only` no writes.
    auto client_pause(std::chrono::milliseconds timeout, bool writes_only = false) {
        return door().template run<void>(verb::client_pause,
                                         {timeout.count(), writes_only ? "WRITE" : "ALL"});
    }
    /// CLIENT TRACKINGINFO: of this connection, as it comes.
    template <class T = reply>
    auto client_trackinginfo() {
        return door().template run<T>(verb::client_trackinginfo);
    }
    /// CLIENT UNBLOCK: ends another one's blocking command, as if its time had passed, or with
    /// errc::unblocked; whether it was blocked.
    auto client_unblock(std::int64_t id, bool with_error = false) {
        return door().template run<bool>(verb::client_unblock,
                                         {id, with_error ? "ERROR" : "TIMEOUT"});
    }
    /// CLIENT UNPAUSE
    auto client_unpause() { return door().template run<void>(verb::client_unpause); }
    /// ECHO: what was sent.
    template <class T = std::string>
    auto echo(const arg& message) {
        return door().template run<T>(verb::echo, {message});
    }
    /// PING
    auto ping() { return door().template run<void>(verb::ping); }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
