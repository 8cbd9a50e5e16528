// kernel_streams.hpp: descriptors that are no sockets, for tests on real reactors.
#pragma once

#include <ouro/net/stream.hpp>
#include <ouro/runtime/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

namespace ouro::net {

/// The two ends of a pipe, as numbers.
struct pipe_numbers {
    int reads = -1, writes = -1;
};

inline pipe_numbers new_pipe(int flags = O_CLOEXEC) {
    int ends[2];
    if (::pipe2(ends, flags) < 0) throw_error(error_of(-errno));
    return {ends[0], ends[1]};
}

/// The two ends of a pipe, as streams.
struct pipe_streams {
    stream in, out;
};

inline pipe_streams stream_pipe(int flags = O_CLOEXEC) {
    const pipe_numbers made = new_pipe(flags);
    return {stream::from(made.reads), stream::from(made.writes)};
}

/// A file without a name that holds `text`, with its offset at the beginning.
inline int file_with(std::string_view text) {
    const int fd = ::memfd_create("ouro stream", MFD_CLOEXEC);
    if (fd < 0) throw_error(error_of(-errno));
    if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw_error(error_of(-errno));
    ::lseek(fd, 0, SEEK_SET);
    return fd;
}

/// Everything in the file, wherever its offset stands.
inline std::string content_of(int fd) {
    std::string text(1 << 20, '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
}

inline bool blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

}  // namespace ouro::net
