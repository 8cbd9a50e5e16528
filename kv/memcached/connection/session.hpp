// session.hpp: one connection to one memcached, shared by many, made again when it breaks.
#pragma once

#include <ouro/kv/memcached/credentials.hpp>
#include <ouro/kv/memcached/server.hpp>
#include <ouro/kv/memcached/wire/grammar.hpp>
#include <ouro/net/session/lasting.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace ouro::net {
class resolver;
}

namespace ouro::memcached {

/// How to be with one server.
struct session_options {
    address where = {};
    memcached::dialect dialect = dialect::meta;
    std::string user = {};
    std::string password = {};                 ///< with `user` empty, too: no authentication
    credential_source* credentials = nullptr;  ///< says both instead, in every handshake
    bool base64_keys = false;
    duration connect_timeout = std::chrono::seconds(2);  ///< for connection and handshake
    /// After so many failed attempts in a row to connect the server counts as down; 0: never.
    unsigned failures_max = 2;
    /// Between attempts to connect. A connection that did not last as long as the ceiling counts as
    /// one more failure: the waits go on growing. One that did is made again at once.
    backoff_options backoff = {};
    net::stream_options stream = net::lasting_stream();  ///< keep-alive and user timeout of TCP
    std::uint8_t repeats = 1;  ///< times that a read is sent again after a lost connection
    net::session_options requests = {};
    wire_limits limits = {};
    net::resolver* names = nullptr;
    net::tls_options tls = {};
    std::string tls_name = {};  ///< whom the certificate must be for; empty: the host
};

/// A request as a session of memcached knows it: it takes replies.
class pending_request : public net::exchange {
public:
    /// Takes a reply, which is valid during the call; `is_last` says that the exchange has no
    /// other one to come on this slot. An error says that the reply cannot be this one's: it ends
    /// the connection.
    virtual std::error_code take(const reply& from, bool is_last) noexcept = 0;

    /// True when a CLIENT_ERROR may mean that the server takes the value for commands.
    virtual bool carries_a_value() const noexcept = 0;

protected:
    using net::exchange::exchange;
    ~pending_request() = default;
};

/// Is told what becomes of a server. Called from the session's loop; must not end its life.
class session_observer {
public:
    virtual void went_down() noexcept = 0;
    virtual void came_back() noexcept = 0;

protected:
    ~session_observer() = default;
};

/// One connection, made at once and made again whenever it breaks, until it is closed.
///
/// A task of its own connects, authenticates, makes sure that the server speaks the dialect, reads
/// replies, and waits between attempts. What is asked meanwhile waits in the queue, until its time
/// is up or the server counts as down.
///
/// Each reply is held against the request that is due: its opaque where the dialect has one, its
/// key, its kind. One that does not fit ends the connection; nobody gets what may be another's.
class session final : public net::session,
                      private net::lasting_connection,
                      public std::enable_shared_from_this<session> {
public:
    /// Starts connecting. The session is closed when the last copy of the pointer dies. The
    /// observer must outlive it, or its end.
    static std::shared_ptr<session> open(session_options options,
                                         session_observer* observer = nullptr);

    session(session_options options, session_observer* observer);

    /// Waits until the first attempt to connect has succeeded, or throws why it failed: `error`.
    task<> ready();

    /// Ends it: what waits gets ouro::errc::closed. Returns at once; the connection closes soon.
    void close() noexcept;
    /// The same, and waits until the connection has been closed.
    task<> closed();

    /// What can be asked about TLS on the last connection; null when it was clear.
    using net::lasting_connection::security;
    bool is_connected() const noexcept { return connected() && !stopped(); }
    bool is_down() const noexcept { return is_down_; }
    /// How often a connection was made.
    std::uint64_t connections() const noexcept { return net::lasting_connection::connections(); }
    const std::string& name() const noexcept { return name_; }
    const session_options& options() const noexcept { return options_; }
    const grammar& spoken() const noexcept { return grammar_of(options_.dialect); }

    /// The first of `count` opaques that nobody in flight has, to be used in the order of asking.
    std::uint32_t next_opaques(std::uint32_t count) noexcept {
        return std::exchange(next_opaque_, next_opaque_ + count);
    }

private:
    task<net::stream> dial(net::connect_options how) override;
    task<std::error_code> establish() override;
    task<std::error_code> shake_hands() override;
    task<std::error_code> serve_connection(net::stream& connection, net::reader& in) override {
        return serve(connection, in);
    }
    void drop(std::error_code why) noexcept override { give_up(why); }
    void wind_down() noexcept override { retire(ouro::errc::closed); }
    bool is_refusal(std::error_code code) const noexcept override;
    void established() noexcept override;
    void failed(const net::lasting_failure& why) noexcept override;
    void lost(std::error_code why) noexcept override;
    void finished(std::error_code why) noexcept override { stop(why); }

    task<std::error_code> identify();
    task<memcached::credentials> login();
    task<std::error_code> authenticate();
    task<std::error_code> probe();
    task<std::error_code> ask(request what);
    task<std::error_code> read_reply();
    std::error_code turned_down(std::error_code code, std::string_view words);
    std::error_code broken(std::error_code code);
    void failed_once_more(std::error_code why) noexcept;

    result<std::size_t> take(std::span<const std::byte> ready) override;
    std::error_code deliver(const reply& from, bool last);
    std::error_code drop(const reply& from, bool last);
    void refuse_value(reply& from) noexcept;
    std::size_t pass_over(std::size_t at_most) noexcept;
    bool is_last(const reply& from) const noexcept;

    session_options options_;
    session_observer* observer_;
    std::string name_;
    reply answer_;                // the last one to the handshake; points into in()
    memcached::credentials who_;  // as the server was told last
    std::uint32_t next_opaque_ = 1;
    std::optional<std::uint32_t> due_opaque_;  // the oldest that may still come on this connection
    std::size_t passing_ = 0;                  // bytes to come of a value that is too large
    unsigned failures_ = 0;                    // in a row
    bool is_down_ = false;
};

}  // namespace ouro::memcached
