#include "work.hpp"

#include <time.h>

#include <stdexcept>

namespace inprocess {

namespace {

std::int64_t read_clock(clockid_t which) noexcept {
    timespec now{};
    ::clock_gettime(which, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::int64_t wall_clock() noexcept { return read_clock(CLOCK_MONOTONIC); }
std::int64_t cpu_clock() noexcept { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace

bool stopwatch::goes_on() noexcept {
    const std::int64_t now = wall_clock();
    switch (phase_) {
        case phase::fresh:
            phase_ = phase::warm_up;
            until_ = now + whole_.count() / 5;
            break;
        case phase::warm_up:
            if (now >= until_) begin_to_measure();
            break;
        case phase::measured:
            if (now >= until_) end();
            break;
        case phase::over: break;
    }
    return phase_ != phase::over;
}

void stopwatch::begin_to_measure() noexcept {
    phase_ = phase::measured;
    operations_ = 0;
    cpu_ns_ = cpu_clock();
    wall_ns_ = wall_clock();
    until_ = wall_ns_ + (whole_ - whole_ / 5).count();
}

void stopwatch::end() noexcept {
    phase_ = phase::over;
    wall_ns_ = wall_clock() - wall_ns_;
    cpu_ns_ = cpu_clock() - cpu_ns_;
}

void throw_wrong() { throw std::logic_error("the work computed something wrong"); }

}  // namespace inprocess
