// cancel_every_step.hpp: sweeps over tables of scenarios, each cancelled at every one of its steps.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kept_log.hpp>
#include <ouro/tests/work.hpp>

#include <span>
#include <stdexcept>
#include <string>

namespace ouro {

inline void begin_shortage() noexcept {}
inline void end_shortage() noexcept {}

/// Runs a scenario in which it may be cancelled, and then once more out of reach: that must go well
/// whatever became of the first one, which may have failed with errc::cancelled only.
inline task<> once_and_again(work_maker make) {
    auto first = make();
    const result<void> done = co_await as_result(std::move(first));
    if (!done && done.error() != errc::cancelled)
        throw std::logic_error("it failed with another error: " + done.error().message());
    auto second = make();
    co_await shield(std::move(second));
}

enum class sweep_on {
    sim,
    sim_once,  ///< the scenario itself does its work once more
    all_reactors,
};

/// Cancels every scenario of a table at each step, in simulation alone or on the real reactors,
/// too, and says how many points each had.
inline void check_every_step(std::span<const work> table, sweep_on where) {
    const kept_log quiet;  // what is caused on purpose is logged, too
    std::uint64_t points = 0;
    for (const work& each : table) {
        kept_log::start_anew();
        auto body = [&each, where] {
            return where == sweep_on::sim_once ? each.make() : once_and_again(each.make);
        };
        const sweep_report found = where == sweep_on::all_reactors ? cancel_everywhere_on_all(body)
                                                                   : cancel_everywhere(body);
        points += found.points;
        const std::string name = each.name;
        MESSAGE(name << ": " << found.points << " points");
        CHECK_MESSAGE(found.clean(), name << ": " << found.complaints.substr(0, 3000)
                                          << "; logged: " << kept_log::text());
        CHECK_MESSAGE(found.points >= 7, name << " hardly suspends");
    }
    MESSAGE(table.size() << " works, " << points << " points in all");
}

}  // namespace ouro
