#include <ouro/runtime/metrics.hpp>

#include <ouro/runtime/log.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

TEST_CASE("a histogram has one bucket per power of two") {
    log2_histogram times;
    CHECK(times.count() == 0);
    CHECK(times.percentile(50) == 0);
    for (const std::uint64_t value : {0, 1, 2, 3, 4, 1000}) times.record(value);
    CHECK(times.count() == 6);
    CHECK(times.max() == 1000);
    CHECK(times.in_bucket(0) == 1);
    CHECK(times.in_bucket(2) == 2);
    CHECK(times.in_bucket(10) == 1);
    CHECK(times.percentile(0) == 0);
    CHECK(times.percentile(50) == 3);  // upper end of 2..3
    CHECK(times.percentile(80) == 7);  // upper end of 4..7
    CHECK(times.percentile(100) == 1000);
    times.record(~std::uint64_t{0});
    CHECK(times.percentile(100) == ~std::uint64_t{0});

    log2_histogram sum;
    sum.add(times);
    sum.add(times);
    CHECK(sum.count() == 14);
    CHECK(sum.max() == ~std::uint64_t{0});
}

OURO_TEST("figures count tasks, polls and timers") {
    const worker_metrics before = metrics().workers.at(0);
    CHECK(before.tasks == 1);
    auto fails = []() -> task<> {
        co_await sleep_for(1s);
        throw std::runtime_error("lost");
    };
    spawn(fails);
    co_await yield();
    CHECK(metrics().workers.at(0).tasks == 2);
    co_await sleep_for(2s);
    const worker_metrics after = metrics().workers.at(0);
    CHECK(after.tasks == 1);
    CHECK(after.spawned == before.spawned + 1);
    CHECK(after.failed == before.failed + 1);
    CHECK(after.timers_fired == before.timers_fired + 2);
    CHECK(after.polls > before.polls);
    CHECK(after.turns > before.turns);
    CHECK(to_string(after).find("1 tasks, ") != std::string::npos);
}

TEST_CASE("the figures of all workers can be read from each of them, and added") {
    auto body = []() -> task<> {
        auto nap = []() -> task<> { co_await sleep_for(1h); };
        spawn_on(1, nap);
        co_await call_on(1, this_worker);
        auto read = [] { return metrics(); };
        const runtime_metrics seen = co_await call_on(2, read);
        CHECK(seen.workers.size() == 3);
        CHECK(seen.workers[1].tasks == 1);
        CHECK(seen.workers[1].worker == 1);
        CHECK(seen.workers[1].remote_calls >= 2);
        CHECK(seen.workers[2].reactor == executor::current().io().name());
        CHECK(seen.total().tasks == 2);
        CHECK(seen.workers[0].times.loop_lag.count() == 0);  // nobody asked for it
    };
    block_on(body(), {.workers = 3});
}

TEST_CASE("loops are measured when asked for") {
    auto body = []() -> task<> {
        for (int i = 0; i < 200; ++i) co_await yield();
        for (int i = 0; i < 3; ++i) co_await sleep_for(10us);
        const worker_metrics here = metrics().workers.at(0);
        CHECK(here.times.poll_time.count() > 10);
        CHECK(here.times.poll_time.count() < here.polls);
        CHECK(here.times.loop_lag.count() >= 3);
        CHECK(here.times.stalls == 0);
        const std::string text = to_string(metrics());
        CHECK(text.find("poll p50") != text.npos);
        CHECK(text.find("loop lag p50") != text.npos);
    };
    block_on(body(), {.measure_loop = true});
}

std::string heard;

void keep_warnings(log_level level, std::string_view text) {
    if (level == log_level::warning) heard += std::string(text) + '\n';
}

void hold_loop(std::chrono::milliseconds length) {
    const auto until = std::chrono::steady_clock::now() + length;
    while (std::chrono::steady_clock::now() < until) {
    }
}

task<> held_between_awaits() {
    co_await yield();
    hold_loop(25ms);
    co_await yield();
}

TEST_CASE("a task that holds the loop too long is named with the place") {
    heard.clear();
    set_log(keep_warnings);
    auto body = []() -> task<> {
        auto handle = spawn(held_between_awaits());
        handle.set_name("greedy");
        co_await handle;
        co_await sleep_for(1us);  // that turn is over
        CHECK(metrics().workers.at(0).times.stalls >= 1);
        CHECK(metrics().workers.at(0).times.poll_time.max() >= 25'000'000);
        CHECK(metrics().workers.at(0).times.loop_lag.max() >= 25'000'000);
    };
    block_on(body(), {.stall_threshold = 20ms});
    set_log(nullptr);
    CAPTURE(heard);
    CHECK(heard.find("stall: task 2 \"greedy\" held worker 0 for ") != heard.npos);
    CHECK(heard.find(" in held_between_awaits, after tests/runtime/metrics_test.cpp:") !=
          heard.npos);
    CHECK(heard.find(", before tests/runtime/metrics_test.cpp:") != heard.npos);
}

}  // namespace
