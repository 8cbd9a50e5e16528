#include <ouro/net/listener.hpp>

#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>

namespace ouro::net {
namespace {

constexpr duration pause_min = std::chrono::milliseconds(100);
constexpr duration pause_max = std::chrono::seconds(1);

// So many failures in a row are passed over at once; then it is not the connections.
constexpr int broken_in_a_row_max = 16;

reactor& io() noexcept { return executor::current().io(); }

/// Simulated sockets have no files.
bool files_are_real() noexcept { return io().name() != "sim"; }

/// True when a Unix socket's file is a socket, and connecting to it is refused: whoever listened
/// there is gone. Any doubt is a no.
bool is_stale(const endpoint& where) {
    struct stat file;
    if (::lstat(std::string(where.path()).c_str(), &file) != 0 || !S_ISSOCK(file.st_mode))
        return false;
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return false;
    const int connected = ::connect(probe, where.address(), where.length());
    const bool refused = connected < 0 && errno == ECONNREFUSED;
    ::close(probe);
    return refused;
}

/// Holds the folder of a Unix socket's file while a listener starts there, so that of two that
/// start over one stale file the second finds the first one's, which listens by then. Where the
/// folder cannot be had, files are not replaced.
class folder_lock {
public:
    explicit folder_lock(std::string path) {
        const std::size_t end = path.rfind('/');
        path.resize(end == std::string::npos ? 0 : end + 1);
        fd_ = ::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int tries = 0; fd_ >= 0 && !held_ && tries < tries_max; ++tries) {
            held_ = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
            if (!held_) ::usleep(try_again_us);
        }
    }
    folder_lock(const folder_lock&) = delete;
    folder_lock& operator=(const folder_lock&) = delete;
    ~folder_lock() {
        if (fd_ >= 0) ::close(fd_);
    }

    bool held() const noexcept { return held_; }

private:
    // The others need a few system calls; somebody else may hold the folder for other reasons.
    static constexpr int tries_max = 100;
    static constexpr unsigned try_again_us = 1'000;

    int fd_;
    bool held_ = false;
};

int bind_to(int fd, const endpoint& where, bool may_replace) {
    const int bound = io().bind(fd, where.address(), where.length());
    if (bound != -EADDRINUSE || where.path().empty()) return bound;
    if (!may_replace || !is_stale(where)) return bound;
    ::unlink(std::string(where.path()).c_str());
    return io().bind(fd, where.address(), where.length());
}

result<void> set_options(int fd, int domain, const listener_options& options) noexcept {
    result<void> done;
    if (domain != AF_UNIX && options.reuse_address)
        done = set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (done && options.reuse_port) done = set_socket_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (done && domain == AF_INET6)
        done = set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only);
    // On Linux accepted connections inherit these, so accepting costs no further call.
    if (done) done = set_stream_options(fd, domain, options.accepted);
    return done;
}

result<descriptor> listen_on(const endpoint& where, const listener_options& options) {
    const int opened = io().open_socket(where.domain(), SOCK_STREAM, 0);
    if (opened < 0) return error_of(opened);
    descriptor fd(opened);
    if (const auto set = set_options(opened, where.domain(), options); !set) return set.error();
    std::optional<folder_lock> folder;
    if (!where.path().empty() && files_are_real()) folder.emplace(std::string(where.path()));
    const bool may_replace = options.replace_stale && folder && folder->held();
    if (const int bound = bind_to(opened, where, may_replace); bound < 0) return error_of(bound);
    if (const int listens = io().listen(opened, options.backlog); listens < 0)
        return error_of(listens);
    return fd;
}

/// Errors that pass when others give back what they hold.
bool is_exhaustion(std::error_code error) noexcept {
    return error == std::errc::too_many_files_open ||
           error == std::errc::too_many_files_open_in_system ||
           error == std::errc::no_buffer_space || error == std::errc::not_enough_memory;
}

