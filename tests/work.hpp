// work.hpp: a scenario that sweeps run again and again.
#pragma once

#include <ouro/runtime/task.hpp>

#include <stdexcept>

namespace ouro {

using work_maker = task<> (*)();

/// One scenario of a table, and how many points a sweep finds in it at least.
struct work {
    const char* name;
    work_maker make;
    long points_min = 1;
};

/// What a scenario finds to be untrue.
inline void expect(bool fact, const char* what) {
    if (!fact) throw std::logic_error(what);
}

// Defined by the sweep. Allocations are counted between the two, or to the end of the scenario.
inline void begin_shortage() noexcept;
inline void end_shortage() noexcept;

}  // namespace ouro
