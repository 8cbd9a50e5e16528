// pipe_through: runs a command, feeds it standard input and passes on what it writes, both at once.
//
//   pipe_through [--reactor auto|uring|epoll] COMMAND [ARGUMENT…]
//
// Says in the end, on standard error, what the command said of itself, and ends with its code; with
// 128 and the number of the signal when one ended it, and with 127 when it could not be started.

#include "arguments.hpp"
#include <ouro/net/relay.hpp>
#include <ouro/net/standard_streams.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

using namespace ouro;

namespace {

/// A process with pipes to its standard input and from its standard output.
struct child {
    pid_t process = -1;
    descriptor ended;  // readable when it has (pidfd)
    net::stream in, out;
};

int checked(int result) {
    if (result < 0) throw_error(error_of(-errno));
    return result;
}

/// Both ends of a pipe. Ours is a stream; the child's is closed here once the child has it.
struct one_pipe {
    net::stream ours;
    descriptor theirs;
};

one_pipe new_pipe(bool we_write) {
    int ends[2];
    checked(::pipe2(ends, O_CLOEXEC));  // a child that held our end would never see its own end
    descriptor theirs(ends[we_write ? 0 : 1]);
    return {net::stream::from(ends[we_write ? 1 : 0]), std::move(theirs)};
}

child start(char** command) {
    one_pipe in = new_pipe(true), out = new_pipe(false);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.theirs.number(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out.theirs.number(), STDOUT_FILENO);
    child made;
    const int failed =
        ::posix_spawnp(&made.process, command[0], &actions, nullptr, command, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw_error(error_of(-failed));
    made.ended = descriptor(
        static_cast<int>(checked(static_cast<int>(::syscall(SYS_pidfd_open, made.process, 0U)))));
    made.in = std::move(in.ours);
    made.out = std::move(out.ours);
    return made;
}

/// Everything from one to the other, until one of them has ended; a reader that has seen enough is
/// no error.
task<> pass_on(net::stream& from, net::stream& to) {
    const auto moved = co_await as_result(net::copy(from, to));
    static_cast<void>(to.shutdown(net::half::send));  // the end is passed on, too
    if (moved || moved.error() == std::errc::broken_pipe) co_return;
    throw_error(moved.error());
}

/// As `pass_on`; when nobody reads any more, the child is to hear of it.
task<> pass_out(net::stream& from, net::stream& to) {
    co_await pass_on(from, to);
    co_await from.close();
}

/// Feeding and taking go on side by side: a command that writes before it has read everything waits
/// for its reader, and would no longer read. What it has not read when it ends, nobody wants.
task<> feed_and_take(child& of, net::stream& in, net::stream& out) {
    auto both = [&](scope& tasks) -> task<> {
        auto feeding = tasks.spawn(pass_on, in, of.in);
        tasks.spawn(pass_out, of.out, out);
        co_await poll_op(of.ended, poll_op::event::readable);
        feeding.cancel();
    };
    co_await with_scope(both);
}

/// What became of it, in words on standard error and as a code.
int report(const char* name, const siginfo_t& end) {
    if (end.si_code == CLD_EXITED) {
        std::fprintf(stderr, "%s ended with %d\n", name, end.si_status);
        return end.si_status;
    }
    std::fprintf(stderr, "%s was ended by signal %d\n", name, end.si_status);
    return 128 + end.si_status;
}

task<int> pipe_through(char** command) {
    net::stream in = net::standard_input();
    net::stream out = net::standard_output();
    child running;
    try {
        running = start(command);
    } catch (const std::system_error& failure) {
        std::fprintf(stderr, "%s: %s\n", command[0], failure.code().message().c_str());
        co_return 127;
    }
    const auto passed = co_await as_result(feed_and_take(running, in, out));
    // Whatever went wrong: without its pipes it will end, and must be waited for.
    co_await running.in.close();
    co_await running.out.close();
    if (!passed) {
        std::fprintf(stderr, "pipe_through: %s\n", passed.error().message().c_str());
        ::kill(running.process, SIGTERM);
    }
    siginfo_t end{};
    checked(::waitid(P_PID, static_cast<id_t>(running.process), &end, WEXITED));
    const int code = report(command[0], end);
    co_return passed ? code : 1;
}

}  // namespace

int main(int argc, char** argv) {
    int first = 1;  // of the command
    while (first < argc && std::strncmp(argv[first], "--", 2) == 0) first += 2;
    if (first >= argc) examples::wrong_usage("name a command, such as: pipe_through sort -r");
    const examples::arguments given(first, argv, {"reactor"});
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    runtime_options options;
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    return run(pipe_through(argv + first), options);
}
