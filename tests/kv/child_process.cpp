#include <ouro/tests/kv/child_process.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace ouro {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool is_free(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    const sockaddr_in address = loopback(static_cast<std::uint16_t>(port));
    const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return bound;
}

int connected(int domain, const sockaddr* address, socklen_t length) {
    const int fd = ::socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(fd, address, length) == 0) return fd;
    const int error = errno;
    ::close(fd);
    // A ring in this thread may interrupt it.
    if (error == EINTR) return connected(domain, address, length);
    errno = error;
    fail("connect");
}

// Between fork and exec only what is safe in a signal handler.
[[noreturn]] void become(char* const* command, int log, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int signal : {SIGPIPE, SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execvp(command[0], command);
    const char* reason = std::strerror(errno);
    for (const char* part : {"cannot start ", static_cast<const char*>(command[0]), ": ", reason}) {
        if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
    }
    ::_exit(127);
}

}  // namespace

child_process::child_process(const std::vector<std::string>& command, const std::string& log) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const int out = ::open(log.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (out < 0) fail("open");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become(words.data(), out, parent);
    const int error = errno;
    ::close(out);
    errno = error;
    if (pid_ < 0) fail("fork");
}

bool child_process::running() noexcept {
    int status = 0;
    if (running_ && ::waitpid(pid_, &status, WNOHANG) == pid_) ended(status);
    return running_;
}

void child_process::kill() noexcept {
    if (!running_) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    ended(status);
}

void child_process::pause() noexcept {
    if (!running_) return;
    ::kill(pid_, SIGSTOP);
    int status = 0;
    while (::waitpid(pid_, &status, WUNTRACED) < 0 && errno == EINTR) {
    }
    if (!WIFSTOPPED(status)) ended(status);
}

void child_process::resume() noexcept {
    if (running_) ::kill(pid_, SIGCONT);
}

void child_process::ended(int status) noexcept {
    running_ = false;
    if (WIFEXITED(status)) exit_code_ = WEXITSTATUS(status);
}

std::uint16_t free_port(const std::vector<int>& offsets) {
    static std::mt19937 chance(std::random_device{}());
    std::uniform_int_distribution<int> ports(12'000, 21'999);  // 32768 is where the kernel begins
    for (int tries = 0; tries < 1000; ++tries) {
        const int port = ports(chance);
        bool all_free = is_free(port);
        for (const int offset : offsets) all_free = all_free && is_free(port + offset);
        if (all_free) return static_cast<std::uint16_t>(port);
    }
    throw std::runtime_error("no free port from 12000 to 21999");
}

void eventually(const std::string& what, const std::function<bool()>& condition,
                std::chrono::milliseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    std::string problem;
    for (;;) {
        try {
            if (condition()) return;
            problem = "it did not hold";
        } catch (const std::exception& error) {
            problem = error.what();
        }
        if (std::chrono::steady_clock::now() > end)
            throw std::runtime_error("waited in vain until " + what + ": " + problem);
        std::this_thread::sleep_for(5ms);
    }
}

std::string tail_of(const std::string& file) {
    std::ifstream in(file);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    constexpr std::size_t bytes_max = 4000;
    return text.size() > bytes_max ? text.substr(text.size() - bytes_max) : text;
}

blocking_socket::blocking_socket(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    fd_ = connected(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

blocking_socket::blocking_socket(const std::string& unix_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (unix_path.size() >= sizeof address.sun_path)
        throw std::runtime_error("too long for a socket: " + unix_path);
    std::memcpy(address.sun_path, unix_path.c_str(), unix_path.size() + 1);
    fd_ = connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

blocking_socket::~blocking_socket() { ::close(fd_); }

void blocking_socket::send(const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) fail("send");
        if (n > 0) sent += static_cast<std::size_t>(n);
    }
}

std::string blocking_socket::line() {
    std::size_t end;
    while ((end = received_.find('\n')) == received_.npos) more();
    return bytes(end + 1);
}

std::string blocking_socket::bytes(std::size_t count) {
    while (received_.size() < count) more();
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
}

void blocking_socket::more() {
    char block[16 * 1024];
    const ssize_t n = ::recv(fd_, block, sizeof block, 0);
    if (n == 0) throw std::runtime_error("the server closed the connection");
    if (n < 0 && errno != EINTR) fail("recv");
    if (n > 0) received_.append(block, static_cast<std::size_t>(n));
}

}  // namespace ouro
