// Which reactor a run gets, and what happens when the kernel refuses something. Refusals are made
// by a seccomp filter in a child process.

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

/// From now on, this process gets `error` from system call `number`.
bool refuse(unsigned number, unsigned error) {
    std::array<sock_filter, 4> filter{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{filter.size(), filter.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Runs `check` in a child process; true when it answered true.
bool answers_in_child(bool (*check)()) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(check() ? 0 : 1);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string logged;

void keep_log(log_level, std::string_view text) { logged += text; }

task<bool> exchanges_bytes() {
    ends pair = unix_pair();
    co_await send_all(pair.near, bytes_of("hello"));
    std::array<std::byte, 5> space;
    const auto got = co_await receive_all(pair.far, space);
    co_return text_of(got) == "hello";
}

task<bool> works_on_epoll(std::string_view because) {
    const bool well = co_await exchanges_bytes();
    co_return well&& io().name() == "epoll" && reactor_choice().find(because) !=
                                                   std::string_view::npos&& logged.find(because) !=
                                                   std::string::npos;
}

/// The reason is named in the system's own words.
bool falls_back(unsigned error) {
    ::unsetenv("OURO_REACTOR");
    set_log(keep_log);
    const std::string because = std::strerror(static_cast<int>(error));
    return refuse(SYS_io_uring_setup, error) && block_on(works_on_epoll(because));
}

bool falls_back_when_forbidden() { return falls_back(EPERM); }
bool falls_back_when_unknown() { return falls_back(ENOSYS); }
bool falls_back_without_memory() { return falls_back(ENOMEM); }

bool refuses_what_was_asked_for() {
    ::unsetenv("OURO_REACTOR");
    if (!refuse(SYS_io_uring_setup, EPERM)) return false;
    std::string reason;
    try {
        make_reactor({.kind = reactor_kind::uring}, reason);
        return false;
    } catch (const std::system_error& error) {
        return error.code() == errc::unsupported &&
               std::string_view(error.what()).find("not permitted") != std::string_view::npos;
    }
}

task<bool> sleeps_long_enough() {
    bool well = true;
    for (const duration length : {duration(1us), duration(300us), duration(5ms)}) {
        const auto start = clock::exact_now();
        co_await sleep_for(length);
        well = well && clock::exact_now() - start >= length;
    }
    co_return well;
}

bool sleeps_without_exact_waits() {
    ::setenv("OURO_REACTOR", "epoll", 1);
    return refuse(SYS_epoll_pwait2, ENOSYS) && block_on(sleeps_long_enough()) &&
           block_on(exchanges_bytes());
}

bool sleeps_where_exact_waits_are_forbidden() {
    ::setenv("OURO_REACTOR", "epoll", 1);
    if (!refuse(SYS_epoll_pwait2, EPERM)) return false;
    const auto reactor = make_epoll_reactor({});
    const std::int64_t before = reactor->now();
    reactor->turn(before + 20'000'000);
    const bool slept = reactor->now() - before >= 20'000'000;
    return slept && block_on(sleeps_long_enough()) && block_on(exchanges_bytes());
}

/// What the loop lives by is gone, and it must wait.
template <int Call, unsigned... More>
void loses(const char* kind) {
    ::setenv("OURO_REACTOR", kind, 1);
    std::string reason;
    const auto reactor = make_reactor({}, reason);
    if (!refuse(Call, EPERM)) return;
    (void(refuse(More, EPERM)), ...);
    reactor->turn(reactor->now() + 1'000'000'000);
}

std::string name_with(const char* wish, reactor_kind kind = reactor_kind::automatic) {
    ::setenv("OURO_REACTOR", wish, 1);
    std::string reason;
    return std::string(make_reactor({.kind = kind}, reason)->name());
}

bool follows_the_environment() {
    return name_with("epoll") == "epoll" && name_with("uring") == "uring" &&
           name_with("uring", reactor_kind::epoll) == "epoll";
}

bool rejects_an_unknown_name() {
    try {
        name_with("kqueue");
        return false;
    } catch (const std::system_error& error) {
        return error.code() == errc::unsupported;
    }
}

}  // namespace

TEST_CASE("a forbidden io_uring leaves epoll, and the log says why") {
    CHECK(answers_in_child(falls_back_when_forbidden));
}

TEST_CASE("a kernel without io_uring leaves epoll, and the log says why") {
    CHECK(answers_in_child(falls_back_when_unknown));
}

TEST_CASE("a ring for which there is no memory leaves epoll, and the log says why") {
    CHECK(answers_in_child(falls_back_without_memory));
}

TEST_CASE("a ring that was asked for and cannot be had is an error that says why") {
    CHECK(answers_in_child(refuses_what_was_asked_for));
}

TEST_CASE("epoll sleeps long enough without epoll_pwait2, too") {
    CHECK(answers_in_child(sleeps_without_exact_waits));
}

TEST_CASE("OURO_REACTOR chooses, and an option overrules it") {
    CHECK(answers_in_child(follows_the_environment));
    CHECK(answers_in_child(rejects_an_unknown_name));
}

TEST_CASE("epoll sleeps where a filter forbids epoll_pwait2") {
    CHECK(answers_in_child(sleeps_where_exact_waits_are_forbidden));
}

TEST_CASE("a loop whose own call is refused for good ends the program with a sentence") {
    const std::string epoll = dies([] { loses<SYS_epoll_pwait2, SYS_epoll_wait>("epoll"); });
    CHECK(epoll.starts_with("ouro: epoll_wait failed: Operation not permitted; "));
    const std::string ring = dies([] { loses<SYS_io_uring_enter>("uring"); });
    CHECK(ring.starts_with("ouro: io_uring_enter failed: Operation not permitted; "));
}
