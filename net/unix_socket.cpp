#include <ouro/net/unix_socket.hpp>

#include <ouro/runtime/engine/executor.hpp>

#include <cerrno>
#include <cstring>

namespace ouro::net {

result<peer_credentials> peer_credentials_of(int fd) noexcept {
    ucred who{};
    socklen_t size = sizeof who;
    const int got = executor::current().io().get_option(fd, SOL_SOCKET, SO_PEERCRED, &who, &size);
    if (got < 0) return error_of(got);
    // What other sockets answer. Process 0 alone is a peer in a container, not to be seen here.
    if (who.pid == 0 && who.uid == static_cast<uid_t>(-1)) return error_of(-ENOTCONN);
    return peer_credentials{who.pid, who.uid, who.gid};
}

send_descriptor_op::send_descriptor_op(descriptor& on, int number, std::byte with) noexcept
    : send_message_op(on, "send descriptor"), with_(with), vector_{&with_, 1} {
    message().msg_iov = &vector_;
    message().msg_iovlen = 1;
    message().msg_control = control_.data();
    message().msg_controllen = control_.size();
    cmsghdr& rights = *CMSG_FIRSTHDR(&message());
    rights.cmsg_level = SOL_SOCKET;
    rights.cmsg_type = SCM_RIGHTS;
    rights.cmsg_len = CMSG_LEN(sizeof number);
    std::memcpy(CMSG_DATA(&rights), &number, sizeof number);
}

receive_descriptor_op::receive_descriptor_op(descriptor& on) noexcept
    : receive_message_op(on, "receive descriptor"), vector_{&with_, 1} {
    message().msg_iov = &vector_;
    message().msg_iovlen = 1;
    message().msg_control = control_.data();
    // Not the whole of it: the padding would have room for a second one.
    message().msg_controllen = CMSG_LEN(sizeof(int));
}

ouro::result<received_descriptor> receive_descriptor_op::await_result() noexcept {
    const ouro::result<std::size_t> got = bytes();
    if (!got) return got.error();
    received_descriptor received{take_descriptor(), with_, *got == 0};
    if (!received.fd.is_open() && (message().msg_flags & MSG_CTRUNC)) return error_of(-EMFILE);
    return received;
}

descriptor receive_descriptor_op::take_descriptor() noexcept {
    if (taken_ || !bytes() || *bytes() == 0) return {};
    taken_ = true;
    const cmsghdr* rights = CMSG_FIRSTHDR(&message());
    if (!rights || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS ||
        rights->cmsg_len < CMSG_LEN(sizeof(int)))
        return {};
    int number = -1;
    std::memcpy(&number, CMSG_DATA(rights), sizeof number);
    return descriptor(number);
}

}  // namespace ouro::net
