#include <ouro/runtime/run.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

runtime_options impatient() { return {.grace = 20ms}; }

task<> well() { co_await yield(); }
task<int> code(int value) {
    co_await yield();
    co_return value;
}

task<> fail_with_words() {
    co_await yield();
    throw std::runtime_error("the disk is on fire");
}

task<> fail_with_a_number() {
    co_await yield();
    throw 42;
}

task<> wait_until_told(std::string& into) {
    const auto slept = co_await as_result(sleep_for(1h));
    if (slept.error() != errc::cancelled) co_return;
    into += to_string(current_cancellation());
    throw_error(slept.error());
}

/// Ends only well after it was asked to.
task<> clean_up_slowly(std::string& into) {
    static_cast<void>(co_await as_result(sleep_for(1h)));
    co_await shield(sleep_for(5ms));
    into += "clean";
}

task<> never_ends() { co_await shield(sleep_for(1h)); }

task<> stop_soon() {
    co_await sleep_for(1ms);
    request_stop();
}

/// Waits for what nobody will ever do.
class nothing_await final : public leaf {
public:
    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        return wait(by.promise());
    }
    void await_resume() const { throw_error(errc::cancelled); }
    void describe(leaf_description& into) const override { into.text("nothing at all"); }

private:
    void cancel(cancel_reason) noexcept override { resume(); }
};

task<> wait_for_nothing() {
    nothing_await nothing;
    co_await nothing;
}

}  // namespace

TEST_CASE("the exit code is what main returns, and 0 for a main without a value") {
    CHECK(run(code(7)) == 7);
    CHECK(run(well()) == 0);
    CHECK(run(code(0)) == 0);  // once more, on the same thread
}

TEST_CASE("a main that fails prints one line and ends with 1") {
    const ending words = in_child([] { return run(fail_with_words()); });
    CHECK(words.exit_code == 1);
    CHECK(words.said == "the disk is on fire\n");
    const ending number = in_child([] { return run(fail_with_a_number()); });
    CHECK(number.exit_code == 1);
    CHECK(number.says("unknown type"));
}

TEST_CASE("asking to stop cancels main with the reason shutdown, and is no failure") {
    std::string seen;
    auto main = [&]() -> task<> {
        spawn(stop_soon()).detach();
        co_await wait_until_told(seen);
    };
    CHECK(run(main()) == 0);
    CHECK(seen == "shutdown");
}

TEST_CASE("a main that returns a value although it was asked to stop has it") {
    auto main = []() -> task<int> {
        spawn(stop_soon()).detach();
        static_cast<void>(co_await as_result(sleep_for(1h)));
        co_return 5;
    };
    CHECK(run(main()) == 5);
}

TEST_CASE("a main that ends as cancelled although nobody asked it has failed") {
    const ending how = in_child([] {
        auto main = []() -> task<> {
            auto other = spawn(never_ends());
            other.cancel();
            throw_error(errc::cancelled);
            co_return;
        };
        return run(main(), {.grace = 5ms});
    });
    CHECK(how.exit_code == 1);
    const ending quick = in_child([] {
        auto main = []() -> task<> {
            auto other = spawn(well());
            other.cancel();
            co_await other;
        };
        return run(main());
    });
    CHECK(quick.exit_code == 1);
    CHECK(quick.said == "cancelled\n");
}

TEST_CASE("SIGTERM stops a run") {
    const ending how = in_child([] {
        std::string seen;
        auto main = [&]() -> task<> {
            co_await sleep_for(1ms);
            std::raise(SIGTERM);
            co_await wait_until_told(seen);
        };
        const int got = run(main());
        return seen == "shutdown" ? got : 9;
    });
    CHECK(how.exit_code == 0);
}

TEST_CASE("when main has ended, what else runs is cancelled and joined") {
    std::string seen;
    auto main = [&]() -> task<> {
        spawn(wait_until_told(seen)).detach();
        spawn(clean_up_slowly(seen)).detach();
        co_await sleep_for(1ms);
    };
    CHECK(run(main()) == 0);
    CHECK(seen == "shutdownclean");
}

TEST_CASE("what outlives the grace period is named and left behind") {
    const ending how = in_child([] {
        auto main = []() -> task<> {
            auto stuck = spawn(never_ends());
            stuck.set_name("the stubborn one");
            stuck.detach();
            co_await sleep_for(1ms);
        };
        return run(main(), impatient());  // which is over well before the hour is
    });
    CHECK(how.exit_code == 1);
    CHECK(how.says("grace period"));
    CHECK(how.says("the stubborn one"));
}

