// dies.hpp: proving that a misuse ends in an assertion.
#pragma once

#include <csignal>
#include <cstdio>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ouro {

/// Runs `act` in a child process. What that wrote to standard error when it ended in an abort; else
/// a sentence that says how it ended.
template <class Act>
std::string last_words(Act&& act) {
    int ends[2];
    if (::pipe(ends) < 0) return "no pipe";
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return "no child";
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);  // doctest has its own handler
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::dup2(ends[1], STDERR_FILENO);
        act();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string words;
    char block[512];
    for (ssize_t got; (got = ::read(ends[0], block, sizeof block)) > 0;)
        words.append(block, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) return words;
    return "it did not abort, it said: " + words;
}

/// True when `act` ends in an assertion whose expression contains `words`.
template <class Act>
bool asserts(const char* words, Act&& act) {
    const std::string said = last_words(act);
    const bool as_expected = said.find("assertion failed: ") == 0 &&
                             said.find(words) != std::string::npos;
    if (!as_expected) std::fprintf(stderr, "expected an assertion: %s\n", said.c_str());
    return as_expected;
}

}  // namespace ouro
