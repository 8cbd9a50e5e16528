#include <ouro/net/stream.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/io/read_write.hpp>

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>

namespace ouro::net {
namespace {

/// 0 when it is a connected stream socket, else why not.
int why_no_stream_socket(reactor& io, int fd, int type) noexcept {
    if (type != SOCK_STREAM) return -EPROTOTYPE;
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return io.peer_name(fd, reinterpret_cast<sockaddr*>(&peer), &size);
}

/// What fstat says: 0 when bytes can be read or written, else why not.
int why_no_bytes(const struct stat& what) noexcept {
    switch (what.st_mode & S_IFMT) {
        case S_IFIFO:
        case S_IFCHR:
        case S_IFREG:
        case S_IFBLK: return 0;
        case S_IFDIR: return -EISDIR;
        default: return -EOPNOTSUPP;
    }
}

/// Reading and writing know no MSG_NOSIGNAL. A run that handles signals has seen to it already. A
/// handler, since children get the default action again.
void keep_alive_without_readers() noexcept {
    struct sigaction now = {};
    if (::sigaction(SIGPIPE, nullptr, &now) < 0 || now.sa_handler != SIG_DFL) return;
    now = {};
    now.sa_handler = [](int) {};
    now.sa_flags = SA_RESTART;
    ::sigaction(SIGPIPE, &now, nullptr);
}

}  // namespace

stream stream::adopt(int fd) {
    const int adopted = executor::current().io().adopt(fd);
    if (adopted < 0) throw_error(error_of(adopted));
    return stream(descriptor(adopted));
}

stream stream::from(int fd) {
    reactor& io = executor::current("a stream").io();
    int type = 0;
    socklen_t size = sizeof type;
    const int asked = io.get_option(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    if (asked == 0) {
        if (const int refused = why_no_stream_socket(io, fd, type)) throw_error(error_of(refused));
        return adopt(fd);
    }
    // Asked of what is not simulated, a simulated reactor knows no such number.
    struct stat what;
    const int found = ::fstat(fd, &what) < 0 ? -errno : why_no_bytes(what);
    if (found < 0) throw_error(error_of(found));
    keep_alive_without_readers();
    const bool waits = S_ISFIFO(what.st_mode) || S_ISCHR(what.st_mode);
    auto through = make_read_write(waits);
    const int adopted = waits ? io.adopt(fd) : fd;
    if (adopted < 0) throw_error(error_of(adopted));
    return stream(descriptor(adopted, std::move(through)));
}

result<void> stream::shutdown(half which) noexcept {
    const int how = which == half::receive ? SHUT_RD : which == half::send ? SHUT_WR : SHUT_RDWR;
    passage* const through = fd_.through();
    const int done =
        through ? through->shutdown(fd_, how) : executor::current().io().shutdown(fd(), how);
    return done < 0 ? result<void>(error_of(done)) : result<void>();
}

}  // namespace ouro::net
