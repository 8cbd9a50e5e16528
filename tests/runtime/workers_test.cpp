#include <ouro/runtime/workers.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// --- running --------------------------------------------------------------------------------

task<int> seven() { co_return 7; }
task<> nothing() { co_return; }
task<int> throws() {
    co_await yield();
    throw std::runtime_error("no luck today");
}

TEST_CASE("run returns what main returned, for any number of workers") {
    for (const unsigned n : {1U, 2U, 5U}) {
        CHECK(run(seven(), {.workers = n}) == 7);
        CHECK(run(nothing(), {.workers = n}) == 0);
    }
}

TEST_CASE("a main that fails is told in one line, and the exit code is 1") {
    const ending report = in_child([] { return run(throws()); });
    CHECK(report.exit_code == 1);
    CHECK(report.said == "no luck today\n");
}

TEST_CASE("runs nest in threads and follow each other") {
    auto outer = []() -> task<int> {
        auto inner = [] { return block_on(seven(), {.workers = 2}); };
        co_return co_await blocking(inner);
    };
    for (int i = 0; i < 3; ++i) CHECK(block_on(outer()) == 7);
}

TEST_CASE("every worker has a number, a reactor and a reason for it") {
    auto body = []() -> task<> {
        CHECK(worker_count() == 3);
        CHECK(this_worker() == 0);
        auto reason = [] { return std::string(reactor_choice()); };
        auto reasons = co_await on_each_worker(reason);
        for (const std::string& one : reasons) CHECK(one == "epoll: asked for");
    };
    block_on(body(), {.workers = 3, .reactor = {.kind = reactor_kind::epoll}});
}

// --- stopping -------------------------------------------------------------------------------

struct counts {
    std::atomic<int> begun = 0;
    std::atomic<int> ended = 0;
};

/// Counts itself while it lives in a frame.
struct presence {
    explicit presence(counts& of) : of_(of) { ++of_.begun; }
    ~presence() { ++of_.ended; }
    counts& of_;
};

task<> sleeper(counts& all) {
    presence here(all);
    co_await sleep_for(1h);
}
task<> waiter(counts& all) {
    presence here(all);
    event never;
    co_await timeout(1h, never.wait());
}
task<> caller(counts& all) {
    presence here(all);
    co_await call_on((this_worker() + 1) % worker_count(), sleeper, std::ref(all));
}
task<> parent(counts& all) {
    presence here(all);
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(sleeper, all);
        tasks.spawn(caller, all);
        co_await sleep_for(1h);
    };
    co_await with_scope(body);
}
task<> blocker(counts& all) {
    presence here(all);
    for (;;) co_await blocking([] { std::this_thread::yield(); });
}
task<> receiver(counts& all, shared_channel<int>& from) {
    presence here(all);
    while (co_await from.recv()) {
    }
}
task<> spinner(counts& all) {
    presence here(all);
    for (;;) co_await yield();
}
task<> breeder(counts& all) {
    presence here(all);
    for (;;) {
        // Without a limit, a worker that falls behind gets more in each turn than in the last.
        if (all.begun - all.ended < 2000) spawn_anywhere(sleeper, std::ref(all));
        co_await yield();
    }
}

task<> start_everything(counts& all, shared_channel<int>& line) {
    for (unsigned worker = 0; worker < worker_count(); ++worker) {
        spawn_on(worker, sleeper, std::ref(all));
        spawn_on(worker, waiter, std::ref(all));
        spawn_on(worker, caller, std::ref(all));
        spawn_on(worker, parent, std::ref(all));
        spawn_on(worker, blocker, std::ref(all));
        spawn_on(worker, receiver, std::ref(all), std::ref(line));
        spawn_on(worker, spinner, std::ref(all));
        spawn_on(worker, breeder, std::ref(all));
    }
    co_return;
}

