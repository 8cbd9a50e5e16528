#include <ouro/runtime/histogram.hpp>

#include <algorithm>
#include <cmath>

namespace ouro {

std::uint64_t histogram::highest_in(std::size_t bucket) noexcept {
    if (bucket < 64) return bucket;
    const std::size_t above = bucket - 64;
    const auto shift = static_cast<unsigned>(above / steps) + linear_bits - 5;
    const std::uint64_t lowest = (steps + above % steps) << shift;
    return lowest + ((std::uint64_t{1} << shift) - 1);
}

std::uint64_t histogram::percentile(double percent) const noexcept {
    if (count_ == 0) return 0;
    const double wanted = std::ceil(static_cast<double>(count_) * percent / 100.0);
    const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
        seen += counts_[bucket];
        if (seen >= rank) return std::min(highest_in(bucket), max_);
    }
    return max_;
}

std::uint64_t histogram::count_between(std::uint64_t low, std::uint64_t high) const noexcept {
    if (low >= high) return 0;
    std::uint64_t found = 0;
    for (std::size_t bucket = bucket_of(low); bucket <= bucket_of(high - 1); ++bucket)
        found += counts_[bucket];
    return found;
}

void histogram::merge(const histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < buckets; ++bucket)
        counts_[bucket] += other.counts_[bucket];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
    min_ = std::min(min_, other.min_);
}

}  // namespace ouro
