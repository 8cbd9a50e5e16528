// The harness is tested with scenarios that are broken on purpose: it must name each of them.

#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/dies.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

const sim::test_setting simulated{.kind = reactor_kind::sim, .seed = 1};

std::string complaint_about(sim::test_body body, const sim::test_setting& where = simulated) {
    return sim::complaint(sim::run_test(body, where));
}

/// For a test that goes on for ever.
std::string complaint_of_impatience(sim::test_body body,
                                    const sim::test_setting& where = simulated) {
    return sim::complaint(sim::run_test(body, where, {.patience = 1s}));
}

bool contains(const std::string& text, const char* part) {
    const bool found = text.find(part) != std::string::npos;
    if (!found) MESSAGE("this does not contain \"", part, "\": ", text);
    return found;
}

/// The settings of OURO_TEST_IO.
std::vector<sim::test_setting> all_settings() {
    auto settings = sim::real_settings();
    settings.push_back(simulated);
    return settings;
}

/// Waits, and refuses to be cancelled.
class stubborn_await final : public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        wait_regardless(by.promise());
        return true;
    }
    void await_resume() const noexcept {}
    void describe(leaf_description& into) const override { into.text("something stubborn"); }

private:
    void cancel(cancel_reason) noexcept override {}
};

/// Waits for nothing at all.
class forever_await final : public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return wait(by.promise());
    }
    void await_resume() const { throw_error(errc::cancelled); }
    void describe(leaf_description& into) const override { into.text("forever"); }

private:
    void cancel(cancel_reason) noexcept override { resume(); }
};

class idle_timer final : public timer {
    void fire() noexcept override {}
};

task<> nothing() { co_return; }

task<> wait_forever() { co_await forever_await(); }

task<> be_stubborn() {
    stubborn_await never;
    co_await never;
}

TEST_CASE("a good test has no complaint") {
    for (const sim::test_setting& where : all_settings())
        CHECK_MESSAGE(complaint_about(nothing, where).empty(), complaint_about(nothing, where));
}

TEST_CASE("a test that waits for nothing would have deadlocked") {
    for (const sim::test_setting& where : all_settings()) {
        const std::string said = complaint_about(wait_forever, where);
        CHECK(contains(said, "would have deadlocked"));
        CHECK(contains(said, "forever"));  // from the dump
    }
}

task<> wait_for_a_peer() {
    int ends[2];
    reactor& io = executor::current().io();
    REQUIRE(io.socket_pair(AF_UNIX, SOCK_STREAM, ends) == 0);
    descriptor near(ends[0]);
    descriptor far(ends[1]);
    std::byte space[1];
    co_await recv_op(near, space);
}

TEST_CASE("waiting for a peer that nobody plays is a deadlock in simulation, a hang in reality") {
    for (const sim::test_setting& where : all_settings()) {
        const bool real = where.kind != reactor_kind::sim;
        const std::string said = real ? complaint_of_impatience(wait_for_a_peer, where)
                                      : complaint_about(wait_for_a_peer);
        CHECK(contains(said, real ? "takes too long" : "would have deadlocked"));
        CHECK(contains(said, "recv"));
    }
}

task<> tick() {
    for (;;) co_await sleep_for(1s);
}

task<> yield_forever() {
    for (;;) co_await yield();
}

TEST_CASE("a test that never ends is given up, though virtual time passes or none at all") {
    CHECK(contains(complaint_of_impatience(tick), "takes too long"));
    CHECK(contains(complaint_of_impatience(yield_forever), "takes too long"));
}

task<> throw_something() {
    co_await yield();
    throw std::runtime_error("the moon is down");
}

TEST_CASE("an exception out of the body is a complaint") {
    CHECK(contains(complaint_about(throw_something), "the test threw: the moon is down"));
}

task<> leave_tasks_running() {
    spawn(tick).detach();
    spawn(wait_forever).detach();
    co_await settle();
}

TEST_CASE("tasks that are left running are cancelled and joined") {
    for (const sim::test_setting& where : all_settings())
        CHECK(complaint_about(leave_tasks_running, where) == "");
}

task<> leave_a_stubborn_task() {
    spawn(be_stubborn).detach();
    co_await settle();
}

TEST_CASE("a task that does not end when cancelled is named") {
    for (const sim::test_setting& where : all_settings()) {
        const std::string said = complaint_about(leave_a_stubborn_task, where);
        CHECK(contains(said, "1 tasks that do not end when cancelled"));
        CHECK(contains(said, "something stubborn"));
    }
}

TEST_CASE("a harness that had to give up an executor goes on with the next") {
    CHECK(complaint_about(leave_a_stubborn_task) != "");
    CHECK(complaint_about(nothing) == "");
}

// What leaks must be reachable, so that the address sanitizer does not complain, too.
task<>* leaked_frame;
idle_timer* leaked_timer;
join_handle<void>* leaked_handle;

