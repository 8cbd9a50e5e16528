#include <ouro/runtime/testing/run.hpp>

#include <ouro/runtime/sim/reactor.hpp>

#include <cstdio>

namespace ouro {

void simulate(task<> main, const simulation_options& options) {
    sim::trial_options how;
    how.turn = options.turn;
    auto io = std::make_unique<sim::reactor>(options.seed, options.reactor);
    const sim::trial_report report = sim::run_trial(std::move(io), std::move(main), how);
    if (options.trace_hash) *options.trace_hash = report.trace_hash;
    const auto seed = static_cast<unsigned long long>(options.seed);
    if (!report.leftovers.empty())
        std::fprintf(stderr, "ouro: seed %llu: left behind: %s\n", seed, report.leftovers.c_str());
    if (report.hang.empty()) return;
    std::fprintf(stderr, "ouro: seed %llu: %s\n", seed, report.hang.c_str());
    throw_error(errc::deadlock);
}

}  // namespace ouro
