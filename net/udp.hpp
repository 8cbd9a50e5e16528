// udp.hpp: sockets that send and receive datagrams.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/io/close.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace ouro::net {

/// One datagram that has come.
struct datagram {
    std::size_t size = 0;  ///< bytes received; 0 is a datagram without any
    endpoint from;
    bool truncated = false;  ///< it was longer than the memory; the rest is lost
};

/// One datagram to be sent, or memory for one to come.
struct outgoing_datagram {
    std::span<const std::byte> bytes;
    endpoint to;  // none: to the peer that the socket is connected to
};
struct incoming_datagram {
    std::span<std::byte> into;
    datagram got;
};

/// Sends one datagram, whole or not at all.
class [[nodiscard, gnu::warn_unused]] send_to_op final : public send_message_op {
public:
    send_to_op(descriptor& on, std::span<const std::byte> bytes, const endpoint& to) noexcept;

    void await_resume() const { success().value(); }
    ouro::result<void> await_result() const noexcept { return success(); }

private:
    endpoint to_;
    iovec vector_;
};

/// Receives one datagram.
class [[nodiscard, gnu::warn_unused]] receive_from_op final : public receive_message_op {
public:
    receive_from_op(descriptor& on, std::span<std::byte> into) noexcept;

    datagram await_resume() const { return await_result().value(); }
    ouro::result<datagram> await_result() const noexcept;

private:
    sockaddr_storage from_{};
    iovec vector_;
};

/// How a UDP socket is bound.
struct udp_options {
    bool reuse_address = false;  ///< SO_REUSEADDR: for several receivers of one multicast group
    bool reuse_port = false;     ///< SO_REUSEPORT: the kernel spreads datagrams over the sockets
    bool v6_only = false;        ///< an IPv6 socket takes no IPv4
    bool broadcast = false;      ///< SO_BROADCAST: may send to broadcast addresses
    std::size_t send_buffer_bytes = 0;     ///< 0: as the system has it
    std::size_t receive_buffer_bytes = 0;  ///< 0: as the system has it
};

/// A UDP socket. Movable while nothing is in flight; closed when it dies.
///
/// At most one receive and one send at a time. Memory to send from or to fill must stay until the
/// operation has ended. What was sent before may make any later operation fail once, typically with
/// std::errc::connection_refused, when the socket is connected and nobody listens at the peer.
class udp {
public:
    udp() noexcept = default;

    /// Binds to an address; port 0 takes a free one. Throws std::system_error, whose what() reads
    /// "cannot bind 127.0.0.1:53: Address already in use".
    explicit udp(const endpoint& local, const udp_options& options = {});

    /// Makes `peer` the one that send() sends to and whose datagrams are received; others' are
    /// dropped from now on. Nothing is sent. Throws std::system_error.
    task<> connect(endpoint peer);

    /// Sends one datagram. At most 65507 bytes over IPv4: std::errc::message_size beyond that.
    send_to_op send_to(std::span<const std::byte> bytes, const endpoint& to) noexcept {
        return send_to_op(fd_, bytes, to);
    }
    send_to_op send_to(std::string_view text, const endpoint& to) noexcept {
        return send_to(std::as_bytes(std::span(text)), to);
    }
    /// Sends one to the peer that the socket is connected to.
    send_to_op send(std::span<const std::byte> bytes) noexcept { return send_to(bytes, {}); }
    send_to_op send(std::string_view text) noexcept { return send_to(text, {}); }

    /// Receives one datagram into the front of `into`.
    receive_from_op recv_from(std::span<std::byte> into) noexcept {
        return receive_from_op(fd_, into);
    }

    /// Waits for one datagram and takes with it, in one more system call per 32, those that have
    /// come meanwhile. Fills `into` from the front and returns how many; at least one.
    task<std::size_t> recv_batch(std::span<incoming_datagram> into);

    /// Sends all of them in order, 32 per system call. Throws at the first that cannot be sent;
    /// those before it have left, those behind it have not.
    task<> send_batch(std::span<const outgoing_datagram> batch);

    /// Receives also what is sent to a multicast group, on the interface with that name or, when it
    /// is empty, on the one that the system chooses. Throws std::system_error.
    void join(const endpoint& group, std::string_view interface = {});
    void leave(const endpoint& group, std::string_view interface = {});

    /// Whether this machine's own members of a group receive what this socket sends to it.
    void set_multicast_loop(bool on);
    /// How many routers a datagram to a group may pass; 1 keeps it in the local network.
    void set_multicast_hops(int most);

    bool is_open() const noexcept { return fd_.is_open(); }
    int fd() const noexcept { return fd_.number(); }
    /// For operations of one's own; see socket_ops.hpp.
    descriptor& handle() noexcept { return fd_; }

    /// The address it is bound to, with the actual port, and the one it is connected to.
    endpoint local() const { return local_endpoint(fd()).value(); }
    endpoint peer() const { return peer_endpoint(fd()).value(); }

    /// Cancels what is in flight, waits for it, and closes; see stream::close.
    close_op close() noexcept { return close_op(fd_); }

private:
    void change_membership(const endpoint& group, std::string_view interface, bool join);

    descriptor fd_;
    int domain_ = 0;
};

}  // namespace ouro::net
