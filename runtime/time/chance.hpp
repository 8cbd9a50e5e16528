// chance.hpp: random numbers for jitter and choices, which a simulation decides.
#pragma once

#include <ouro/runtime/clock.hpp>

#include <cstdint>

namespace ouro {

/// Draws numbers that spread load; never anything secret. (splitmix64.)
///
/// Without a seed, the first draw takes one from the worker's clock, its number and the running
/// task: different on every machine and in every process, and the same in each run of a simulation.
/// Worker-local; copying it copies what it will draw.
class chance {
public:
    /// 0: a seed is made at the first draw.
    explicit chance(std::uint64_t seed = 0) noexcept : state_(seed) {}

    /// Any 64 bits.
    std::uint64_t bits() noexcept;

    /// A number in [0, bound); 0 when `bound` is 0.
    std::uint64_t below(std::uint64_t bound) noexcept { return bound == 0 ? 0 : bits() % bound; }

    /// A length in [shortest, longest]; `shortest` when that is not the shorter one.
    duration between(duration shortest, duration longest) noexcept;

private:
    std::uint64_t state_;  // 0: not seeded yet
};

}  // namespace ouro
