// run.hpp: running a task in a simulated world.
#pragma once

#include <ouro/runtime/testing/trial.hpp>

#include <cstdint>

namespace ouro {

/// How a simulation is run.
struct simulation_options {
    std::uint64_t seed = 1;  ///< decides every order, split and delay that is left to chance
    turn_limits turn = {};
    reactor_options reactor = {};         ///< of which the receive buffers count
    std::uint64_t* trace_hash = nullptr;  ///< receives the hash of everything that happened
};

/// Runs `main` on this thread in a fresh simulated world until its end and returns its value or
/// throws its exception. Tasks that it leaves running are cancelled and joined; what does not go
/// back then (timers, descriptors, …) is named on standard error.
///
/// Time is virtual: it jumps to the next moment at which something happens, and begins at the same
/// moment in every world. The network is simulated; sim::world::current() governs it from inside.
/// The same seed gives the same run, event by event. When nothing is ready and nothing can ever
/// wake, it throws errc::deadlock after the report on standard error. Not for use inside a worker.
template <class T>
T run_simulated(task<T> main, const simulation_options& options = {});

/// What run_simulated is made of: runs `main`, which does not throw, in a fresh world.
void simulate(task<> main, const simulation_options& options);

template <class T>
T run_simulated(task<T> main, const simulation_options& options) {
    task_outcome<T> outcome;
    simulate(keep_outcome(std::move(main), outcome), options);
    return outcome.take();
}

}  // namespace ouro
