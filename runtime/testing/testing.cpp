#include <ouro/runtime/testing/testing.hpp>

#include <ouro/runtime/sim/reactor.hpp>

#include <dirent.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace ouro::sim {
namespace {

constexpr std::uint64_t seeds_by_default = 4;

std::optional<std::uint64_t> number_in_environment(const char* name) {
    const char* text = std::getenv(name);
    if (!text || !*text) return std::nullopt;
    return std::strtoull(text, nullptr, 0);
}

std::size_t open_descriptors() {
    DIR* folder = ::opendir("/proc/self/fd");
    if (!folder) return 0;
    std::size_t count = 0;
    while (::readdir(folder)) ++count;
    ::closedir(folder);
    return count;
}

/// A ring that went away closes its descriptors a moment later.
std::size_t descriptors_above(std::size_t before) {
    std::size_t now = open_descriptors();
    for (int tries = 0; now > before && tries < 5000; ++tries) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        now = open_descriptors();
    }
    return now > before ? now - before : 0;
}

/// Has failing assertions say where the test runs.
struct context_of_assertions {
    explicit context_of_assertions(const char* text) noexcept { set_assertion_context(text); }
    ~context_of_assertions() { set_assertion_context(nullptr); }
};

reactor_options options_of(const test_setting& setting) {
    reactor_options options;
    options.kind = setting.kind;
    options.plain_ring = setting.plain_ring;
    options.entries = 256;
    return options;
}

}  // namespace

std::string test_setting::name() const {
    if (kind == reactor_kind::sim) return "sim, OURO_SEED=" + std::to_string(seed);
    if (kind == reactor_kind::epoll) return "epoll";
    return plain_ring ? "uring without set-up flags" : "uring";
}

std::vector<std::uint64_t> test_seeds() {
    if (const auto only = number_in_environment("OURO_SEED")) return {*only};
    std::uint64_t first = 1, last = seeds_by_default;
    if (const auto many = number_in_environment("OURO_SEEDS")) {
        last = *many;
        if (const char* dash = std::strchr(std::getenv("OURO_SEEDS"), '-')) {
            first = *many;
            last = std::strtoull(dash + 1, nullptr, 0);
        }
    }
    std::vector<std::uint64_t> seeds;
    for (std::uint64_t seed = first; seed <= last; ++seed) seeds.push_back(seed);
    return seeds;
}

std::vector<test_setting> simulated_settings() {
    std::vector<test_setting> settings;
    for (const std::uint64_t seed : test_seeds())
        settings.push_back({.kind = reactor_kind::sim, .seed = seed});
    return settings;
}

std::vector<test_setting> real_settings() {
    const char* wish = std::getenv("OURO_REACTOR");
    const std::string_view only = wish ? wish : "";
    std::vector<test_setting> settings;
    for (const test_setting& each : {test_setting{.kind = reactor_kind::uring},
                                     test_setting{.kind = reactor_kind::uring, .plain_ring = true},
                                     test_setting{.kind = reactor_kind::epoll}})
        if (only.empty() || each.name().starts_with(only)) settings.push_back(each);
    return settings;
}

std::unique_ptr<ouro::reactor> make_reactor(const test_setting& setting) {
    if (setting.kind == reactor_kind::sim)
        return std::make_unique<reactor>(setting.seed, options_of(setting));
    std::string reason;
    return ouro::make_reactor(options_of(setting), reason);
}

trial_report run_test(test_body body, const test_setting& setting, trial_options how) {
    const std::string where = setting.name();
    const context_of_assertions context(where.c_str());
    const bool real = setting.kind != reactor_kind::sim;
    const std::size_t descriptors = real ? open_descriptors() : 0;
    if (const auto seconds = number_in_environment("OURO_PATIENCE"))
        how.patience = std::chrono::seconds(*seconds);
    how.frames_before = frame_pool::stats().live;
    std::unique_ptr<ouro::reactor> io;
    trial_report report;
    try {
        io = make_reactor(setting);
    } catch (const std::system_error& refused) {
        report.hang = where + " cannot be had here: " + refused.what() +
                      "; set OURO_REACTOR=epoll to leave its tests out";
        return report;
    }
    report = run_trial(std::move(io), body(), how);
    if (!real || !report.leftovers.empty()) return report;
    if (const std::size_t more = descriptors_above(descriptors))
        report.leftovers = std::to_string(more) + " descriptors of the process";
    return report;
}

std::string complaint(const trial_report& report) {
    std::string text = report.hang;
    if (report.failure) text += "\nthe test threw: " + text_of(report.failure);
    if (!report.leftovers.empty()) text += "\nleft behind: " + report.leftovers;
    return text;
}

}  // namespace ouro::sim
