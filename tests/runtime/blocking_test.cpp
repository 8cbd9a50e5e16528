#include <ouro/runtime/blocking.hpp>

#include <ouro/runtime/abandonable.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/metrics.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/runtime/workers.hpp>
#include <ouro/tests/dies.hpp>

#include <pthread.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

TEST_CASE("a call runs on another thread and brings its value back") {
    auto body = []() -> task<> {
        const auto here = std::this_thread::get_id();
        const auto there = co_await blocking([] { return std::this_thread::get_id(); });
        CHECK(there != here);
        CHECK(std::this_thread::get_id() == here);
        auto give_back = [](std::unique_ptr<int> mine, int plus) {
            *mine += plus;
            return mine;
        };
        auto got = co_await blocking(give_back, std::make_unique<int>(40), 2);
        CHECK(*got == 42);
        bool done = false;
        co_await blocking([&] { done = true; });
        CHECK(done);
    };
    block_on(body());
}

TEST_CASE("an exception comes back, too") {
    auto body = []() -> task<> {
        auto fails = []() -> int { throw std::runtime_error("deep down"); };
        CHECK_THROWS_WITH(co_await blocking(fails), "deep down");
    };
    block_on(body());
}

OURO_TEST("without a run, as in simulation, the call is made at once") {
    const auto here = std::this_thread::get_id();
    const auto there = co_await blocking([] { return std::this_thread::get_id(); });
    CHECK(there == here);
}

task<> scenario() {
    const int two = co_await blocking([] { return 2; });
    CHECK(two == 2);
    co_await timeout(1s, blocking([] {}));
}

TEST_CASE("it can be cancelled anywhere") {
    const sweep_report sweep = cancel_everywhere(scenario);
    CHECK(sweep.points > 0);
    CHECK_MESSAGE(sweep.clean(), sweep.complaints);
}

TEST_CASE("a call that has not begun is cancelled, one that has is waited for") {
    auto body = []() -> task<> {
        std::binary_semaphore gate{0};
        auto begun = shared_oneshot<int>();
        bool second_made = false;
        auto first = [&]() -> task<int> {
            auto work = [&] {
                begun.sender.send(1);
                gate.acquire();
                return 5;
            };
            co_return co_await blocking(work);
        };
        auto second = [&]() -> task<> { co_await blocking([&] { second_made = true; }); };
        auto one = spawn(first);
        co_await begun.receiver.recv();
        auto two = spawn(second);
        co_await yield();
        two.cancel();
        auto refused = co_await as_result(two);
        CHECK(refused.error() == errc::cancelled);
        one.cancel();
        co_await yield();
        CHECK_FALSE(one.finished());
        gate.release();
        const int value = co_await one;
        CHECK(value == 5);
        CHECK_FALSE(second_made);
    };
    block_on(body(), {.blocking_threads_max = 1});
}

TEST_CASE("a call that takes a stop token is told") {
    auto body = []() -> task<> {
        auto begun = shared_oneshot<int>();
        auto patient = [&begun](std::stop_token stop, int value) {
            begun.sender.send(1);
            while (!stop.stop_requested()) std::this_thread::yield();
            return value;
        };
        auto call = [&]() -> task<int> { co_return co_await blocking(patient, 3); };
        auto handle = spawn(call);
        co_await begun.receiver.recv();
        handle.cancel();
        const int value = co_await handle;
        CHECK(value == 3);
    };
    block_on(body());
}

