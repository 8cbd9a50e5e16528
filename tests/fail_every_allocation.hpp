// fail_every_allocation.hpp: running a scenario with one allocation failing, each in its turn.
//
// Replaces the global operator new, so it is included by one source of a program.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/testing/testing.hpp>
#include <ouro/tests/kept_log.hpp>
#include <ouro/tests/work.hpp>

#include <doctest/doctest.h>

#include <dirent.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <thread>

namespace ouro {

/// What such a sweep has found.
struct memory_report {
    long points = 0;         ///< allocations that failed, each in a run of its own
    std::string complaints;  ///< what went wrong at the first point that did; empty when nothing

    bool clean() const noexcept { return complaints.empty(); }
};

/// How many allocations of this thread succeed before one fails.
struct memory_shortage {
    static constexpr long never = -1;
    long left = never;
    long after = never;    // what `begin_shortage` sets `left` to
    bool goes_on = false;  // all of them fail from then on
    bool has_struck = false;
};
inline thread_local memory_shortage shortage;

/// Called by a scenario when what it prepares is there: from here on allocations are counted. They
/// are until `end_shortage`, or the end of the scenario.
inline void end_shortage() noexcept { shortage.left = memory_shortage::never; }

/// Ends a shortage that goes on, a moment after it has begun: for those who wait for memory.
class relief final : private timer {
public:
    relief() noexcept { here = this; }
    ~relief() {
        here = nullptr;
        if (armed()) executor::current().timers().disarm(*this);
    }
    void arm() noexcept {
        constexpr std::int64_t length = 2'000'000;
        if (!armed())
            executor::current().timers().arm(*this, executor::current().io().now() + length);
    }

    inline static thread_local relief* here = nullptr;

private:
    void fire() noexcept override { end_shortage(); }
};

inline void begin_shortage() noexcept {
    shortage.left = shortage.after;
    if (shortage.goes_on && shortage.left != memory_shortage::never) relief::here->arm();
}

inline bool is_want_of_memory(std::error_code why) noexcept {
    return why == std::errc::not_enough_memory;
}

/// Ends a run that hangs, and says where, which needs memory.
class hang_alarm final : private timer {
public:
    explicit hang_alarm(std::string& wrong) : wrong_(wrong) {
        constexpr std::int64_t patience = 5'000'000'000;
        executor::current().timers().arm(*this, executor::current().io().now() + patience);
    }
    ~hang_alarm() {
        if (armed()) executor::current().timers().disarm(*this);
    }

private:
    void fire() noexcept override {
        end_shortage();
        wrong_ += "it hangs:\n" + dump_tasks();
        executor::current().tasks().cancel_all(cancel_reason::user);
    }

    std::string& wrong_;
};

/// Awaits a scenario with little memory, in which the want of it may be thrown, as an exception or
/// as an error; and once more with plenty, which must go well.
inline task<> with_little_memory(work_maker make, std::string& wrong) {
    const hang_alarm alarm(wrong);
    relief soon;
    try {
        co_await make();
        end_shortage();
    } catch (const std::bad_alloc&) {
        end_shortage();
    } catch (const std::system_error& error) {
        end_shortage();
        if (!is_want_of_memory(error.code())) wrong += error.what() + std::string("; ");
    } catch (const std::exception& error) {
        end_shortage();
        wrong += error.what() + std::string("; ");
    }
    shortage.after = memory_shortage::never;
    try {
        co_await make();
    } catch (const std::exception& error) {
        wrong += std::string("with plenty again: ") + error.what() + "; ";
    }
}

/// One run on a thread of its own, whose pools are empty. True when an allocation has failed.
inline bool run_short_of_memory(work_maker make, const sim::test_setting& where, long after,
                                bool goes_on, std::string& wrong) {
    bool struck = false;
    std::thread([&] {
        shortage = {.after = after, .goes_on = goes_on};
        sim::trial_options how;
        how.frames_before = 0;
        wrong += sim::complaint(
            sim::run_trial(sim::make_reactor(where), with_little_memory(make, wrong), how));
        struck = shortage.has_struck;
        if (net::block_pool::stats().live != 0) wrong += "blocks are left; ";
    }).join();
    return struck;
}

inline std::size_t descriptors_open() {
    DIR* folder = ::opendir("/proc/self/fd");
    std::size_t count = 0;
    while (folder && ::readdir(folder)) ++count;
    if (folder) ::closedir(folder);
    return count;
}

/// A ring that went away closes its descriptors a moment later.
inline bool descriptors_come_back(std::size_t before) {
    for (int tries = 0; tries < 1000; ++tries) {
        if (descriptors_open() <= before) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
}

/// Runs a scenario again and again on every real reactor, and has its 1st, 2nd, 3rd … allocation
/// fail, alone and with all that follow, until it needs no more. Each time it must end, nothing may
/// be left, and an ordinary run on the same loop must go well.
inline memory_report fail_every_allocation(work_maker make) {
    memory_report found;
    const std::size_t descriptors = descriptors_open();
    for (const sim::test_setting& where : sim::real_settings()) {
        if (where.plain_ring) continue;  // allocates as the other ring does
        for (const bool goes_on : {false, true}) {
            for (long after = 0; found.clean(); ++after) {
                kept_log::start_anew();
                if (!run_short_of_memory(make, where, after, goes_on, found.complaints)) break;
                ++found.points;
                if (!found.clean())
                    found.complaints += " (on " + where.name() + ", after " +
                                        std::to_string(after) +
                                        (goes_on ? " allocations, all that follow)"
                                                 : " allocations, one of them)") +
                                        "; logged: " + kept_log::text();
            }
        }
    }
    if (!descriptors_come_back(descriptors)) found.complaints += "descriptors are left";
    return found;
}

/// Sweeps every scenario of a table and says how many points each had.
inline void check_every_allocation(std::span<const work> table) {
    const kept_log quiet;  // what is caused on purpose is logged, too
    long points = 0;
    for (const work& each : table) {
        const memory_report found = fail_every_allocation(each.make);
        points += found.points;
        const std::string name = each.name;
        MESSAGE(name << ": " << found.points << " points");
        CHECK_MESSAGE(found.clean(), name << ": " << found.complaints);
        CHECK_MESSAGE(found.points >= each.points_min, name << " hardly allocates");
    }
    MESSAGE(table.size() << " works, " << points << " points in all");
}

}  // namespace ouro

[[gnu::noinline]] void* operator new(std::size_t size) {
    using ouro::shortage;
    if (shortage.left == 0) {
        shortage.has_struck = true;
        if (!shortage.goes_on) shortage.left = ouro::memory_shortage::never;
        throw std::bad_alloc();
    }
    if (shortage.left > 0) --shortage.left;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
