// listener.hpp: a socket that takes connections.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/io/accept.hpp>
#include <ouro/runtime/task.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace ouro::net {

/// How to listen.
struct listener_options {
    /// Connections that the kernel holds until they are taken; it caps this at
    /// net.core.somaxconn. Above it, connecting is refused or has to be tried again.
    int backlog = 4096;
    /// SO_REUSEADDR: a port whose connections of before still linger may be taken again.
    bool reuse_address = true;
    /// SO_REUSEPORT: several listeners share one port, and the kernel spreads the connections.
    bool reuse_port = false;
    /// An IPv6 listener takes IPv6 only, instead of IPv4 as well.
    bool v6_only = false;
    /// A Unix socket's file is replaced when it is a socket on which nobody listens any more. Its
    /// folder is locked (flock) meanwhile, so of two that start at once, one is told that the
    /// address is in use; a folder that cannot be read or locked leaves the file where it is.
    bool replace_stale = true;
    /// A Unix socket's file is removed on closing, if it is still this listener's.
    bool unlink_on_close = true;
    /// From so many connections on that were taken and wait for accept(), no more are taken.
    std::size_t queue_max = 64;
    /// What accepted connections are given.
    stream_options accepted = {};
};

/// What a listener has seen so far.
struct listener_stats {
    std::uint64_t accepted = 0;
    std::uint64_t broken = 0;     ///< failures of connections on their way, passed over
    std::uint64_t exhausted = 0;  ///< times it paused, because descriptors or memory ran out
    std::uint64_t refused = 0;    ///< times it paused, because every connection failed
};

/// Takes connections at an address.
///
/// `for (;;) serve(co_await where.accept());` never sees a connection that broke before it was
/// taken, and survives running out of descriptors or memory: accepting then pauses for 100 ms, up
/// to 1 s when it happens again and again, and one warning is logged each time. It does the same
/// when many in a row fail for whatever other reason, as under a rule that forbids accepting.
///
/// Not calling accept() is backpressure: `queue_max` connections later, the kernel's backlog fills
/// up. Worker-local. Movable and closable while nobody awaits it.
class listener {
public:
    listener() noexcept = default;

    /// Binds and listens. Port 0 takes a free one; see local(). Throws std::system_error, whose
    /// what() reads "cannot listen on 127.0.0.1:8080: Address already in use".
    ///
    /// For "every address" on a machine without IPv6, it listens on every IPv4 address.
    explicit listener(const endpoint& where, const listener_options& options = {});

    /// Takes over a socket that listens already: from systemd, from a parent, or from the process
    /// that this one replaces. It becomes close-on-exec and gets what `options` names for accepted
    /// connections and the queue; a Unix socket's file stays on closing. Throws std::system_error
    /// when it is no listening stream socket, and then leaves it to the caller.
    static listener adopt(int fd, const listener_options& options = {});

    listener(listener&& other) noexcept { *this = std::move(other); }
    listener& operator=(listener&& other) noexcept;
    ~listener() { close(); }

    /// Waits for the next connection. Throws errc::cancelled, or std::system_error for what waiting
    /// does not mend.
    task<stream> accept();

    /// Takes no more connections from the kernel until resume(); those already taken still come
    /// out of accept().
    void pause() noexcept { acceptor_.pause(); }
    void resume() noexcept { acceptor_.resume(); }
    bool paused() const noexcept { return acceptor_.paused(); }

    /// The address it listens on, with the actual port.
    const endpoint& local() const noexcept { return local_; }

    const listener_stats& stats() const noexcept { return stats_; }

    bool is_open() const noexcept { return acceptor_.is_open(); }
    int fd() const noexcept { return acceptor_.number(); }

    /// Stops listening; connections that were taken and never handed out are closed.
    void close() noexcept;

private:
    /// The file that a Unix socket was bound to, to tell it from one made later.
    struct socket_file {
        std::string path;  // empty: nothing to remove
        dev_t device = 0;
        ino_t number = 0;
    };

    void remember_file();
    duration next_pause() noexcept;
    bool passes_over() noexcept;
    void say_that_it_pauses(std::error_code why) const noexcept;

    acceptor acceptor_;
    endpoint local_;
    socket_file file_;
    listener_stats stats_;
    duration pause_{};  // the last one; 0 after a connection
    int broken_in_a_row_ = 0;
};

}  // namespace ouro::net
