// trial.hpp: one task on one fresh runtime, and what is left when it is over.
//
// What the test macros, the sweep and run_simulated are made of. A trial drives an executor on the
// calling thread: it starts the task, turns the loop until the task has ended, cancels and joins
// whatever it left running, and counts what did not go back.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

namespace ouro::sim {

/// How a trial is run.
struct trial_options {
    /// Frames that were alive before the task was made; what exceeds it at the end has leaked.
    std::uint64_t frames_before = ~std::uint64_t{0};
    /// The task is cancelled after this many resumptions of any frame; 0: before its first.
    std::uint64_t cancel_after = no_cancel;
    /// After this a trial is taken for hanging: processor time in simulation, else real time.
    /// run_test reads OURO_PATIENCE (seconds).
    duration patience = std::chrono::seconds(60);
    turn_limits turn = {};

    static constexpr std::uint64_t no_cancel = ~std::uint64_t{0};
};

/// What came of a trial.
struct trial_report {
    std::exception_ptr failure;     ///< what the task threw
    std::string hang;               ///< why it was given up, with a dump of the tasks
    std::string leftovers;          ///< what did not return to zero
    std::uint64_t suspensions = 0;  ///< resumptions of all frames until the task ended
    std::uint64_t trace_hash = 0;   ///< of a simulated world
    bool cancelled = false;         ///< the request of `cancel_after` was made

    /// True when it neither hung nor left anything behind; the failure is the caller's to judge.
    bool clean() const noexcept { return hang.empty() && leftovers.empty(); }
};

/// Runs `body` to its end on a fresh executor with the given reactor.
trial_report run_trial(std::unique_ptr<ouro::reactor> io, task<> body, const trial_options& how);

/// What an exception says; empty for null.
std::string text_of(const std::exception_ptr& failure);

}  // namespace ouro::sim
