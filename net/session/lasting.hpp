// lasting.hpp: a connection that is made again whenever it breaks, and the one task that owns it.
//
//             ┌───────── a wait that grows ─────────┐
//             ▼                                     │
//   start ─> establish ──failed: refused or lost────┤
//             │ ready                               │
//             └─> serve ──lost──────────────────────┴──closed──> finished
//
//  1. One task connects, shakes hands, serves, closes and waits. Nobody else touches the stream;
//     who wants the connection gone says so (`drop`), and the task notices.
//  2. Whatever ends a phase, an error, an exception, time, want of memory or a cancellation, it
//     leads the same way: the stream is closed, and that is awaited; then comes the next attempt,
//     or the end. An attempt for which there is no memory is a failed one.
//  3. Connecting and shaking hands have one limit of time together. Waiting to be told where to go
//     has none.
//  4. Who waits to be told of the first attempt is told once, when it has succeeded or failed. A
//     failure is remembered until a later attempt has succeeded.
//  5. A refusal is a failure that trying again soon will not mend, such as a wrong password: who
//     has asked for something is told at once. It is tried again like any other, since somebody may
//     mend it elsewhere.
//  6. Waits grow from attempt to attempt, also when attempts succeed: only a connection that lasted
//     as long as the ceiling of the waits begins them anew. So a server that takes connections and
//     drops them sees no storm.
//  7. To move is no failure: the attempt, the connection or the wait of that moment ends, nobody is
//     told of a failure, and the next attempt begins without a wait.
//  8. After `finished` nothing more happens. The task keeps the object alive until then.
//  9. A handshake of TLS is a part of dialling, within the same limit of time; a connection that is
//     not under TLS by then is none. Where the stream can only say that it broke, the failure of an
//     attempt is what TLS knows: a server may refuse a client's certificate behind the handshake.
// 10. A server that meets the resumption of a session of TLS with an alert is connected to once
//     more within the same attempt: the session is forgotten by then.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/connect.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/auto_reset_event.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ouro::net {

namespace tls {
class session;
}

/// How a connection is kept.
struct lasting_options {
    duration connect_timeout = std::chrono::seconds(5);  ///< for connection and handshake together
    bool reconnect = true;  ///< false: it ends with its first connection, or its first failure
    /// Somebody else knows where to connect, and when: each attempt waits for `move`, and for
    /// nothing else.
    bool guided = false;
    /// One that had lasted is made again without a wait. False, the default: many clients that
    /// lost the same server at the same moment come back at different ones.
    bool again_at_once = false;
    backoff_options backoff = {};              ///< between attempts to connect
    stream_options stream = lasting_stream();  ///< keep-alive and user timeout of TCP
    reader_options reader = {};                ///< of each connection
    resolver* names = nullptr;                 ///< see connect_options
};

/// Why an attempt has failed.
struct lasting_failure {
    std::error_code code = {};  ///< zero: none has failed
    std::string words = {};     ///< the server's, or the system's beside those of the code
    bool refusal = false;       ///< trying again soon will not mend it
};

/// A connection that lasts. Derive from it, say how to shake hands and to serve, and `start` it.
///
/// Hooks are called from its task. Worker-local; does not move.
class lasting_connection {
public:
    lasting_connection(const lasting_connection&) = delete;
    lasting_connection& operator=(const lasting_connection&) = delete;

protected:
    explicit lasting_connection(const lasting_options& options);
    ~lasting_connection() = default;

    // Its life.

    /// Begins; once. Its task holds `self`, which keeps this object, until it has ended. May throw
    /// std::bad_alloc.
    void start(std::shared_ptr<void> self);
    /// Ends it at once, whatever it is doing; the stream closes soon.
    void close() noexcept;
    /// Ends it when what is under way there is done: a connection that is served has `wind_down`,
    /// and is not made again. Without one it ends at once.
    void finish() noexcept;
    /// Set when the first attempt has succeeded or failed, or when it has ended.
    event& tried() noexcept { return tried_; }
    /// Set when it has ended, and its stream has been closed.
    event& over() noexcept { return over_; }

    /// Leaves where it is, or is going to, and connects anew: `dial` knows where by now.
    void move() noexcept;
    /// Leaves, and waits until `move`. For guided ones.
    void hold() noexcept;
    /// Whether it has been told to move, and has not set out yet.
    bool is_told() const noexcept { return told_.is_set(); }

    /// What can be asked about TLS on the last connection that was made; null when it was clear.
    const tls::session* security() const noexcept { return security_.get(); }

