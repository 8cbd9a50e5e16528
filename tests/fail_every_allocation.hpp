// fail_every_allocation.hpp: running a scenario with one allocation failing, each in its turn.
//
// Replaces the global operator new, so it is included by one source of a program.
#pragma once

#include <ouro/net/chunk.hpp>
#include <ouro/runtime/frame_pool.hpp>
#include <ouro/tests/bare_loop.hpp>

#include <cstdlib>
#include <exception>
#include <new>
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
inline void begin_shortage() noexcept { shortage.left = shortage.after; }
inline void end_shortage() noexcept { shortage.left = memory_shortage::never; }

using short_scenario = task<> (*)();

/// Awaits a scenario. Want of memory may be thrown out of it, as an exception or as an error.
inline task<> with_little_memory(short_scenario make, std::string& wrong) {
    try {
        co_await make();
        end_shortage();
    } catch (const std::bad_alloc&) {
        end_shortage();
    } catch (const std::system_error& error) {
        end_shortage();
        if (error.code() != std::errc::not_enough_memory) wrong += error.what() + std::string("; ");
    } catch (const std::exception& error) {
        end_shortage();
        wrong += error.what() + std::string("; ");
    }
}

/// One run on a thread of its own, whose pools are empty. True when an allocation has failed.
inline bool run_short_of_memory(short_scenario make, reactor_kind on, long after, bool goes_on,
                                std::string& wrong) {
    bool struck = false;
    std::thread([&] {
        shortage = {.after = after, .goes_on = goes_on};
        {
            bare_loop loop({}, on);
            loop.run(with_little_memory(make, wrong));
            loop.run_out();
            struck = shortage.has_struck;
        }
        if (frame_pool::stats().live != 0) wrong += "frames are left; ";
        if (net::block_pool::stats().live != 0) wrong += "blocks are left; ";
    }).join();
    return struck;
}

/// Runs a scenario again and again on every real reactor, and has its 1st, 2nd, 3rd … allocation
/// fail, alone and with all that follow, until it needs no more. Each time it must end, and nothing
/// may be left.
inline memory_report fail_every_allocation(short_scenario make) {
    memory_report found;
    on_real_reactors([&](reactor_kind on) {
        for (const bool goes_on : {false, true}) {
            for (long after = 0; found.clean(); ++after) {
                if (!run_short_of_memory(make, on, after, goes_on, found.complaints)) break;
                ++found.points;
                if (!found.clean()) found.complaints += "after " + std::to_string(after);
            }
        }
    });
    return found;
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