TEST_CASE("shutdown in the middle of everything needs no grace and leaves nothing") {
    const std::size_t descriptors = open_descriptors();
    counts all;
    for (int i = 0; i < 40; ++i) {
        shared_channel<int> line(4);
        auto body = [&](int turns) -> task<> {
            co_await start_everything(all, line);
            for (int n = 0; n < turns; ++n) co_await yield();
        };
        block_on(body(i), {.workers = 3, .grace = duration::max()});
    }
    CHECK(all.begun.load() > 40 * 8);
    CHECK(all.begun.load() == all.ended.load());
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("request_stop from any worker stops the run") {
    auto body = []() -> task<> {
        auto stop = []() -> task<> {
            request_stop();
            co_return;
        };
        spawn_on(1, stop);
        auto slept = co_await as_result(sleep_for(1h));
        CHECK(slept.error() == errc::cancelled);
        CHECK(current_cancellation() == cancel_reason::shutdown);
    };
    block_on(body(), {.workers = 2});
}

TEST_CASE("tasks that outlive the grace period are named and left behind") {
    const ending report = in_child([] {
        auto body = []() -> task<> {
            auto stubborn = []() -> task<> {
                event never;
                co_await shield(timeout(1h, never.wait()));
            };
            auto handle = spawn(stubborn);
            handle.set_name("stubborn");
            auto elsewhere = []() -> task<> { co_await shield(sleep_for(1h)); };
            spawn_on(1, elsewhere);
            co_await yield();
            static_cast<void>(co_await as_result(shield(call_on(1, this_worker))));
        };
        return run(body(), {.workers = 2, .grace = 20ms});
    });
    CAPTURE(report.said);
    CHECK(report.exit_code == 1);
    CHECK(report.says("did not end within the grace period of 20 ms"));
    CHECK(report.says("\"stubborn\", waiting"));
    CHECK(report.says("workers_test.cpp:"));
    CHECK(report.says("on worker 1"));
}

TEST_CASE("a blocking call that never returns holds nobody up past the grace period") {
    const ending report = in_child([] {
        auto body = []() -> task<> {
            auto begun = shared_oneshot<int>();
            auto stuck = [to = std::move(begun.sender)]() mutable {
                to.send(1);
                for (;;) ::pause();
            };
            auto call = [](auto what) -> task<> { co_await blocking(std::move(what)); };
            spawn(call, std::move(stuck));
            co_await begun.receiver.recv();
        };
        return run(body(), {.grace = 20ms});
    });
    CAPTURE(report.said);
    CHECK(report.exit_code == 1);
    CHECK(report.says("blocking call"));
}

// --- deadlock -------------------------------------------------------------------------------

task<> wait_forever() {
    event never;
    co_await never.wait();
}

TEST_CASE("a deadlock is reported with who waits where, and ends the run") {
    const ending report = in_child([] { return run(wait_forever()); });
    CAPTURE(report.said);
    CHECK(report.exit_code == 1);
    CHECK(report.says("deadlock: nothing is ready and nothing can ever wake"));
    CHECK(report.says("task 1 \"main\", waiting"));
    CHECK(report.says("wait_forever  tests/runtime/workers_test.cpp:"));
    CHECK(report.says("    event\n"));
}

TEST_CASE("a deadlock of several workers is reported with all of them") {
    const ending report = in_child([] {
        auto body = []() -> task<> { co_await on_each_worker(wait_forever); };
        return run(body(), {.workers = 3});
    });
    CAPTURE(report.said);
    CHECK(report.exit_code == 1);
    for (const char* part : {"on worker 0", "on worker 1", "on worker 2", "call on worker 2"})
        CHECK(report.says(part));
}

TEST_CASE("block_on throws when it deadlocks") {
    const ending report = in_child([] {
        try {
            block_on(wait_forever());
        } catch (const std::system_error& error) {
            return error.code() == errc::deadlock ? 0 : 1;
        }
        return 2;
    });
    CHECK(report.exit_code == 0);
}

TEST_CASE("what somebody outside may still end is no deadlock") {
    auto body = []() -> task<> {
        shared_channel<int> line(1);
        std::thread thread([&] {
            std::this_thread::sleep_for(10ms);
            static_cast<void>(line.try_send(1));
        });
        auto got = co_await line.recv();
        CHECK(*got == 1);
        thread.join();
        const int two = co_await blocking([] {
            std::this_thread::sleep_for(10ms);
            return 2;
        });
        CHECK(two == 2);
    };
    block_on(body());
    block_on(body(), {.workers = 3});
}

task<> pass_on(int rounds) {
    for (int i = 0; i < rounds; ++i) {
        const unsigned other = (this_worker() + 1) % worker_count();
        co_await call_on(other, this_worker);
        if (i % 3 == 0) co_await yield();
    }
}

TEST_CASE("workers that wait for each other in turns are never taken for deadlocked") {
    for (int i = 0; i < 20; ++i) {
        block_on(pass_on(500), {.workers = 2});
        auto all = []() -> task<> {
            auto work = [] { return pass_on(200); };
            co_await on_each_worker(work);
        };
        block_on(all(), {.workers = 4});
    }
}

// --- dumps ----------------------------------------------------------------------------------

TEST_CASE("a dump of all workers names the one that does not answer") {
    auto body = []() -> task<> {
        auto whole = dump_all_tasks(10s);
        CHECK(whole.find("task 1 \"main\", running") != whole.npos);
        CHECK(whole.find("0 tasks on worker 1") != whole.npos);

        std::atomic<bool> held = false;
        std::atomic<bool> released = false;
        auto hold = [&]() -> task<> {
            held = true;
            while (!released) std::this_thread::yield();
            co_return;
        };
        spawn_on(1, hold);
        while (!held) std::this_thread::yield();
        auto partly = dump_all_tasks(10ms);
        CHECK(partly.find("worker 1 does not answer") != partly.npos);
        released = true;
        auto again = dump_all_tasks(10s);
        CHECK(again.find("on worker 1") != again.npos);
        co_await call_on(1, this_worker);  // `held` and `released` are used no more
    };
    block_on(body(), {.workers = 2});
}

}  // namespace