    /// Why the last attempt has failed; no code when it has not.
    const lasting_failure& failure() const noexcept { return failure_; }
    /// How often a connection was made, handshake included.
    std::uint64_t connections() const noexcept { return connections_; }

    // What a protocol says of itself.

    /// Connects to wherever it is to be now: to one address, to the server that somebody has
    /// named, to the next one of several. Throws as net::connect does.
    virtual task<stream> dial(connect_options how) = 0;
    /// Makes a connection that can be served. Says why it could not, and in which words: `refuse`.
    /// What it throws counts as the same. Cancelled when its time is up.
    virtual task<std::error_code> establish();
    /// The part of `establish` behind `connect`.
    virtual task<std::error_code> shake_hands() = 0;
    /// Serves the connection until it ends, and says why.
    virtual task<std::error_code> serve_connection(stream& connection, reader& in) = 0;
    /// Gives up the connection that is served: `serve_connection` will say `why`. Nothing happens
    /// when none is.
    virtual void drop(std::error_code why) noexcept = 0;
    /// The same, but only when all that was sent has been answered.
    virtual void wind_down() noexcept { drop(errc::closed); }
    /// Whether trying again soon will not mend it.
    virtual bool is_refusal(std::error_code) const noexcept { return false; }
    /// All of it; override it to have something done beside `keep_connected`, and await that.
    virtual task<> live() { return keep_connected(); }

    // What a protocol is told.

    /// Connected, and the handshake was done; it will be served now.
    virtual void established() noexcept {}
    /// An attempt has failed. Not told when it was called off.
    virtual void failed(const lasting_failure&) noexcept {}
    /// A connection that was served has ended.
    virtual void lost(std::error_code) noexcept {}
    /// The last word: there will be no other attempt. `why` is the last failure, or errc::closed.
    virtual void finished(std::error_code) noexcept {}

    // For `dial`.

    /// Connects to the host and port of `where`, or to the Unix socket at its path, if it has one.
    /// When `with` wants TLS, that comes on top, and the certificate there must be for `name`, or
    /// for the host when that is empty. Throws as net::connect, default_tls_context() and
    /// tls_connect do.
    template <class Address>
    task<stream> reach(const Address& where, const connect_options& how, const tls_options& with,
                       const std::string& name) {
        const bool has_host = where.path.empty();
        auto dialling = has_host ? net::connect(where.host, where.port, how)
                                 : net::connect("unix:" + where.path, how);
        if (!with.wanted()) return dialling;
        return secure(std::move(dialling), with.context,
                      name.empty() && has_host ? where.host : name);
    }

    // For `establish` and `shake_hands`.

    /// Connects, by `dial`. A connection that is there is closed first.
    task<std::error_code> connect();
    stream& connection() noexcept { return connection_; }
    reader& in() noexcept { return *in_; }
    /// Remembers in which words the attempt under way is failing. Returns the code.
    std::error_code refuse(std::error_code code, std::string_view words) noexcept;
    /// The same for a `catch (...)`: what was thrown by `whom`, "whom: its words". Passes on
    /// std::bad_alloc.
    std::error_code refuse_thrown(std::string_view whom);
    /// What was remembered in the attempt under way.
    lasting_failure& said() noexcept { return said_; }

    /// One attempt and one connection after the other, until the end.
    task<> keep_connected();

private:
    task<> run(std::shared_ptr<void> self);
    task<result<void>> attempt();
    task<result<void>> establish_or_fail();
    void set_out() noexcept;
    void leave_here() noexcept;
    void has_failed(std::error_code why) noexcept;
    /// Puts what `dialling` connects under TLS. A null context is default_tls_context().
    task<stream> secure(task<stream> dialling, const tls::client_context* with, std::string host);
    std::error_code cause_of(std::error_code why) noexcept;
    bool is_ending() const noexcept;

    const lasting_options options_;
    stream connection_;
    std::optional<reader> in_;  // while there is a connection
    std::shared_ptr<const tls::session> security_;
    lasting_failure failure_;  // of the last attempt that has ended
    lasting_failure said_;     // of the one under way
    backoff wait_;
    event tried_;
    event over_;
    event told_;                   // of one that is guided: where to go next
    auto_reset_event called_off_;  // what is under way
    std::optional<join_handle<void>> runner_;
    std::uint64_t connections_ = 0;
    bool moved_ = false;  // while the attempt or the connection was under way
    bool serving_ = false;
    bool finishing_ = false;
    bool closing_ = false;
};

}  // namespace ouro::net
