// error.hpp: what can go wrong with Redis, as codes and with the server's words.
#pragma once

#include <ouro/net/session/fate.hpp>

#include <string>
#include <string_view>
#include <system_error>

namespace ouro::redis {

/// Errors of the server, by the word its message begins with, and of this client.
enum class errc {
    server_error = 1,  ///< ERR, and every word that has no code here
    wrong_type,        ///< WRONGTYPE: the key holds another kind of value
    no_auth,           ///< NOAUTH: authentication required
    wrong_password,    ///< WRONGPASS, or a password where none is set
    no_permission,     ///< NOPERM: the user's ACL forbids it
    loading,           ///< LOADING: the server reads its data set
    read_only,         ///< READONLY: a write on a replica
    no_script,         ///< NOSCRIPT: EVALSHA of a script the server does not have
    out_of_memory,     ///< OOM: maxmemory is reached
    busy,              ///< BUSY: a script or function runs for too long
    busy_key,          ///< BUSYKEY: the target key exists
    busy_group,        ///< BUSYGROUP: the consumer group exists
    no_group,          ///< NOGROUP: no such consumer group
    misconfigured,     ///< MISCONF: writes are refused because snapshots fail
    no_replicas,       ///< NOREPLICAS: too few replicas to accept writes
    master_down,       ///< MASTERDOWN: the replica's link is down
    unblocked,         ///< UNBLOCKED: a blocking command ended by CLIENT UNBLOCK
    no_protocol,       ///< NOPROTO: the server does not speak RESP3
    unknown_command,   ///< ERR unknown command
    too_many_clients,  ///< ERR max number of clients reached
    exec_aborted,      ///< EXECABORT: a command of the transaction was refused when queued
    moved,             ///< MOVED: the slot belongs to another node
    ask,               ///< ASK: the key may already be on another node
    try_again,         ///< TRYAGAIN: the keys are split over nodes while their slot moves
    cluster_down,      ///< CLUSTERDOWN: the cluster does not serve the slot
    cross_slot,        ///< CROSSSLOT: keys of one command in several slots

    bad_url,               ///< a URL that names no Redis server
    protocol_error,        ///< bytes that are not RESP: probably not a Redis server
    unexpected_reply,      ///< a reply that cannot be read as the type asked for
    null_reply,            ///< null where the type asked for has no way to say so
    conflict,              ///< a watched key changed: EXEC did nothing
    not_shareable,         ///< the command must not go on a connection others share: see obstacle
    too_large,             ///< an argument, or their number, above what Redis takes
    redirected_too_often,  ///< MOVED and ASK led nowhere
    unhealthy,             ///< no server that may take the command is known now
    not_cacheable,         ///< only commands that read one key can be cached on the client's side
    batch_ended,           ///< a handle was asked before its batch ran, or after it was cleared
    reply_too_large,       ///< a line of the reply is longer than resp_limits allows
};

/// The category of `errc`; its name is "redis".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// The code for a server's error message: "WRONGTYPE Operation against a key…".
errc code_of(std::string_view words) noexcept;

/// A server's message without what it quotes of the command: the arguments of one that it does not
/// know, and the passwords of ACL modifiers. They may be secret, and messages end up in logs.
std::string without_arguments(std::string_view words);

/// `text` with every `secret` in it replaced by "***"; an empty one is none.
std::string without_secret(std::string text, std::string_view secret);

/// What the awaitables of this crate throw: the code, what the server said, and how far it came.
/// Neither what() nor words() show a password or an argument.
class error : public std::system_error {
public:
    /// `words` is the server's message without its '-', or empty; `about` names the command.
    error(std::error_code code, net::fate how_far, std::string_view about, std::string_view words);

    /// What the server said, from its first word on; empty when the error is not the server's.
    std::string_view words() const noexcept { return words_; }
    /// Whether the command had its effect, as far as can be known.
    net::fate how_far() const noexcept { return how_far_; }

private:
    std::string words_;
    net::fate how_far_;
};

}  // namespace ouro::redis

template <>
struct std::is_error_code_enum<ouro::redis::errc> : std::true_type {};