/// Errors of the listening socket itself. Everything else befell one connection (accept(2) passes
/// on whatever its network reported).
bool is_hopeless(std::error_code error) noexcept {
    return error == errc::cancelled || error == std::errc::bad_file_descriptor ||
           error == std::errc::invalid_argument || error == std::errc::not_a_socket ||
           error == std::errc::operation_not_supported || error == std::errc::bad_address;
}

}  // namespace

listener::listener(const endpoint& where, const listener_options& options) {
    result<descriptor> fd = listen_on(where, options);
    if (!fd && !options.v6_only && lacks_ipv6(where, fd.error()))
        fd = listen_on(endpoint::any_ipv4(where.port()), options);
    if (!fd) throw std::system_error(fd.error(), "cannot listen on " + where.to_string());
    local_ = local_endpoint(fd->number()).value();
    if (options.unlink_on_close && files_are_real()) remember_file();
    acceptor_ = acceptor(*std::move(fd), {.queue_max = options.queue_max});
}

listener listener::adopt(int fd, const listener_options& options) {
    if (socket_option(fd, SOL_SOCKET, SO_TYPE).value() != SOCK_STREAM ||
        socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN).value() != 1)
        throw std::system_error(error_of(-EINVAL), "cannot adopt a socket that does not listen");
    listener made;
    made.local_ = local_endpoint(fd).value();
    const int domain = made.local_.domain();
    set_stream_options(fd, domain, options.accepted).value();
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) throw_error(error_of(-errno));
    descriptor own(fd);
    made.acceptor_ = acceptor(std::move(own), {.queue_max = options.queue_max});
    return made;
}

listener& listener::operator=(listener&& other) noexcept {
    close();
    acceptor_ = std::move(other.acceptor_);
    local_ = other.local_;
    file_ = std::exchange(other.file_, {});
    stats_ = other.stats_;
    pause_ = other.pause_;
    broken_in_a_row_ = other.broken_in_a_row_;
    return *this;
}

task<stream> listener::accept() {
    for (;;) {
        auto taken = co_await as_result(acceptor_.accept());
        if (taken) {
            ++stats_.accepted;
            pause_ = {};
            broken_in_a_row_ = 0;
            co_return stream(*std::move(taken));
        }
        const std::error_code why = taken.error();
        if (is_hopeless(why)) throw_error(why);
        if (is_exhaustion(why))
            ++stats_.exhausted;
        else if (passes_over())
            continue;
        const duration length = next_pause();
        say_that_it_pauses(why);
        co_await sleep_for(length);
    }
}

void listener::say_that_it_pauses(std::error_code why) const noexcept {
    if (!log_enabled()) return;
    try {
        log(log_level::warning, "accepting on " + local_.to_string() + " pauses: " + why.message());
    } catch (const std::bad_alloc&) {
        log(log_level::warning, "accepting pauses, and there is no memory to say where");
    }
}

/// Counts a connection that failed; false when it is time to pause.
bool listener::passes_over() noexcept {
    ++stats_.broken;
    if (++broken_in_a_row_ < broken_in_a_row_max) return true;
    broken_in_a_row_ = 0;
    ++stats_.refused;
    return false;
}

duration listener::next_pause() noexcept {
    pause_ = std::clamp(pause_ * 2, pause_min, pause_max);
    return pause_;
}

void listener::remember_file() {
    struct stat file;
    const std::string path(local_.path());
    if (!path.empty() && ::lstat(path.c_str(), &file) == 0)
        file_ = {path, file.st_dev, file.st_ino};
}

void listener::close() noexcept {
    acceptor_.close();
    if (file_.path.empty()) return;
    struct stat file;
    if (::lstat(file_.path.c_str(), &file) == 0 && file.st_dev == file_.device &&
        file.st_ino == file_.number)
        ::unlink(file_.path.c_str());
    file_ = {};
}

}  // namespace ouro::net
