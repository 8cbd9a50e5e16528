#include <ouro/net/stream.hpp>

#include <ouro/runtime/engine/executor.hpp>

namespace ouro::net {

stream stream::adopt(int fd) {
    const int adopted = executor::current().io().adopt(fd);
    if (adopted < 0) throw_error(error_of(adopted));
    return stream(descriptor(adopted));
}

result<void> stream::shutdown(half which) noexcept {
    const int how = which == half::receive ? SHUT_RD : which == half::send ? SHUT_WR : SHUT_RDWR;
    const int done = executor::current().io().shutdown(fd(), how);
    return done < 0 ? result<void>(error_of(done)) : result<void>();
}

}  // namespace ouro::net
