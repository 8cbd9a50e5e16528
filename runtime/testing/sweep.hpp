// sweep.hpp: cancelling a scenario at every point at which it can be cancelled.
#pragma once

#include <ouro/runtime/testing/testing.hpp>

#include <string>

namespace ouro {

/// What a sweep has found.
struct sweep_report {
    std::uint64_t points = 0;  ///< at how many suspensions the scenario was cancelled
    std::string complaints;    ///< one paragraph for each point that went wrong; empty when none

    bool clean() const noexcept { return complaints.empty(); }
};

/// Runs a scenario again and again, each time in a fresh runtime, and cancels its task before its
/// first step, after 1, 2, 3, … resumptions of any task, until it ends without having been asked.
///
/// Each time everything counted must return to zero; a cancelled run may end well or with a
/// std::system_error, the last one must end well. Outside of a worker:
///
///   TEST_CASE("a relay can be cancelled anywhere") { CHECK(cancel_everywhere(relay).clean()); }
sweep_report cancel_everywhere(sim::test_body make_scenario,
                               const sim::test_setting& where = {.kind = reactor_kind::sim,
                                                                 .seed = 1});

/// The same in simulation with each seed of the environment, and on every real reactor.
sweep_report cancel_everywhere_on_all(sim::test_body make_scenario);

}  // namespace ouro