TEST_CASE("no more threads than allowed, and all calls are made") {
    struct crowd {
        std::atomic<int> inside = 0;
        std::atomic<int> most = 0;
        std::atomic<int> calls = 0;
    } all;
    auto work = [&all] {
        const int now = all.inside.fetch_add(1) + 1;
        int seen = all.most.load();
        while (seen < now && !all.most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        all.inside.fetch_sub(1);
        all.calls.fetch_add(1);
    };
    auto body = [&]() -> task<> {
        auto one = [&]() -> task<> { co_await blocking(work); };
        auto many = [&](scope& tasks) -> task<> {
            for (int i = 0; i < 500; ++i) tasks.spawn(one);
            co_return;
        };
        co_await with_scope(many);
        CHECK(workers::current().pool().threads() <= 3);
    };
    block_on(body(), {.blocking_threads_max = 3});
    CHECK(all.calls.load() == 500);
    CHECK(all.most.load() <= 3);
}

TEST_CASE("what does not fit into the queue is refused, one beyond the limit") {
    auto body = []() -> task<> {
        std::binary_semaphore gate{0};
        auto begun = shared_oneshot<int>();
        auto hold = [&]() -> task<> {
            auto work = [&] {
                begun.sender.send(1);
                gate.acquire();
            };
            co_await blocking(work);
        };
        auto quick = []() -> task<> { co_await blocking([] {}); };
        auto holder = spawn(hold);
        co_await begun.receiver.recv();
        auto first = spawn(quick);
        auto second = spawn(quick);
        co_await yield();
        auto third = co_await as_result(blocking([] {}));
        CHECK(third.error() == errc::overloaded);
        gate.release();
        co_await holder;
        co_await first;
        co_await second;
        co_await blocking([] {});
    };
    block_on(body(), {.blocking_threads_max = 1, .blocking_queue_max = 2});
}

TEST_CASE("many calls that are cancelled around their beginning") {
    auto body = []() -> task<> {
        for (int i = 0; i < 500; ++i) {
            auto call = []() -> task<int> { co_return co_await blocking([] { return 1; }); };
            auto handle = spawn(call);
            for (int n = 0; n < i % 5; ++n) co_await yield();
            handle.cancel();
            auto got = co_await as_result(handle);
            CHECK((got ? *got == 1 : got.error() == errc::cancelled));
        }
    };
    block_on(body(), {.blocking_threads_max = 2});
}

/// A job that raises an event when it is done.
class simple_job final : public blocking_job {
public:
    explicit simple_job(event& over) noexcept : over_(over) {}
    void work() noexcept override { by = std::this_thread::get_id(); }
    void done() noexcept override { over_.set(); }

    std::thread::id by;

private:
    event& over_;
};

TEST_CASE("an idle thread ends after a while, and the next job starts another") {
    auto body = []() -> task<> {
        blocking_pool pool(nullptr, {.threads_max = 2, .queue_max = 4, .idle_time = 1ms});
        CHECK(pool.threads() == 0);
        for (int i = 0; i < 3; ++i) {
            event over;
            simple_job job(over);
            REQUIRE(pool.submit(job));
            co_await over.wait();
            CHECK(job.by != std::thread::id());  // a thread ran it, which may have ended by now
            CHECK(job.by != std::this_thread::get_id());
            while (pool.threads() > 0) std::this_thread::yield();
        }
        CHECK(pool.shut_down(1s));
    };
    block_on(body());
}

TEST_CASE("jobs can be submitted without a coroutine of their own") {
    auto body = []() -> task<> {
        event over;
        simple_job job(over);
        REQUIRE(submit_blocking(job));
        co_await over.wait();
        CHECK(job.by != std::this_thread::get_id());
        CHECK_FALSE(withdraw_blocking(job));  // it is over
    };
    block_on(body());
}

TEST_CASE("a run waits for the calls that its tasks made") {
    std::atomic<bool> finished = false;
    auto body = [&]() -> task<> {
        auto begun = std::make_shared<shared_oneshot_ends<int>>();
        auto slow = [&finished, begun] {
            begun->sender.send(1);
            std::this_thread::sleep_for(5ms);
            finished = true;
        };
        auto call = [slow]() -> task<> { co_await blocking(slow); };
        spawn(call);
        co_await begun->receiver.recv();
    };
    block_on(body());
    CHECK(finished.load());
}

// --- refusals -------------------------------------------------------------------------------

TEST_CASE("no thread to be had is another error than a full queue") {
    const ending how = in_child([] {
        pthread_attr_t huge;
        ::pthread_attr_init(&huge);
        ::pthread_attr_setstacksize(&huge, std::size_t{1} << 46);
        ::pthread_setattr_default_np(&huge);
        auto body = []() -> task<int> {
            const auto call = co_await as_result(blocking([] {}));
            const auto left = co_await as_result(abandonable(blocking_lane::lookups, [] {}));
            co_return call.error() == errc::no_thread&& left.error() == errc::no_thread ? 0 : 1;
        };
        return block_on(body());
    });
    CAPTURE(how.said);
    CHECK(how.exit_code == 0);
    CHECK(make_error_code(errc::no_thread).message() == "no thread can be had");
}

TEST_CASE("options under which nothing could ever run are refused with the name of the option") {
    struct refusal {
        runtime_options options;
        const char* name;
    };
    const refusal refusals[] = {
        {{.blocking_threads_max = 0}, "blocking_threads_max"},
        {{.file_threads_max = 0}, "file_threads_max"},
        {{.lookup_threads_max = 0}, "lookup_threads_max"},
        {{.blocking_queue_max = 0}, "blocking_queue_max"},
        {{.workers = 0}, "workers"},
    };
    auto body = []() -> task<> { co_return; };
    for (const refusal& each : refusals) {
        const std::string words = std::string("runtime_options::") + each.name + " is 0";
        const ending how = in_child([&] { return run(body(), each.options); });
        CHECK(how.exit_code == 1);
        CHECK_MESSAGE(how.says(words.c_str()), how.said);
        std::string what;
        try {
            block_on(body(), each.options);
        } catch (const std::system_error& error) {
            CHECK(error.code() == std::errc::invalid_argument);
            what = error.what();
        }
        CHECK_MESSAGE(what.find(words) != what.npos, what);
    }
}

// --- calls that are left to their thread ----------------------------------------------------

/// What a call that is left to its thread owns together with the test.
struct held_call {
    std::binary_semaphore begun{0};
    std::binary_semaphore gate{0};
    std::atomic<bool> ended = false;

    void until_ended() const {
        while (!ended) std::this_thread::yield();
    }
};

int hold(std::shared_ptr<held_call> state) {
    state->begun.release();
    state->gate.acquire();
    state->ended = true;
    return 1;
}

TEST_CASE("an abandonable call brings its value back, or its exception") {
    auto body = []() -> task<> {
        auto twice = [](std::unique_ptr<int> n) { return *n * 2; };
        const int four =
            co_await abandonable(blocking_lane::calls, twice, std::make_unique<int>(2));
        CHECK(four == 4);
        auto fails = []() -> int { throw std::runtime_error("deep down"); };
        CHECK_THROWS_WITH(co_await abandonable(blocking_lane::lookups, fails), "deep down");
    };
    block_on(body());
}

TEST_CASE("who abandons a call goes on at once, and so does the run") {
    auto state = std::make_shared<held_call>();
    auto body = [&]() -> task<> {
        auto call = [&]() -> task<> { co_await abandonable(blocking_lane::lookups, hold, state); };
        auto waiting = spawn(call);
        co_await yield();
        state->begun.acquire();
        waiting.cancel();
        const auto abandoned = co_await as_result(waiting);
        CHECK(abandoned.error() == errc::cancelled);
        CHECK_FALSE(state->ended.load());
    };
    block_on(body(), {.grace = duration::max()});
    CHECK_FALSE(state->ended.load());
    state->gate.release();
    state->until_ended();
}

TEST_CASE("an abandonable call that has not begun is never made") {
    auto state = std::make_shared<held_call>();
    auto made = std::make_shared<std::atomic<bool>>(false);
    auto body = [&]() -> task<> {
        auto first = [&]() -> task<> { co_await abandonable(blocking_lane::lookups, hold, state); };
        auto second = [&]() -> task<> {
            auto note = [](std::shared_ptr<std::atomic<bool>> into) { *into = true; };
            co_await abandonable(blocking_lane::lookups, note, made);
        };
        auto one = spawn(first);
        co_await yield();
        state->begun.acquire();
        auto two = spawn(second);
        co_await yield();
        two.cancel();
        const auto abandoned = co_await as_result(two);
        CHECK(abandoned.error() == errc::cancelled);
        state->gate.release();
        co_await one;
    };
    block_on(body(), {.lookup_threads_max = 1});
    CHECK_FALSE(made->load());
}

TEST_CASE("many abandonable calls that are cancelled around their beginning and their end") {
    auto body = []() -> task<> {
        for (int i = 0; i < 500; ++i) {
            auto call = []() -> task<int> {
                auto one = [] { return 1; };
                co_return co_await abandonable(blocking_lane::lookups, one);
            };
            auto handle = spawn(call);
            for (int n = 0; n < i % 5; ++n) co_await yield();
            handle.cancel();
            auto got = co_await as_result(handle);
            CHECK((got ? *got == 1 : got.error() == errc::cancelled));
        }
    };
    for (int i = 0; i < 5; ++i) block_on(body(), {.lookup_threads_max = 2});
}

// --- calls that outlive their run -----------------------------------------------------------

task<> note_that_it_runs(std::shared_ptr<std::atomic<int>> count) {
    ++*count;
    co_return;
}

std::atomic<int> refusals_heard = 0;

void count_refusals(log_level level, std::string_view text) {
    if (level == log_level::warning && text.find("the run is over") != text.npos) ++refusals_heard;
}

/// All that a call may ask of its run.
void ask_everything(const remote_task& handle, std::shared_ptr<std::atomic<int>> count) {
    spawn_on(0, note_that_it_runs, count);
    spawn_anywhere(note_that_it_runs, count).cancel();
    CHECK(least_loaded_worker() == 0);
    remote_task copy = handle;
    copy.cancel();
    CHECK(metrics().workers.empty());
    CHECK(dump_all_tasks(duration::zero()) == "the run is over\n");
    CHECK(worker_count() == 2);
    request_stop();
}

TEST_CASE("a call that outlives its run is refused what it asks of it") {
    set_log(count_refusals);
    refusals_heard = 0;
    auto state = std::make_shared<held_call>();
    auto count = std::make_shared<std::atomic<int>>(0);
    auto body = [&]() -> task<> {
        auto forever = []() -> task<> { co_await sleep_for(1h); };
        auto slow = [state, count, handle = spawn_on(1, forever)] {
            state->begun.release();
            state->gate.acquire();
            ask_everything(handle, count);
            state->ended = true;
        };
        auto call = [](auto work) -> task<> { co_await blocking(std::move(work)); };
        spawn(call, slow);
        co_await yield();
        state->begun.acquire();
    };
    block_on(body(), {.workers = 2, .grace = 1ms});
    auto other = []() -> task<> { co_await yield(); };
    block_on(other());  // a run that has nothing to do with it
    state->gate.release();
    state->until_ended();
    CHECK(count->load() == 0);
    CHECK(refusals_heard == 2);
    set_log(nullptr);
}

TEST_CASE("a call that spawns without end keeps no run alive past the grace period") {
    auto state = std::make_shared<held_call>();
    auto stop = std::make_shared<std::atomic<bool>>(false);
    auto count = std::make_shared<std::atomic<int>>(0);
    auto body = [&]() -> task<> {
        auto spawns = [state, stop, count] {
            state->begun.release();
            for (int sent = 0; !*stop;) {  // eight are always under way
                if (sent - *count < 8) {
                    spawn_anywhere(note_that_it_runs, count);
                    ++sent;
                } else {
                    std::this_thread::yield();
                }
            }
            state->ended = true;
        };
        auto call = [](auto work) -> task<> { co_await blocking(std::move(work)); };
        spawn(call, spawns);
        co_await yield();
        state->begun.acquire();
    };
    block_on(body(), {.workers = 3, .grace = 20ms});
    *stop = true;
    state->until_ended();
}

}  // namespace