task<> leak_a_frame() {
    leaked_frame = new task<>(nothing());
    co_await yield();
}

TEST_CASE("a leaked frame is counted") {
    CHECK(contains(complaint_about(leak_a_frame), "left behind: 1 frames"));
}

task<> leak_a_timer() {
    leaked_timer = new idle_timer;
    executor::current().timers().arm(*leaked_timer, INT64_MAX);
    co_await yield();
}

TEST_CASE("a leaked timer is counted") {
    CHECK(contains(complaint_about(leak_a_timer), "1 timers"));
}

task<> leak_a_record() {
    leaked_handle = new join_handle<void>(spawn(nothing));
    co_await *leaked_handle;
}

TEST_CASE("a leaked task record is counted") {
    CHECK(contains(complaint_about(leak_a_record), "1 task records"));
}

task<> leak_a_descriptor() {
    executor::current().io().open_socket(AF_INET, SOCK_STREAM, 0);
    co_await yield();
}

TEST_CASE("a leaked descriptor is counted, simulated or real") {
    CHECK(contains(complaint_about(leak_a_descriptor), "1 descriptors"));
    for (const sim::test_setting& where : sim::real_settings()) {
        const int lowest_free = ::dup(0);  // what the leak will get
        ::close(lowest_free);
        int first_after = -1;
        CHECK(contains(complaint_about(leak_a_descriptor, where), "descriptors of the process"));
        for (int fd = lowest_free; fd < lowest_free + 16 && first_after < 0; ++fd) {
            int type = 0;
            socklen_t size = sizeof type;
            if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) first_after = fd;
        }
        REQUIRE(first_after >= 0);
        ::close(first_after);
    }
}

task<> close_twice() {
    reactor& io = executor::current().io();
    const int fd = io.open_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(io.close(fd) == 0);
    CHECK(io.close(fd) == -EBADF);
    co_await yield();
}

TEST_CASE("closing twice is noticed") {
    CHECK(contains(complaint_about(close_twice), "1 closes of what was not open"));
}

task<> keep_a_buffer() {
    int ends[2];
    reactor& io = executor::current().io();
    REQUIRE(io.socket_pair(AF_UNIX, SOCK_STREAM, ends) == 0);
    descriptor near(ends[0]);
    descriptor far(ends[1]);
    const std::byte one[1]{};
    co_await send_op(far, one);
    static auto& kept = *new lease;
    kept = co_await leased_recv_op(near);
}

TEST_CASE("a lease that is kept is counted") {
    for (const sim::test_setting& where : all_settings())
        CHECK(contains(complaint_about(keep_a_buffer, where), "1 receive buffers that are lent"));
}

TEST_CASE("seeds and reactors are said by name") {
    CHECK(sim::test_setting{.kind = reactor_kind::sim, .seed = 9}.name() == "sim, OURO_SEED=9");
    CHECK(sim::test_setting{.kind = reactor_kind::epoll}.name() == "epoll");
}

TEST_CASE("the environment chooses the seeds") {
    const char* was_one = std::getenv("OURO_SEED");
    const char* was_many = std::getenv("OURO_SEEDS");
    ::unsetenv("OURO_SEED");
    ::setenv("OURO_SEEDS", "6", 1);
    CHECK(sim::test_seeds() == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6});
    ::setenv("OURO_SEEDS", "300-302", 1);
    CHECK(sim::test_seeds() == std::vector<std::uint64_t>{300, 301, 302});
    ::setenv("OURO_SEED", "77", 1);
    CHECK(sim::test_seeds() == std::vector<std::uint64_t>{77});
    was_one ? ::setenv("OURO_SEED", was_one, 1) : ::unsetenv("OURO_SEED");
    was_many ? ::setenv("OURO_SEEDS", was_many, 1) : ::unsetenv("OURO_SEEDS");
}

}  // namespace

namespace {

/// From now on this process has no io_uring.
bool refuse_rings() {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{4, filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

task<> nothing_to_do() { co_return; }

std::string complaints_of_all_settings() {
    std::string all;
    for (const sim::test_setting& where : sim::real_settings())
        all += sim::complaint(sim::run_test(nothing_to_do, where));
    return all;
}

}  // namespace

TEST_CASE("a machine without io_uring fails the ring's tests until it is told to leave them out") {
    const ending told = in_child([] {
        ::unsetenv("OURO_REACTOR");
        if (!refuse_rings()) return 1;
        std::fputs(complaints_of_all_settings().c_str(), stderr);
        ::setenv("OURO_REACTOR", "epoll", 1);
        return complaints_of_all_settings().empty() ? 0 : 2;
    });
    CHECK(told.exit_code == 0);
    CHECK(told.says("uring cannot be had here: "));
    CHECK(told.says("set OURO_REACTOR=epoll to leave its tests out"));
}
