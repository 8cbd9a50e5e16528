// testing.hpp: what a test of coroutines runs on, whatever the test framework.
#pragma once

#include <ouro/runtime/sim/trial.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace ouro::sim {

/// Makes the task of a test, anew for each run.
using test_body = task<> (*)();

/// One way to run a test.
struct test_setting {
    reactor_kind kind = reactor_kind::sim;
    bool plain_ring = false;
    std::uint64_t seed = 0;

    /// "sim, OURO_SEED=3", "uring with degraded flags".
    std::string name() const;
};

/// The seeds that a test on the simulated reactor runs with: 1, 2, 3, 4; `OURO_SEEDS=n` has it run
/// with 1 to n, `OURO_SEED=n` with that one alone.
std::vector<std::uint64_t> test_seeds();

/// Simulated settings, one for each seed.
std::vector<test_setting> simulated_settings();

/// Settings with real reactors: uring, uring without set-up flags, epoll; OURO_REACTOR leaves only
/// those of its kind. A kind that this machine refuses is left out and named in `missing`.
std::vector<test_setting> real_settings(std::string& missing);

/// The reactor of a setting. Throws std::system_error when it cannot be had.
std::unique_ptr<ouro::reactor> make_reactor(const test_setting& setting);

/// Runs one test in one setting and counts everything, descriptors of the process included.
trial_report run_test(test_body body, const test_setting& setting, trial_options how = {});

/// What is wrong with a report, in a few lines; empty when nothing is.
std::string complaint(const trial_report& report);

}  // namespace ouro::sim
