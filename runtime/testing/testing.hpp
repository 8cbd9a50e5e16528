// testing.hpp: what a test of coroutines runs on, whatever the test framework.
#pragma once

#include <ouro/runtime/testing/trial.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace ouro::sim {

/// Refers to what makes the task of a test, anew for each run: a function or an object that can be
/// called and that outlives the runs.
class test_body {
public:
    template <class Maker>
        requires std::is_invocable_r_v<task<>, Maker&> &&
                 (!std::is_same_v<std::remove_cvref_t<Maker>, test_body>)
    test_body(Maker&& maker) noexcept {
        using type = std::remove_reference_t<Maker>;
        if constexpr (std::is_function_v<type>) {
            function_ = &maker;
        } else {
            object_ = &maker;
            call_ = [](const void* object) {
                return (*static_cast<type*>(const_cast<void*>(object)))();
            };
        }
    }

    task<> operator()() const { return function_ ? function_() : call_(object_); }

private:
    task<> (*function_)() = nullptr;
    task<> (*call_)(const void*) = nullptr;
    const void* object_ = nullptr;
};

/// One way to run a test.
struct test_setting {
    reactor_kind kind = reactor_kind::sim;
    bool plain_ring = false;
    std::uint64_t seed = 0;

    /// "sim, OURO_SEED=3", "uring with degraded flags".
    std::string name() const;
};

/// The seeds that a test on the simulated reactor runs with: 1, 2, 3, 4; `OURO_SEEDS=n` has it run
/// with 1 to n, `OURO_SEEDS=a-b` with a to b, `OURO_SEED=n` with that one alone.
std::vector<std::uint64_t> test_seeds();

/// Simulated settings, one for each seed.
std::vector<test_setting> simulated_settings();

/// Settings with real reactors: uring, uring without set-up flags, epoll; OURO_REACTOR leaves only
/// those of its kind. A kind that this machine refuses is among them, and fails its tests.
std::vector<test_setting> real_settings();

/// The reactor of a setting. Throws std::system_error when it cannot be had.
std::unique_ptr<ouro::reactor> make_reactor(const test_setting& setting);

/// Runs one test in one setting and counts everything, descriptors of the process included. Where
/// the reactor cannot be had, the report says so as a hang, and how to leave it out.
trial_report run_test(test_body body, const test_setting& setting, trial_options how = {});

/// What is wrong with a report, in a few lines; empty when nothing is.
std::string complaint(const trial_report& report);

}  // namespace ouro::sim
