#include <ouro/runtime/signals.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

void send_self(int number) { ::kill(::getpid(), number); }

using handler = void (*)(int);

handler action_of(int number) {
    struct sigaction now = {};
    ::sigaction(number, nullptr, &now);
    return now.sa_handler;
}

TEST_CASE("a signal wakes who waits for it, and the old action comes back") {
    const handler before = action_of(SIGHUP);
    auto body = []() -> task<> {
        signal_set set{SIGHUP, SIGUSR2};
        send_self(SIGUSR2);
        const int second = co_await set.next();
        CHECK(second == SIGUSR2);
        send_self(SIGHUP);
        const int first = co_await set.next();
        CHECK(first == SIGHUP);
    };
    block_on(body());
    CHECK((action_of(SIGHUP) == before));
}

TEST_CASE("signals that come between two awaits are kept") {
    auto body = []() -> task<> {
        signal_set set{SIGHUP, SIGUSR2};
        send_self(SIGUSR2);
        send_self(SIGHUP);
        co_await yield();
        const int one = co_await set.next();
        const int two = co_await set.next();
        CHECK(one + two == SIGHUP + SIGUSR2);
        const auto none = co_await as_result(timeout(1ms, set.next()));
        CHECK(none.error() == errc::timed_out);
    };
    block_on(body());
}

TEST_CASE("every set gets the signal, on whatever worker its task waits") {
    auto body = []() -> task<> {
        auto ready = shared_oneshot<int>();
        auto wait_there = [&]() -> task<int> {
            signal_set set{SIGHUP};
            ready.sender.send(1);
            co_return co_await set.next();
        };
        auto there = [&]() -> task<int> { co_return co_await call_on(1, wait_there); };
        auto other = spawn(there);
        signal_set set{SIGHUP};
        co_await ready.receiver.recv();
        send_self(SIGHUP);
        const int here = co_await set.next();
        CHECK(here == SIGHUP);
        const int got_there = co_await other;
        CHECK(got_there == SIGHUP);
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("one signal, once") {
    auto body = []() -> task<> {
        const handler before = action_of(SIGHUP);  // nohup ignores it, for one
        auto waiter = spawn(signal(SIGHUP));
        while (action_of(SIGHUP) == before) co_await yield();
        send_self(SIGHUP);
        const int got = co_await waiter;
        CHECK(got == SIGHUP);
        CHECK((action_of(SIGHUP) == before));
    };
    block_on(body());
}

OURO_TEST("in simulation signals are delivered by the test") {
    signal_set set{SIGTERM};
    auto waiter = [&]() -> task<int> { co_return co_await set.next(); };
    auto one = spawn(waiter);
    co_await settle();
    deliver_signal(SIGTERM);
    const int got = co_await one;
    CHECK(got == SIGTERM);
}

task<> scenario() {
    signal_set set{SIGUSR2};
    deliver_signal(SIGUSR2);
    co_await set.next();
    auto later = []() -> task<> {
        co_await yield();
        deliver_signal(SIGUSR2);
    };
    auto sender = spawn(later);
    co_await set.next();
    co_await sender;
}

TEST_CASE("waiting for a signal can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

// --- run() and signals ----------------------------------------------------------------------

task<> until_stopped(int signal_to_send, cancel_reason& why) {
    send_self(signal_to_send);
    event never;
    auto stopped = co_await as_result(timeout(1h, never.wait()));
    CHECK(stopped.error() == errc::cancelled);
    why = current_cancellation();
}

TEST_CASE("SIGINT and SIGTERM stop the run with the reason shutdown, and come back") {
    for (const int number : {SIGINT, SIGTERM}) {
        const handler before = action_of(number);
        cancel_reason why = cancel_reason::none;
        CHECK(run(until_stopped(number, why)) == 0);
        CHECK(why == cancel_reason::shutdown);
        CHECK((action_of(number) == before));
    }
}

TEST_CASE("who has a set with SIGTERM decides for himself") {
    auto body = []() -> task<int> {
        signal_set set{SIGTERM};
        send_self(SIGTERM);
        const int got = co_await set.next();
        co_await yield();
        CHECK(current_cancellation() == cancel_reason::none);
        co_return got;
    };
    CHECK(run(body()) == SIGTERM);
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

TEST_CASE("a second signal kills, even when the loop is held up") {
    auto child = [] {
        auto body = []() -> task<> {
            send_self(SIGINT);
            for (;;) send_self(SIGTERM);  // never comes back to the loop
            co_return;
        };
        return run(body());
    };
    CHECK(outcome_of(child) == -SIGTERM);
}

TEST_CASE("writing into a closed pipe is an error while a program runs, not its end") {
    auto child = [] {
        auto body = []() -> task<int> {
            int ends[2];
            if (::pipe(ends) != 0) co_return 1;
            ::close(ends[0]);
            const bool broken = ::write(ends[1], "x", 1) < 0 && errno == EPIPE;
            co_return broken ? 0 : 2;
        };
        const int code = run(body());
        return action_of(SIGPIPE) == SIG_DFL ? code : 3;
    };
    CHECK(outcome_of(child) == 0);
}

/// What a child process writes to standard error until it has said all of `parts`; it is told to
/// stop then.
template <class Child>
std::string errors_of(Child child, std::initializer_list<const char*> parts) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[0]);
        ::alarm(60);
        ::_exit(child());
    }
    ::close(ends[1]);
    std::string said;
    bool stopped = false;
    char block[512];
    for (ssize_t n; (n = ::read(ends[0], block, sizeof block)) > 0;) {
        said.append(block, static_cast<std::size_t>(n));
        bool all = true;
        for (const char* part : parts) all = all && said.find(part) != said.npos;
        if (all && !std::exchange(stopped, true)) ::kill(pid, SIGTERM);
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status));
    return said;
}

