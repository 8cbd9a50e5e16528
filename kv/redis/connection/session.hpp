// session.hpp: one connection to one Redis server, shared by many, made again when it breaks.
#pragma once

#include <ouro/kv/redis/connection/link_options.hpp>
#include <ouro/kv/redis/credentials.hpp>
#include <ouro/kv/redis/url.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/net/session/lasting.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro::redis {

/// How to be with one server.
struct session_options : link_options {
    address where = {};
    std::string tls_name = {};                 ///< tls.server_name, a copy
    std::string user = {};                     ///< empty: the default user
    std::string password = {};                 ///< when this is empty, too: no AUTH
    credential_source* credentials = nullptr;  ///< says both instead, in every handshake
    std::uint32_t database = 0;
    std::string client_name = {};  ///< for CLIENT SETNAME; empty: none
    bool pubsub = false;           ///< for pub/sub only: under RESP2 its messages look like replies
    bool replica = false;          ///< sends READONLY: reads from a replica of a cluster
    /// What ROLE must say, as a part of the handshake: "master", "slave". Any other answer ends the
    /// attempt with errc::unhealthy. A literal; empty: whatever it is.
    std::string_view role = {};
    std::vector<command> setup = {};  ///< sent behind the handshake on every new connection
    /// Somebody else knows where to connect: before every attempt it waits for `move_to`.
    bool guided = false;

    duration connect_timeout = std::chrono::seconds(5);  ///< for connection and handshake
    bool reconnect = true;        ///< false: it ends with its first connection
    std::uint8_t repeats = 1;     ///< times that a read is sent again after a lost connection
    bool repeat_writes = false;   ///< … and writes, too: for those that may be done twice
    bool abandon_closes = false;  ///< a caller that gives up ends the connection: for blocking

    void set_link(const link_options& link) {
        static_cast<link_options&>(*this) = link;
        set_tls(link.tls);
    }
    void set_tls(const net::tls_options& how) {
        tls = how;
        tls_name = how.server_name;
        tls.server_name = {};
    }
};

/// A request as a session of Redis knows it: it takes replies.
class request : public net::exchange {
public:
    /// Takes a reply, which is valid during the call. False: it does not count as one of those that
    /// were expected, for SUBSCRIBE, which has none of its own.
    virtual bool take(const value& from) noexcept = 0;

protected:
    using net::exchange::exchange;
    ~request() = default;
};

/// Writes a command to be sent: a copy of its bytes, or a share when there are many.
inline bool write(net::writer& out, const command& what) {
    if (const net::chunk* const large = what.shared()) [[unlikely]]
        return out.write(*large);
    return out.write(what.bytes());
}

/// Is told what happens to a session. Called from its loop: it must not block, and may not end the
/// session's life, nor begin or end to observe it.
class session_observer : public list_hook<session_observer> {
public:
    /// An attempt to connect has failed; with the server's words, if it said any.
    virtual void refused(std::error_code, std::string_view) noexcept {}
    /// Connected, and the handshake was done: what is asked now goes out behind what had waited.
    virtual void connected() noexcept {}
    /// The connection has ended. Everything the server knew of it is gone: subscriptions, tracking.
    virtual void disconnected(std::error_code) noexcept {}
    /// The last news, when it has been closed, has given up, or nobody keeps it any more: it will
    /// not be connected again, and is not observed any more.
    virtual void ended() noexcept {}
    /// A push: a pub/sub message, an invalidation. Valid during the call.
    virtual void pushed(const value&) noexcept {}
    /// An error reply of any request: READONLY and MOVED concern more than the one who asked.
    virtual void error_seen(std::string_view) noexcept {}

protected:
    ~session_observer() = default;
};

/// Which of the errors READONLY are acted upon: the first, and then one after waits that grow,
/// since a replica may be meant.
class read_only_pace {
public:
    read_only_pace() noexcept;
    bool counts() noexcept;

private:
    backoff wait_;
    time_point from_;  // from then on
};

