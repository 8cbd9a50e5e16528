#include "allocations.hpp"
#include "meter.hpp"
#include <ouro/runtime/engine/executor.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace kv_load {

namespace {

constexpr std::size_t latencies_max = 1 << 20;  // what comes later is not kept

std::int64_t read_clock(clockid_t which) noexcept {
    std::timespec now{};
    ::clock_gettime(which, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t wall_clock() noexcept { return read_clock(CLOCK_MONOTONIC); }

}  // namespace

meter::meter(ouro::duration whole) : whole_ns_(whole.count()) { latencies_.reserve(latencies_max); }

bool meter::goes_on() noexcept {
    const std::int64_t now = wall_clock();
    if (phase_ == phase::fresh) {
        phase_ = phase::warm_up;
        until_ns_ = now + whole_ns_ / 5;
    }
    if (latencies_.size() < latencies_max && last_ns_ > 0) latencies_.push_back(now - last_ns_);
    last_ns_ = now;
    if (now < until_ns_) return true;
    if (phase_ == phase::warm_up)
        begin_to_measure();
    else
        end();
    return !over();
}

meter::reading meter::read() noexcept {
    return {
        .wall_ns = wall_clock(),
        .cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID),
        .allocations = allocations(),
        .system_calls = ouro::executor::current().io().stats().system_calls,
    };
}

void meter::begin_to_measure() noexcept {
    phase_ = phase::measured;
    requests_ = 0;
    latencies_.clear();
    began_ = read();
    last_ns_ = began_.wall_ns;
    until_ns_ = began_.wall_ns + whole_ns_ - whole_ns_ / 5;
}

void meter::end() noexcept {
    const reading now = read();
    phase_ = phase::over;
    used_ = {
        .wall_ns = now.wall_ns - began_.wall_ns,
        .cpu_ns = now.cpu_ns - began_.cpu_ns,
        .allocations = now.allocations - began_.allocations,
        .system_calls = now.system_calls - began_.system_calls,
    };
}

double meter::percentile_us(double share) {
    if (latencies_.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(latencies_.size() - 1));
    const auto found = latencies_.begin() + at;
    std::nth_element(latencies_.begin(), found, latencies_.end());
    return static_cast<double>(*found) / 1000;
}

void meter::report(std::string_view work) {
    const double seconds = static_cast<double>(used_.wall_ns) / 1e9;
    std::printf(
        "{\"work\": \"%.*s\", \"requests\": %llu, \"wall_ns\": %lld, \"cpu_ns\": %lld, "
        "\"requests_per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
        "\"system_calls\": %llu, \"allocations\": %llu}\n",
        static_cast<int>(work.size()), work.data(), static_cast<unsigned long long>(requests_),
        static_cast<long long>(used_.wall_ns), static_cast<long long>(used_.cpu_ns),
        static_cast<double>(requests_) / seconds, percentile_us(0.5), percentile_us(0.99),
        percentile_us(0.999), static_cast<unsigned long long>(used_.system_calls),
        static_cast<unsigned long long>(used_.allocations));
}

}  // namespace kv_load
