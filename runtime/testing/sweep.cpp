#include <ouro/runtime/testing/sweep.hpp>

#include <system_error>

namespace ouro {
namespace {

constexpr std::uint64_t points_max = 100'000;

bool is_system_error(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::system_error&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// A scenario that was asked to stop may well say so.
void forgive(sim::trial_report& report) {
    if (report.cancelled && report.failure && is_system_error(report.failure))
        report.failure = nullptr;
}

}  // namespace

sweep_report cancel_everywhere(sim::test_body make_scenario, const sim::test_setting& where) {
    sweep_report all;
    for (std::uint64_t point = 0;; ++point) {
        sim::trial_report one = sim::run_test(make_scenario, where, {.cancel_after = point});
        forgive(one);
        if (const std::string wrong = sim::complaint(one); !wrong.empty())
            all.complaints += "on " + where.name() + ", cancelled after " + std::to_string(point) +
                              " resumptions: " + wrong + '\n';
        if (!one.cancelled) break;
        ++all.points;
        if (all.points == points_max) {
            all.complaints += "the scenario is too long to be cancelled everywhere\n";
            break;
        }
    }
    return all;
}

sweep_report cancel_everywhere_on_all(sim::test_body make_scenario) {
    sweep_report all;
    auto settings = sim::real_settings();
    for (const sim::test_setting& setting : sim::simulated_settings()) settings.push_back(setting);
    for (const sim::test_setting& setting : settings) {
        const sweep_report one = cancel_everywhere(make_scenario, setting);
        all.points += one.points;
        all.complaints += one.complaints;
    }
    return all;
}

}  // namespace ouro
