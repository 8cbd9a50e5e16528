// child_process.hpp: programs that a test starts, and what they need: ports, patience.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ouro {

/// A running program; killed at the end. The kernel kills it, too, when the thread that started it
/// is gone, so that a test which crashes leaves nothing behind: start it on a thread that stays.
class child_process {
public:
    /// Starts `command`, looked up in PATH; what it prints is appended to the file `log`. Throws
    /// std::system_error.
    child_process(const std::vector<std::string>& command, const std::string& log);
    ~child_process() { kill(); }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    pid_t pid() const noexcept { return pid_; }
    bool running() noexcept;

    /// SIGKILL, and waits until it is gone. No effect when it is.
    void kill() noexcept;
    /// SIGSTOP, and waits until it stands still; SIGCONT.
    void pause() noexcept;
    void resume() noexcept;

    /// Its exit code once it has ended by itself, else -1.
    int exit_code() const noexcept { return exit_code_; }

private:
    void ended(int status) noexcept;

    pid_t pid_ = -1;
    bool running_ = true;
    int exit_code_ = -1;
};

/// A TCP port of 127.0.0.1 that nobody uses now; the ones at each of `offsets` above it neither.
///
/// It is taken from below the ports that the kernel gives to outgoing connections, so that a server
/// can be started again on its port later.
std::uint16_t free_port(const std::vector<int>& offsets = {});

/// Asks `condition` again and again until it holds; an exception counts as no. After `patience` it
/// throws std::runtime_error with `what` and the last exception.
void eventually(const std::string& what, const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(60));

/// The last lines of a file, for reports.
std::string tail_of(const std::string& file);

/// A connected blocking socket that gives up after ten seconds of silence; closed at the end. For
/// the short conversations of a fixture.
class blocking_socket {
public:
    /// Throws std::system_error.
    explicit blocking_socket(std::uint16_t port);
    explicit blocking_socket(const std::string& unix_path);
    ~blocking_socket();
    blocking_socket(const blocking_socket&) = delete;
    blocking_socket& operator=(const blocking_socket&) = delete;

    void send(const std::string& text);
    /// Up to and with the next newline; `count` bytes. When it ends first: std::runtime_error.
    std::string line();
    std::string bytes(std::size_t count);

private:
    void more();

    int fd_;
    std::string received_;
};

}  // namespace ouro
