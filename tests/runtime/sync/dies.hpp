// dies.hpp: what a program says when it breaks a rule.
#pragma once

#include <ouro/runtime/task.hpp>

#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace ouro {

/// Runs `mistake` in a child process and returns what it wrote to standard error when an assertion
/// ended it; empty when it survived.
template <class Mistake>
std::string dies(Mistake mistake) {
    int ends[2];
    if (::pipe(ends) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        std::signal(SIGABRT, SIG_DFL);  // the test framework has its own idea
        mistake();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string said;
    char block[512];
    for (ssize_t n; (n = ::read(ends[0], block, sizeof block)) > 0;)
        said.append(block, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? said : std::string();
}

inline bool says(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

}  // namespace ouro
