#include <ouro/net/standard_streams.hpp>

#include <ouro/runtime/engine/executor.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ouro::net {
namespace {

/// Opens the same pipe or terminal once more, so that its flags are our own; -1 where that does not
/// go. A pipe that nobody reads any more is among these (ENXIO).
int opened_again(int number) noexcept {
    const int mode = ::fcntl(number, F_GETFL);
    if (mode < 0) return -1;
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    return ::open(path, (mode & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int own_copy(int number, mode_t kind) noexcept {
    const bool waits = S_ISFIFO(kind) || S_ISCHR(kind);
    // A ring waits by itself.
    const bool wants_nonblocking = !executor::current("a stream").io().performs_files();
    const int again = waits && wants_nonblocking ? opened_again(number) : -1;
    return again >= 0 ? again : ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

stream standard(int number) {
    struct stat what;
    if (::fstat(number, &what) < 0) throw_error(error_of(-errno));
    const int copy = own_copy(number, what.st_mode);
    if (copy < 0) throw_error(error_of(-errno));
    // Every operation on a connected socket says that it is not to wait: no flag is needed.
    if (S_ISSOCK(what.st_mode)) return stream(descriptor(copy));
    try {
        return stream::from(copy);
    } catch (...) {
        ::close(copy);
        throw;
    }
}

}  // namespace

stream standard_input() { return standard(STDIN_FILENO); }
stream standard_output() { return standard(STDOUT_FILENO); }
stream standard_error() { return standard(STDERR_FILENO); }

}  // namespace ouro::net
