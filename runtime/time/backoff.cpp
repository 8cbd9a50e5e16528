#include <ouro/runtime/time/backoff.hpp>

#include <ouro/runtime/check.hpp>

#include <algorithm>

namespace ouro {

backoff::backoff(const backoff_options& options) noexcept
    : options_(options), chance_(options.seed), wait_(std::min(options.first, options.ceiling)) {
    OURO_ASSERT(options.first >= duration::zero() && options.ceiling >= duration::zero());
    OURO_ASSERT(options.factor >= 1 && "backoff_options: factor is at least 1");
}

duration backoff::next() noexcept {
    const duration whole = wait_;
    ++attempts_;
    // Compared as doubles, because the product may be more than a duration holds.
    const double grown = static_cast<double>(whole.count()) * options_.factor;
    const bool below = grown < static_cast<double>(options_.ceiling.count());
    wait_ = below ? duration(static_cast<std::int64_t>(grown)) : options_.ceiling;

    switch (options_.spread) {
        case jitter::none: return whole;
        case jitter::equal: return chance_.between(whole / 2, whole);
        case jitter::full: return chance_.between(duration::zero(), whole);
    }
    return whole;
}

void backoff::reset() noexcept {
    wait_ = std::min(options_.first, options_.ceiling);
    attempts_ = 0;
}

bool backoff::ended_after(duration length) noexcept {
    const bool worked = length >= options_.ceiling;
    if (worked) reset();
    return worked;
}

retry_budget::retry_budget(const retry_budget_options& options, time_point now) noexcept
    : options_(options), tokens_(options.burst), filled_(now) {
    OURO_ASSERT(options.burst >= 0 && options.per_second >= 0 && options.per_request >= 0);
}

void retry_budget::request() noexcept {
    tokens_ = std::min(tokens_ + options_.per_request, options_.burst);
}

bool retry_budget::take(time_point now) noexcept {
    refill(now);
    if (tokens_ < 1) {
        ++refused_;
        return false;
    }
    tokens_ -= 1;
    return true;
}

void retry_budget::refill(time_point now) noexcept {
    if (now <= filled_) return;
    const std::chrono::duration<double> passed = now - filled_;
    tokens_ = std::min(tokens_ + passed.count() * options_.per_second, options_.burst);
    filled_ = now;
}

}  // namespace ouro
