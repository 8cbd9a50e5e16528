// Children that are forked in the middle of a run. Not for the thread sanitizer, which lets no
// child of several threads start threads.

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/signals.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

void send_self(int number) { ::kill(::getpid(), number); }

task<> until_stopped(int signal_to_send, cancel_reason& why) {
    send_self(signal_to_send);
    event never;
    auto stopped = co_await as_result(timeout(1h, never.wait()));
    CHECK(stopped.error() == errc::cancelled);
    why = current_cancellation();
}

/// What a child process ended with: an exit code, or minus the signal that killed it.
template <class Child>
int outcome_of(Child child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGABRT, SIGALRM})
            ::signal(number, SIG_DFL);
        ::alarm(60);
        ::_exit(child());
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Forks inside a task of a run; what the child ended with.
template <class Child>
int outcome_in_task(Child child, runtime_options options) {
    auto body = [&]() -> task<int> {
        signal_set others{SIGUSR2};
        auto waiter = [&]() -> task<> { static_cast<void>(co_await as_result(others.next())); };
        auto waiting = spawn(waiter);
        co_await yield();
        const int code = outcome_of(child);
        waiting.cancel();
        co_await waiting;
        co_return code;
    };
    auto outer = [&] { return run(body(), options); };
    return outcome_of(outer);
}

TEST_CASE("a child that was forked in a task may have runs of its own") {
    for (const reactor_kind kind : {reactor_kind::automatic, reactor_kind::epoll}) {
        for (const unsigned workers : {1U, 2U}) {
            runtime_options options{.workers = workers};
            options.reactor.kind = kind;
            auto child = [&] {
                auto count = []() -> task<int> {
                    co_await sleep_for(1ms);
                    auto two = [] { return 2; };
                    const int got = co_await blocking(two);
                    co_return got + static_cast<int>(worker_count());
                };
                for (int i = 0; i < 2; ++i)
                    if (block_on(count(), options) != 2 + static_cast<int>(workers)) return 1;
                return run(count(), options);
            };
            CHECK(outcome_in_task(child, options) == 2 + static_cast<int>(workers));
        }
    }
}

TEST_CASE("a child that was forked in a task ends by a signal, and its own run stops for it") {
    auto plain = [] {
        send_self(SIGTERM);
        return 1;
    };
    auto with_run = [] {
        cancel_reason why = cancel_reason::none;
        const int code = run(until_stopped(SIGTERM, why));
        return code == 0 && why == cancel_reason::shutdown ? 7 : 1;
    };
    // outcome_of restores the default actions, which a program need not do.
    auto untouched = [&]() -> task<int> {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(60);
            ::_exit(plain());
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        co_return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    };
    auto outer = [&] { return run(untouched()); };
    CHECK(outcome_of(outer) == SIGTERM);
    CHECK(outcome_in_task(with_run, {}) == 7);
}

}  // namespace
