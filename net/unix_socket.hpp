// unix_socket.hpp: what only Unix sockets can do: say who the peer is, and hand over descriptors.
#pragma once

#include <ouro/runtime/io/socket_ops.hpp>

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <utility>

namespace ouro::net {

/// Who connected, as the kernel noted at that moment.
struct peer_credentials {
    pid_t process = 0;  ///< 0 when it lives where this process cannot see it, in a container
    uid_t user = 0;
    gid_t group = 0;
};

/// Throws std::system_error on a socket that is no connected Unix socket.
result<peer_credentials> peer_credentials_of(int fd) noexcept;

/// What receive_descriptor() yields.
struct received_descriptor {
    descriptor fd;       ///< closed when the byte came without one
    std::byte with{};    ///< the byte that it came with
    bool ended = false;  ///< the peer closed its side; nothing came
};

/// Sends one byte and with it a copy of a descriptor (SCM_RIGHTS). The descriptor stays the
/// caller's and must stay open until this resumes.
class [[nodiscard, gnu::warn_unused]] send_descriptor_op final : public send_message_op {
public:
    send_descriptor_op(descriptor& on, int number, std::byte with) noexcept;

    void await_resume() const { await_result().value(); }
    ouro::result<void> await_result() const noexcept { return success(); }

private:
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control_{};
    std::byte with_;
    iovec vector_;
};

/// Receives one byte and the descriptor that came with it, which is close-on-exec and the caller's.
///
/// Of several descriptors the first is taken and the others are closed. When the process has no
/// room for one more, the byte is lost with it and std::errc::too_many_files_open is reported. A
/// descriptor that nobody takes, since the task was cancelled at that moment, is closed.
class [[nodiscard, gnu::warn_unused]] receive_descriptor_op final : public receive_message_op {
public:
    explicit receive_descriptor_op(descriptor& on) noexcept;
    ~receive_descriptor_op() { static_cast<void>(take_descriptor()); }

    received_descriptor await_resume() { return await_result().value(); }
    ouro::result<received_descriptor> await_result() noexcept;

private:
    descriptor take_descriptor() noexcept;

    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control_{};
    std::byte with_{};
    iovec vector_;
    bool taken_ = false;
};

}  // namespace ouro::net
