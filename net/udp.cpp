#include <ouro/net/udp.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>

#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace ouro::net {
namespace {

constexpr std::size_t messages_per_call = 32;

reactor& io() noexcept { return executor::current().io(); }

iovec vector_of(std::span<const std::byte> bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

/// An address that does not fit one of ours cannot come from a UDP socket.
datagram datagram_of(std::size_t size, const msghdr& message) noexcept {
    const auto from =
        endpoint::from(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
    return {size, from ? from->unmapped() : endpoint(), (message.msg_flags & MSG_TRUNC) != 0};
}

/// What a call moves at once, with everything that the kernel wants to point to.
struct message_block {
    std::array<mmsghdr, messages_per_call> headers{};
    std::array<iovec, messages_per_call> vectors{};
    std::array<sockaddr_storage, messages_per_call> addresses;

    msghdr& prepare(std::size_t i, std::span<const std::byte> bytes) noexcept {
        vectors[i] = vector_of(bytes);
        headers[i].msg_hdr.msg_iov = &vectors[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        return headers[i].msg_hdr;
    }
};

/// Takes what is there without waiting. Returns how many; errors are left to whoever waits next.
std::size_t receive_now(int fd, std::span<incoming_datagram> into) noexcept {
    message_block block;
    const std::size_t count = std::min(into.size(), messages_per_call);
    for (std::size_t i = 0; i < count; ++i) {
        msghdr& message = block.prepare(i, into[i].into);
        message.msg_name = &block.addresses[i];
        message.msg_namelen = sizeof block.addresses[i];
    }
    const int got = io().receive_messages(fd, block.headers.data(), static_cast<unsigned>(count));
    for (int i = 0; i < got; ++i)
        into[i].got = datagram_of(block.headers[i].msg_len, block.headers[i].msg_hdr);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
}

/// Sends what can be sent without waiting. Returns how many; errors likewise.
std::size_t send_now(int fd, std::span<const outgoing_datagram> batch) noexcept {
    message_block block;
    const std::size_t count = std::min(batch.size(), messages_per_call);
    for (std::size_t i = 0; i < count; ++i) {
        msghdr& message = block.prepare(i, batch[i].bytes);
        if (batch[i].to.length() == 0) continue;
        message.msg_name = const_cast<sockaddr*>(batch[i].to.address());
        message.msg_namelen = batch[i].to.length();
    }
    const int sent = io().send_messages(fd, block.headers.data(), static_cast<unsigned>(count));
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

result<void> set_options(int fd, int domain, const udp_options& options) noexcept {
    result<void> done;
    if (options.reuse_address) done = set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (done && options.reuse_port) done = set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (done && domain == AF_INET6)
        done = set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only);
    if (done && options.broadcast) done = set_socket_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (done && options.send_buffer_bytes != 0)
        done = set_send_buffer_bytes(fd, options.send_buffer_bytes);
    if (done && options.receive_buffer_bytes != 0)
        done = set_receive_buffer_bytes(fd, options.receive_buffer_bytes);
    return done;
}

result<descriptor> open_bound(const endpoint& local, const udp_options& options) {
    const int opened = io().open_socket(local.domain(), SOCK_DGRAM, 0);
    if (opened < 0) return error_of(opened);
    descriptor fd(opened);
    if (const auto set = set_options(opened, local.domain(), options); !set) return set.error();
    if (const int bound = io().bind(opened, local.address(), local.length()); bound < 0)
        return error_of(bound);
    return fd;
}

}  // namespace

send_to_op::send_to_op(descriptor& on, std::span<const std::byte> bytes,
                       const endpoint& to) noexcept
    : send_message_op(on, "send_to"), to_(to), vector_(vector_of(bytes)) {
    message().msg_iov = &vector_;
    message().msg_iovlen = 1;
    if (to_.length() == 0) return;
    message().msg_name = const_cast<sockaddr*>(to_.address());
    message().msg_namelen = to_.length();
}

receive_from_op::receive_from_op(descriptor& on, std::span<std::byte> into) noexcept
    : receive_message_op(on, "recv_from"), vector_(vector_of(into)) {
    message().msg_iov = &vector_;
    message().msg_iovlen = 1;
    message().msg_name = &from_;
    message().msg_namelen = sizeof from_;
}

ouro::result<datagram> receive_from_op::await_result() const noexcept {
    const ouro::result<std::size_t> got = bytes();
    if (!got) return got.error();
    return datagram_of(*got, message());
}

udp::udp(const endpoint& local, const udp_options& options) : domain_(local.domain()) {
    result<descriptor> fd = open_bound(local, options);
    if (!fd && !options.v6_only && lacks_ipv6(local, fd.error())) {
        domain_ = AF_INET;
        fd = open_bound(endpoint::any_ipv4(local.port()), options);
    }
    if (!fd) throw std::system_error(fd.error(), "cannot bind " + local.to_string());
    fd_ = *std::move(fd);
}

task<> udp::connect(endpoint peer) {
    auto done = co_await as_result(connect_op(fd_, peer.address(), peer.length()));
    if (done) co_return;
    if (done.error() == errc::cancelled) throw_error(errc::cancelled);
    throw std::system_error(done.error(), "cannot connect to " + peer.to_string());
}

task<std::size_t> udp::recv_batch(std::span<incoming_datagram> into) {
    OURO_ASSERT(!into.empty() && "udp: recv_batch into nothing: give it room for one");
    into.front().got = co_await recv_from(into.front().into);
    std::size_t count = 1;
    while (count < into.size()) {
        const std::size_t got = receive_now(fd(), into.subspan(count));
        count += got;
        if (got < messages_per_call) break;
    }
    co_return count;
}

task<> udp::send_batch(std::span<const outgoing_datagram> batch) {
    while (!batch.empty()) {
        co_await send_to(batch.front().bytes, batch.front().to);
        batch = batch.subspan(1);
        while (!batch.empty()) {
            const std::size_t sent = send_now(fd(), batch);
            batch = batch.subspan(sent);
            if (sent < messages_per_call) break;  // it must wait, or fails where it can be told
        }
    }
}

void udp::change_membership(const endpoint& group, std::string_view interface, bool join) {
    group_req request{};
    if (!interface.empty()) {
        request.gr_interface = ::if_nametoindex(std::string(interface).c_str());
        if (request.gr_interface == 0) throw_error(error_of(-ENODEV));
    }
    std::memcpy(&request.gr_group, group.address(), group.length());
    const int level = group.domain() == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int name = join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP;
    const int done = io().set_option(fd(), level, name, &request, sizeof request);
    if (done < 0)
        throw std::system_error(error_of(done),
                                (join ? "cannot join " : "cannot leave ") + group.host());
}

void udp::join(const endpoint& group, std::string_view interface) {
    change_membership(group, interface, true);
}

void udp::leave(const endpoint& group, std::string_view interface) {
    change_membership(group, interface, false);
}

void udp::set_multicast_loop(bool on) {
    // An IPv6 socket sends to IPv4 groups, too, and then goes by the IPv4 option.
    if (domain_ == AF_INET6) set_socket_option(fd(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on).value();
    set_socket_option(fd(), IPPROTO_IP, IP_MULTICAST_LOOP, on).value();
}

void udp::set_multicast_hops(int most) {
    if (domain_ == AF_INET6)
        set_socket_option(fd(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, most).value();
    set_socket_option(fd(), IPPROTO_IP, IP_MULTICAST_TTL, most).value();
}

}  // namespace ouro::net
