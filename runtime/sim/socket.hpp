// socket.hpp: what a simulated descriptor refers to.
#pragma once

#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/sim/names.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ouro::sim {

class link;
class open_file;
class socket;
class world;

/// An operation that waits for a socket to change.
class socket_waiter : public list_hook<socket_waiter> {
public:
    /// Called out of the list: the attempt may succeed now.
    virtual void socket_changed() = 0;

protected:
    ~socket_waiter() = default;
};

/// What an operation moves: bytes, where from or to, and descriptors that go with them.
struct message {
    std::span<const iovec> vectors;
    int flags = 0;      ///< MSG_ as given by the caller
    int out_flags = 0;  ///< MSG_ as told to the caller
    name address;       ///< of the peer; none when not given
    std::vector<std::shared_ptr<open_file>> files;

    std::size_t size() const noexcept;
    /// The first `n` bytes of the vectors.
    std::vector<std::byte> gather(std::size_t n) const;
    /// Copies as much as fits to the vectors; returns how much.
    std::size_t scatter(std::span<const std::byte> from) const;
};

/// The base of simulated sockets.
///
/// The attempts answer like non-blocking system calls: a result or -errno, and -EAGAIN when the
/// caller should try again after the socket has changed.
class socket : public std::enable_shared_from_this<socket> {
public:
    socket(world& in, int domain, int type) noexcept : world_(in), domain_(domain), type_(type) {}
    socket(const socket&) = delete;
    socket& operator=(const socket&) = delete;
    virtual ~socket() = default;

    int domain() const noexcept { return domain_; }
    int type() const noexcept { return type_; }
    const name& local() const noexcept { return local_; }
    void set_local(name local) { local_ = std::move(local); }

    virtual int receive(message& into) = 0;
    virtual int send(message& from) = 0;
    virtual int connect(const name& to) = 0;
    virtual int listen(int) { return -EOPNOTSUPP; }
    virtual int accept(std::shared_ptr<socket>&) { return -EOPNOTSUPP; }
    virtual int shutdown(int how) = 0;
    virtual int bind(const name& to);
    /// The peer's name; -ENOTCONN without one.
    virtual int peer(name& into) const = 0;
    /// POLL* that hold now.
    virtual short ready() const = 0;
    /// The last descriptor is gone.
    virtual void close() = 0;
    /// The way to its peer; null without one.
    virtual link* way() const noexcept { return nullptr; }
    /// Breaks the connection as a reset from outside would, on both sides.
    virtual void break_connection() {}

    int set_option(int level, int option, const void* value, socklen_t size);
    int get_option(int level, int option, void* value, socklen_t* size);
    void copy_options(const socket& from) { options_ = from.options_; }

    // What the names need to know.
    virtual bool listens() const noexcept { return false; }
    bool reuses_port() const { return number(SOL_SOCKET, SO_REUSEPORT) != 0; }
    bool reuses_address() const { return number(SOL_SOCKET, SO_REUSEADDR) != 0; }
    /// Whether somebody bound to `wanted` would take what is meant for `other`.
    bool overlaps(const name& wanted, const socket& other) const;
    /// How well its name fits something sent to `to`; 0: not at all.
    virtual int fits(const name& to) const;

    void await_change(socket_waiter& who) noexcept { waiters_.push_back(who); }
    /// Has every waiter try again.
    void changed();

protected:
    /// Takes the error that is pending, as a system call would report it; 0 when there is none.
    int take_error() noexcept { return -std::exchange(error_, 0); }

    int number(int level, int option, int otherwise = 0) const;
    std::size_t send_space() const;
    std::size_t receive_space() const;
    bool is_tcp() const noexcept { return domain_ != AF_UNIX && type_ == SOCK_STREAM; }
    /// A name for a socket that never asked for one.
    int bind_for(const name& peer);

    world& world_;
    int error_ = 0;  // errno, reported once

private:
    bool takes_ipv4(const name& bound) const;

    int domain_;
    int type_;
    name local_;
    std::map<std::pair<int, int>, std::string> options_;
    intrusive_list<socket_waiter, socket_waiter> waiters_;
};

/// An open file description: closes its socket when nothing refers to it any more. A foreign
/// descriptor that is passed around is a copy of a real one.
class open_file {
public:
    explicit open_file(std::shared_ptr<socket> what) noexcept : what_(std::move(what)) {}
    explicit open_file(int real) noexcept : real_(real) {}
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file();

    socket* what() const noexcept { return what_.get(); }
    /// Gives up the real descriptor; -1 for a simulated one.
    int release_real() noexcept { return std::exchange(real_, -1); }

private:
    std::shared_ptr<socket> what_;
    int real_ = -1;
};

}  // namespace ouro::sim
