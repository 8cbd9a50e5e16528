// cluster_load.hpp: counters in a real cluster that go on while something is done to it.
#pragma once

#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/child_process.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <system_error>
#include <thread>

namespace ouro::testing {

// Load: each task owns a key, counts in it, and knows what it must find.

inline constexpr std::size_t counters = 24;
/// So many rounds of every counter show that it goes on.
inline constexpr std::uint64_t rounds_that_show = 10;
/// How long whatever is waited for may take. A cluster elects a master within seconds.
inline constexpr duration patience = std::chrono::seconds(60);

struct tally {
    bool may_forget = false;  // acknowledged writes may be lost by the servers themselves
    bool over = false;
    std::array<std::atomic<std::uint64_t>, counters> rounds{};  // of each; a thread looks, too
    std::uint64_t failed_writes = 0;
    std::uint64_t failed_reads = 0;
    std::uint64_t wrong = 0;
    std::map<std::string, int> reasons;  // why they failed

    void failed(std::uint64_t& which, std::error_code why) {
        ++which;
        ++reasons[why.message()];
    }

    std::uint64_t done() const {
        std::uint64_t sum = 0;
        for (const auto& each : rounds) sum += each;
        return sum;
    }
    std::array<std::uint64_t, counters> snapshot() const {
        std::array<std::uint64_t, counters> now;
        for (std::size_t n = 0; n < counters; ++n) now[n] = rounds[n];
        return now;
    }
    /// Whether every single counter has gone on since then.
    bool went_on(const std::array<std::uint64_t, counters>& since) const {
        for (std::size_t n = 0; n < counters; ++n)
            if (rounds[n] < since[n] + rounds_that_show) return false;
        return true;
    }
    /// For a thread of its own.
    void wait_for_progress() const {
        const auto since = snapshot();
        eventually("every counter goes on", [&] { return went_on(since); });
    }
};

inline task<> all_go_on(const tally& of) {
    const auto since = of.snapshot();
    while (!of.went_on(since)) co_await sleep_for(std::chrono::milliseconds(1));
}

/// What is read must be there, and the task's own; reads are repeated, so they may not fail.
inline task<> look_at(redis::cluster& db, const std::string& mark, tally& of) {
    const auto said = co_await as_result(db.get(mark));
    if (!said) of.failed(of.failed_reads, said.error());
    if (said && said->has_value() && *said != mark) ++of.wrong;  // somebody else's
    if (said && !said->has_value() && !of.may_forget) ++of.wrong;
    auto batch = db.pipeline();
    auto first = batch.get(mark);
    auto second = batch.strlen(mark);
    const auto ran = co_await as_result(batch.exec());
    const auto text = first.as_result();
    const auto length = second.as_result();
    if (!ran || !text || !length) {
        of.failed(of.failed_reads, !ran ? ran.error() : !text ? text.error() : length.error());
        co_return;
    }
    if (text->has_value() && *text != mark) ++of.wrong;
    if (of.may_forget) co_return;
    if (!text->has_value() || *length != static_cast<std::int64_t>(mark.size())) ++of.wrong;
}

inline task<> count(redis::cluster& db, std::string key, std::size_t number, tally& of) {
    // What the counter may be by now: more than `sure`, when answers were lost.
    std::int64_t sure = 0;
    std::int64_t possible = 0;
    const std::string mark = key + ":mark";
    co_await db.set(key, "0");
    co_await db.set(mark, mark);
    while (!of.over) {
        const auto now = co_await as_result(db.incr(key));
        ++possible;
        if (now) {
            if ((*now <= sure && !of.may_forget) || *now > possible) ++of.wrong;
            sure = possible = *now;
        } else {
            of.failed(of.failed_writes, now.error());
        }
        co_await look_at(db, mark, of);
        if (now) ++of.rounds[number];
    }
    const auto last = co_await as_result(db.get<std::int64_t>(key));
    const std::int64_t found = last ? last->value_or(-1) : -1;
    if ((found < sure && !of.may_forget) || found > possible) ++of.wrong;
}

/// Runs on a thread of its own what would hold the loop, and thus the load.
inline task<> disturb_by(void (*disturb)(tally&), tally& of) {
    std::exception_ptr failure;
    std::atomic<bool> ended = false;
    std::jthread worker([&] {
        try {
            disturb(of);
        } catch (...) {
            failure = std::current_exception();
        }
        ended = true;
    });
    while (!ended) co_await sleep_for(std::chrono::milliseconds(1));
    worker.join();
    if (failure) std::rethrow_exception(failure);
}

/// Ends the load, whatever ends the test.
struct end_of_load {
    tally& of;
    ~end_of_load() { of.over = true; }
};

inline task<> under_load(redis::cluster& db, tally& of, std::string name, void (*disturb)(tally&)) {
    co_await with_scope([&](scope& tasks) -> task<> {
        const end_of_load at_the_end{of};
        for (std::size_t n = 0; n < counters; ++n)
            tasks.spawn(count(db, name + std::to_string(n), n, of));
        co_await timeout(patience, all_go_on(of));
        co_await disturb_by(disturb, of);
        co_await timeout(patience, all_go_on(of));
    });
}

inline void report(const tally& of, const redis::cluster_figures& figures) {
    MESSAGE("done ", of.done(), ", failed writes ", of.failed_writes, " and reads ",
            of.failed_reads, ", MOVED ", figures.moved, ", ASK ", figures.asked, ", waits ",
            figures.waits, ", new tables ", figures.changes, " of ", figures.refreshes);
    for (const auto& [why, times] : of.reasons) MESSAGE(times, " times: ", why);
}

}  // namespace ouro::testing
