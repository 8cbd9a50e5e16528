// link_options.hpp: how a connection to a Redis server is made and kept, whichever door it is for.
#pragma once

#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <chrono>
#include <type_traits>

namespace ouro::net {
class resolver;
}

namespace ouro::redis {

/// The options that all doors have in common, as their member `link`:
///
///     co_await client::connect(where, {.link = {.protocol = 2}});
///
/// How long connecting may take is not in here, since each door has a default of its own.
struct link_options {
    /// 3: RESP3 where the server has it; 2: RESP2, and HELLO, which has one name more that a proxy
    /// may not know, is not sent.
    int protocol = 3;
    /// Tells the server our name and version: CLIENT SETINFO, with RESP3.
    bool library_info = true;
    duration idle_ping = std::chrono::seconds(30);  ///< PING after so long a silence; zero: none
    /// Between attempts to connect. A connection that did not last as long as the ceiling counts as
    /// one more failure: the waits go on growing.
    backoff_options backoff = {};
    net::stream_options stream = net::lasting_stream();  ///< keep-alive and user timeout of TCP
    net::resolver* names = nullptr;                      ///< see net::connect_options
    /// TLS, which a URL may ask for, too: "rediss:". Every connection of the door has it, those to
    /// nodes and masters that are found included.
    net::tls_options tls = {};
    net::session_options requests = {};  ///< limits of the queue, and request_timeout
    resp_limits limits = {};             ///< of replies
};
// g++ 12 copies what stands in an awaited expression byte by byte.
static_assert(std::is_trivially_copyable_v<link_options>);

}  // namespace ouro::redis