TEST_CASE("SIGUSR1 prints who waits where, on every worker") {
    auto child = [] {
        auto body = []() -> task<> {
            event never;
            auto nap = [&]() -> task<> { co_await timeout(1h, never.wait()); };
            auto napper = spawn(nap);
            napper.set_name("napper");
            co_await yield();
            send_self(SIGUSR1);
            co_await napper;
        };
        return run(body(), {.workers = 2, .dump_on_sigusr1 = true});
    };
    const auto parts = {"on worker 0", "on worker 1", "\"napper\", waiting"};
    const std::string said = errors_of(child, parts);
    for (const char* part : parts) CHECK_MESSAGE(said.find(part) != said.npos, said);
}

// --- what others get, and what was there before ---------------------------------------------

TEST_CASE("a program started from a run has the default action for SIGPIPE") {
    auto body = []() -> task<int> {
        const char* ask = "grep -q '^SigIgn:.*[13579bdf]...$' /proc/self/status";  // bit 12
        auto start = [ask] { return std::system(ask); };
        const int ignored = co_await blocking(start);
        co_return WEXITSTATUS(ignored);
    };
    auto child = [&] { return run(body()); };
    CHECK(outcome_of(child) == 1);  // grep found nothing
}

TEST_CASE("SIGINT and SIGTERM that were ignored stay ignored, until somebody asks for them") {
    for (const int number : {SIGINT, SIGTERM}) {
        auto child = [number] {
            ::signal(number, SIG_IGN);
            auto body = [number]() -> task<int> {
                send_self(number);
                co_await yield();
                co_await yield();
                if (current_cancellation() != cancel_reason::none) co_return 1;
                if (action_of(number) != SIG_IGN) co_return 2;
                signal_set set{number};
                send_self(number);
                const int got = co_await set.next();
                co_return got == number ? 0 : 3;
            };
            const int code = run(body());
            return action_of(number) == SIG_IGN ? code : 4;
        };
        CHECK(outcome_of(child) == 0);
    }
}

TEST_CASE("a stop by SIGTERM leaves a SIGINT ignored that was") {
    auto child = [] {
        ::signal(SIGINT, SIG_IGN);
        auto body = []() -> task<int> {
            send_self(SIGTERM);
            event never;
            static_cast<void>(co_await as_result(timeout(1h, never.wait())));
            co_return action_of(SIGINT) == SIG_IGN ? 0 : 1;
        };
        return run(body());
    };
    CHECK(outcome_of(child) == 0);
}

}  // namespace
