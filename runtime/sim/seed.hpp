// seed.hpp: the one source of chance in a simulated world.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstdint>

namespace ouro::sim {

/// Numbers drawn from a seed: the same ones for the same seed, whatever the compiler, its options
/// and its standard library. (xoshiro256** started through splitmix64.)
class dice {
public:
    explicit dice(std::uint64_t seed) noexcept;

    /// Any 64 bits.
    std::uint64_t bits() noexcept;

    /// A number in [0, bound); `bound` must be positive.
    std::uint64_t below(std::uint64_t bound) noexcept;

    /// A number in [first, last].
    std::int64_t between(std::int64_t first, std::int64_t last) noexcept;

    /// True once in `n` times on average.
    bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

private:
    std::uint64_t state_[4];
};

/// A running 64-bit hash of what happened. It takes numbers only, never addresses.
class trace {
public:
    /// Mixes one number in; the order counts.
    void add(std::uint64_t value) noexcept;

    std::uint64_t hash() const noexcept { return hash_; }
    std::uint64_t size() const noexcept { return size_; }

private:
    std::uint64_t hash_ = 0x6f75726f;
    std::uint64_t size_ = 0;
};

}  // namespace ouro::sim