TEST_CASE("a main that outlives the grace period is left behind, too, and the thread can go on") {
    const ending how = in_child([] {
        auto main = []() -> task<int> {
            spawn(stop_soon()).detach();
            co_await never_ends();
            co_return 0;
        };
        const int first = run(main(), impatient());
        const int second = run(code(3));
        return first * 10 + second;
    });
    CHECK(how.exit_code == 13);
    const ending blocked = in_child([] {
        auto main = []() -> task<int> {
            spawn(stop_soon()).detach();
            co_await never_ends();
            co_return 0;
        };
        try {
            return block_on(main(), impatient());
        } catch (const std::system_error& error) {
            return error.code() == errc::cancelled ? 7 : 8;
        }
    });
    CHECK(blocked.exit_code == 7);
}

TEST_CASE("a task that ignores being cancelled and waits on and on cannot keep the run alive") {
    const ending how = in_child([] {
        auto deaf = []() -> task<> {
            for (;;) static_cast<void>(co_await as_result(sleep_for(1h)));
        };
        auto main = [&]() -> task<> {
            spawn(deaf).detach();
            co_await sleep_for(1ms);
        };
        return run(main(), impatient());
    });
    CHECK(how.exit_code == 1);
    CHECK(how.says("grace period"));
    CHECK(how.says("run_test.cpp:"));
}

TEST_CASE("an endless grace period is legal") {
    CHECK(run(well(), {.grace = duration::max()}) == 0);
}

TEST_CASE("a program that waits for nothing is told so, with the place") {
    const ending how = in_child([] {
        auto main = []() -> task<> { co_await wait_for_nothing(); };
        return run(main());
    });
    CHECK(how.exit_code == 1);
    CHECK(how.says("deadlock"));
    CHECK(how.says("nothing at all"));
    CHECK(how.says("run_test.cpp:"));
    const ending blocked = in_child([] {
        auto main = []() -> task<> { co_await wait_for_nothing(); };
        try {
            block_on(main());
        } catch (const std::system_error& error) {
            return error.code() == errc::deadlock ? 7 : 8;
        }
        return 9;
    });
    CHECK(blocked.exit_code == 7);
}

TEST_CASE("block_on returns what the task returns, whatever it is") {
    CHECK(block_on(code(4)) == 4);
    block_on(well());
    auto boxed = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    CHECK(*block_on(boxed()) == 3);
    int number = 1;
    auto refer = [](int& to) -> task<int&> { co_return to; };
    CHECK(&block_on(refer(number)) == &number);
    auto body = [&](scope& tasks) -> task<int> {
        auto child = tasks.spawn(code, 5);
        co_return co_await child;
    };
    CHECK(block_on(with_scope(body)) == 5);
}

TEST_CASE("block_on throws what the task throws") {
    std::string what;
    try {
        block_on(fail_with_words());
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "the disk is on fire");
}

TEST_CASE("block_on inside a worker asserts") {
    CHECK(asserts("of_thread_ == nullptr", [] {
        auto main = []() -> task<> {
            block_on(well());
            co_return;
        };
        block_on(main());
    }));
}

TEST_CASE("a run knows its workers and its reactor") {
    auto main = []() -> task<> {
        CHECK(worker_count() == 3);
        CHECK(this_worker() == 0);
        CHECK_FALSE(reactor_choice().empty());
        co_return;
    };
    block_on(main(), {.workers = 3});
    CHECK(worker_count() == 1);
}

/// A first run, and a first error, while descriptors are to be had: the type checks of a sanitizer
/// open a pipe for each type that they have not seen.
void show_every_type(const runtime_options& options) {
    block_on(well(), options);
    try {
        throw std::system_error(EMFILE, std::system_category());
    } catch (const std::exception& error) {
        CHECK_FALSE(std::string(error.what()).empty());
        CHECK(dynamic_cast<const std::system_error&>(error).code().value() == EMFILE);
    }
}

TEST_CASE("a reactor that cannot be had is one sentence and exit code 1, for any worker") {
    for (const unsigned workers : {1U, 2U, 4U}) {
        const auto starve = [&] {
            runtime_options options{.workers = workers == 1 ? 1 : workers + 2};
            options.reactor.kind = reactor_kind::epoll;
            show_every_type(options);
            const rlim_t descriptors = workers == 1 ? 4 : 8;  // 8: enough for two or three loops
            const rlimit few{descriptors, descriptors};
            ::setrlimit(RLIMIT_NOFILE, &few);
            return options;
        };
        const ending how = in_child([&] { return run(code(0), starve()); });
        CHECK(how.exit_code == 1);
        CHECK(how.says("could not start"));
        const ending blocked = in_child([&] {
            try {
                return block_on(code(0), starve());
            } catch (const std::system_error& error) {
                return error.code() == std::errc::too_many_files_open ? 7 : 8;
            }
        });
        CHECK(blocked.exit_code == 7);
    }
}

TEST_CASE("a thousand runs leave nothing behind") {
    for (int i = 0; i < 1000; ++i) REQUIRE(block_on(code(i)) == i);
}