/// One connection, made at once and made again whenever it breaks, until it is closed.
///
/// A task of its own connects, shakes hands (HELLO, AUTH, CLIENT SETNAME, SELECT, READONLY in one
/// write), reads replies, and waits between attempts. What is asked meanwhile waits in the queue
/// until its time is up; a refusal that trying again cannot mend (a wrong password, a server that
/// does not speak RESP) fails it at once.
///
/// Whatever is said against HELLO, unless it is about who we are or passes with time, leads to
/// RESP2; so does a connection that is closed in answer to it, and then on another one.
class session final : public net::session,
                      private net::lasting_connection,
                      public std::enable_shared_from_this<session> {
public:
    /// Starts connecting. The session is closed when the last copy of the pointer dies.
    static std::shared_ptr<session> open(session_options options,
                                         session_observer* observer = nullptr);

    session(session_options options, session_observer* observer);
    ~session();

    /// Waits until it is connected for the first time, or throws why the attempt failed: `error`
    /// with the server's words, or std::system_error.
    task<> ready();

    /// Ends it: what waits gets ouro::errc::closed. Returns at once; the connection closes soon.
    void close() noexcept;
    /// The same, and waits until the connection has been closed.
    task<> closed();

    /// Asks who we are now, and says so on the connection that there is: AUTH, between the requests
    /// of others, none of which is harmed. Without a connection nothing is to be done: the next
    /// handshake asks anyhow. Throws `error` with the server's words when it refuses; it goes on
    /// with the login before then. And what the source of credentials throws.
    task<> reauthenticate();

    bool is_connected() const noexcept { return connected() && !is_closed(); }
    bool is_closed() const noexcept { return stopped(); }
    /// The version of the protocol spoken: 3 or 2; 0 before the first connection.
    int protocol() const noexcept { return protocol_; }
    /// CLIENT ID of the present connection; 0 when the server did not say.
    std::int64_t id() const noexcept { return id_; }
    const address& where() const noexcept { return options_.where; }
    const session_options& options() const noexcept { return options_; }
    /// What can be asked about TLS on the last connection; null when it was clear.
    using net::lasting_connection::security;
    /// From now on `more` is told, too, until it is forgotten, which must be before it dies.
    void add_observer(session_observer& more) noexcept { observers_.push_back(more); }
    /// Does nothing when it does not observe.
    static void forget_observer(session_observer& one) noexcept {
        if (one.linked()) one.unlink();
    }

    /// Sends `more` behind the handshake of every connection whose handshake has not begun, …
    void add_setup(command more) { options_.setup.push_back(std::move(more)); }
    /// … until it is taken out.
    void remove_setup(const command& which);

    // For who guides it; see session_options::guided.

    /// Leaves the server it is connected to, or connecting to, and goes to `where`. Requests that
    /// were sent have lost their connection; those that wait come along.
    void move_to(address where);
    /// Leaves the server, and waits until it is told where to go. `why`, of an error code, is what
    /// requests learn that have waited for too long.
    void leave(std::error_code why) noexcept;
    /// Whether it has been told where to go, and has not set out yet.
    bool is_told() const noexcept { return net::lasting_connection::is_told(); }
    /// Fails the requests that wait to be sent.
    void fail_waiting(std::error_code why) noexcept { fail_queued(why); }

    /// It is not any more what its handshake has made of it, or should not be used much longer: who
    /// lends it to one after the other lends it no more.
    void spoil() noexcept { spoiled_ = true; }
    bool is_spoiled() const noexcept { return spoiled_; }

    /// What came is no answer to what was asked: gives up the connection, whose replies may be
    /// anybody's.
    void distrust() noexcept;

    /// Receives nothing more until `resume`, and leaves what has arrived where it is; no PING is
    /// sent meanwhile. For connections on which nobody waits for a reply.
    void pause() noexcept { pause_reading(); }
    void resume() noexcept { resume_reading(); }
    bool is_paused() const noexcept { return !reading(); }

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
    task<> live() override;
    void established() noexcept override;
    void failed(const net::lasting_failure& why) noexcept override;
    void lost(std::error_code why) noexcept override;
    void finished(std::error_code why) noexcept override;
    void in_trouble(std::error_code why) noexcept;

    task<std::error_code> identify();
    task<credentials> login();
    task<std::error_code> shake_hands_without_hello();
    bool may_do_without_hello(std::error_code why) const noexcept;
    task<std::error_code> greet(int version);
    task<std::error_code> read_reply();
    std::error_code check_greeting(const command& asked);
    std::error_code check_role(const value& said);
    void add_advice(std::string_view words) noexcept;
    bool may_want_tls(std::error_code why) noexcept;
    task<> ping_when_idle();
    task<> renew_login();
    task<bool> renew_login_once();
    bool takes_auth() const noexcept;
    void note_validity(const credentials& who) noexcept;

    result<std::size_t> take(std::span<const std::byte> ready) override;
    result<std::size_t> parse(std::span<const std::byte> ready) {
        result<std::size_t> bytes = parser_.parse(ready);
        return bytes ? std::move(bytes) : parse_on(bytes.error(), ready);
    }
    result<std::size_t> parse_on(std::error_code wrong, std::span<const std::byte> ready);
    bool deliver(const value& from) noexcept;
    void met_read_only() noexcept;
    template <class Tell>
    void tell(Tell what) noexcept {
        observers_.for_each(what);
    }
    void tell_end() noexcept;
    bool is_push(const value& from) const noexcept {
        return from.kind() == type::push ||
               (options_.pubsub && protocol_ == 2 && looks_like_push(from));
    }
    bool looks_like_push(const value& from) const noexcept;
    void abandoned(const net::exchange& who, std::size_t ahead) noexcept override;

    /// What became of HELLO in the present attempt.
    enum class hello : std::uint8_t {
        none,     // not sent, taken, or without a word
        refused,  // with an error
        cut,      // the connection was closed instead of a reply
    };

    session_options options_;
    intrusive_list<session_observer, session_observer> observers_;
    resp_parser parser_;
    reply answer_;                             // the last one to the handshake
    credentials who_;                          // as the server was told last
    time_point renew_at_ = time_point::max();  // when to ask who we are, and say it again
    auto_reset_event renew_later_;             // renew_at_ has changed
    hello hello_ = hello::none;
    read_only_pace read_only_;
    std::uint64_t taken_ = 0;  // replies and pushes
    std::int64_t id_ = 0;
    int protocol_ = 0;
    bool spoiled_ = false;
};

}  // namespace ouro::redis
