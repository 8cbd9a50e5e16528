// dies.hpp: proving how a process ends: by an assertion, or with an exit code.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

namespace ouro {

/// How a child process ended, and what it wrote to standard error.
struct ending {
    int exit_code = -1;
    int signal = 0;
    std::string said;

    bool says(const char* words) const { return said.find(words) != std::string::npos; }
};

/// Runs `act`, which returns an exit code, in a child process.
template <class Act>
ending in_child(Act&& act) {
    ending how;
    int ends[2];
    if (::pipe(ends) < 0) return how;
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return how;
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);  // doctest has its own handlers
        std::signal(SIGTERM, SIG_DFL);
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        ::alarm(60);  // one that hangs instead
        const int code = act();
        std::fflush(nullptr);
        ::_exit(code);
    }
    ::close(ends[1]);
    char block[512];
    for (ssize_t got; (got = ::read(ends[0], block, sizeof block)) > 0;)
        how.said.append(block, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) how.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) how.signal = WTERMSIG(status);
    return how;
}

/// What `mistake` writes to standard error when an assertion ends it; empty when it survives.
template <class Mistake>
std::string dies(Mistake&& mistake) {
    const ending how = in_child([&] {
        mistake();
        return 0;
    });
    return how.signal == SIGABRT ? how.said : std::string();
}

/// True when `act` ends in an assertion whose text contains `words`.
template <class Act>
bool asserts(const char* words, Act&& act) {
    const std::string said = dies(act);
    if (said.starts_with("assertion failed: ") && said.find(words) != said.npos) return true;
    std::fprintf(stderr, "expected an assertion; it said: %s\n", said.c_str());
    return false;
}

inline bool says(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

}  // namespace ouro
