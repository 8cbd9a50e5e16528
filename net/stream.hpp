// stream.hpp: a connected byte stream: TCP, Unix, one end of a pair, a pipe, a terminal, a file.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/net/send_all.hpp>
#include <ouro/net/socket_options.hpp>
#include <ouro/net/unix_socket.hpp>
#include <ouro/runtime/io/close.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/io/socket_ops.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace ouro::net {

class layer;

/// Which half of a connection to shut down.
enum class half { receive, send, both };

/// A connection, or what else bytes come from and go to. Movable while nothing is in flight on it;
/// closed when it dies.
///
/// At most one receive and one send at a time; the two are independent, so one task may receive
/// while another sends. A second one that begins while the first is in flight is an assertion,
/// which names the stream and the task: let several tasks use a writer, or take turns. (What the
/// kernel takes at once is over before anybody else runs; on a ring that is known at the end of the
/// turn.) On a stream that is closed or moved from, everything fails with
/// std::errc::bad_file_descriptor. Errors are std::system_error, or a result<> through as_result. A
/// vanished peer is std::errc::connection_reset or broken_pipe, never a signal. Everything that has
/// an argument to send or to fill leaves it where it is: it must stay until the operation has
/// ended.
class stream {
public:
    stream() noexcept = default;
    explicit stream(descriptor fd) noexcept : fd_(std::move(fd)) {}

    /// Takes over a connected socket that came from elsewhere. Throws when it cannot be used.
    static stream adopt(int fd);

    /// Takes over a byte stream of any kind and finds out by itself which: a connected socket, a
    /// pipe, a terminal or another character device, a regular file or a block device, which are
    /// read and written where their offset stands. On success it is closed with the stream; when
    /// this throws it stays the caller's:
    ///
    /// - std::errc::bad_file_descriptor: it is not open
    /// - std::errc::not_connected: a socket that is not connected, or that listens
    /// - std::errc::wrong_protocol_type: a socket of datagrams or packets
    /// - std::errc::is_a_directory
    /// - std::errc::operation_not_supported: anything else (eventfd, epoll, …)
    ///
    /// What has one direction fails the other one with std::errc::bad_file_descriptor, and is
    /// closed by the half close of its own (`shutdown`). Epoll wants pipes and terminals
    /// non-blocking, which everybody sees who shares the open description; the flag is taken back
    /// when the stream is closed or released. Writing to a pipe that nobody reads is
    /// std::errc::broken_pipe: SIGPIPE, if its action was the default, does nothing from then on.
    static stream from(int fd);

    /// Gives it up: the worker forgets the descriptor, which is blocking again if it was made
    /// non-blocking here. How a connection goes to another worker, where adopt() takes it over:
    /// `spawn_on(1, serve, client.release())`. Nothing may be in flight, what a layer sends by
    /// itself included: a layer ends here.
    int release() noexcept { return fd_.release(); }

    bool is_open() const noexcept { return fd_.is_open(); }
    int fd() const noexcept { return fd_.number(); }

    /// From now on everything that is received and sent here passes through `on_top`, and through
    /// what was put there before below that; see layer.hpp. For TLS and the like. Nothing may be in
    /// flight. Who else has a share of the layer uses it on the stream's worker only.
    /// shutdown(half::send) then has each layer tell the other side, the uppermost first, and does
    /// not wait for it; a stream that is closed meanwhile still does, if the peer reads. On a
    /// closed stream this throws std::errc::bad_file_descriptor.
    void put_layer(std::shared_ptr<layer> on_top);

    /// For operations of one's own; see socket_ops.hpp.
    descriptor& handle() noexcept { return fd_; }

    /// Receives 1 to `into.size()` bytes; 0 means the peer closed its side.
    recv_op recv(std::span<std::byte> into) noexcept { return recv_op(fd_, into); }

    /// Receives into a buffer of the worker's pool, which is lent only once bytes have arrived, so
    /// an idle connection holds none. An empty lease means the peer closed its side.
    leased_recv_op recv() noexcept { return leased_recv_op(fd_); }

    /// Resumes once a receive would not wait: bytes have come, the end, or an error.
    poll_op readable() noexcept { return poll_op(fd_, poll_op::event::readable); }

    /// Sends from the front of `from`; yields how many bytes were taken.
    send_op send(std::span<const std::byte> from) noexcept { return send_op(fd_, from); }
    send_op send(std::string_view text) noexcept { return send(std::as_bytes(std::span(text))); }

    /// Sends everything; see send_all_op.
    send_all_op send_all(std::span<const std::byte> from) noexcept {
        return send_all_op(fd_, from);
    }
    send_all_op send_all(std::string_view text) noexcept {
        return send_all(std::as_bytes(std::span(text)));
    }

    /// Sends from several places in one call; yields how many bytes were taken.
    send_vector_op send(std::span<const iovec> from) noexcept { return send_vector_op(fd_, from); }

    /// Ends one direction at once. After half::send the peer receives what was sent, then 0; after
    /// half::receive so do we. An operation of that direction in flight ends. When a layer cannot
    /// tell the other side, it ends all the same, and why is the error (not_enough_memory).
    ///
    /// What is no socket and has one direction is closed by ending it, with nothing in flight
    /// (std::errc::device_or_resource_busy); ending the other one does nothing. A terminal can only
    /// be ended in both (std::errc::operation_not_supported).
    result<void> shutdown(half which) noexcept;

    /// Cancels what is in flight, waits for it, and closes: when this resumes, the descriptor is
    /// free and the peer has been told. (The destructor closes, too, at the latest at the end of
    /// the turn.) Whoever awaited there gets errc::cancelled or what had already come. Closing does
    /// not fail and cannot be cancelled; on a closed stream it does nothing.
    close_op close() noexcept { return close_op(fd_); }

    /// The addresses of both ends. Throws when it is not connected.
    endpoint local() const { return local_endpoint(fd()).value(); }
    endpoint peer() const { return peer_endpoint(fd()).value(); }

    // The options of socket_options.hpp, by their names there. They throw when the socket has none
    // of the kind.
    void set_no_delay(bool on) { net::set_no_delay(fd(), on).value(); }
    void set_keep_alive(const std::optional<net::keep_alive>& times) {
        net::set_keep_alive(fd(), times).value();
    }
    void set_user_timeout(duration limit) { net::set_user_timeout(fd(), limit).value(); }
    void set_quick_ack(bool on) { net::set_quick_ack(fd(), on).value(); }
    void set_linger(std::optional<duration> length) { net::set_linger(fd(), length).value(); }
    void set_send_buffer_bytes(std::size_t n) { net::set_send_buffer_bytes(fd(), n).value(); }
    void set_receive_buffer_bytes(std::size_t n) { net::set_receive_buffer_bytes(fd(), n).value(); }

    // Unix sockets only.

    /// Who is at the other end. Throws on other sockets.
    net::peer_credentials peer_credentials() const { return peer_credentials_of(fd()).value(); }

    /// Sends a byte and with it a copy of a descriptor; see unix_socket.hpp.
    send_descriptor_op send_descriptor(int number, std::byte with = {}) noexcept {
        return send_descriptor_op(fd_, number, with);
    }

    /// Receives a byte and the descriptor that came with it; see unix_socket.hpp.
    receive_descriptor_op receive_descriptor() noexcept { return receive_descriptor_op(fd_); }

private:
    descriptor fd_;
};

}  // namespace ouro::net
