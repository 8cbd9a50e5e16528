#include <ouro/runtime/sim/seed.hpp>

#include <bit>

namespace ouro::sim {
namespace {

/// splitmix64's step: every input has its own, well-mixed output.
std::uint64_t scramble(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

}  // namespace

dice::dice(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) {
        word = scramble(seed);
        seed += 0x9e3779b97f4a7c15;
    }
}

std::uint64_t dice::bits() noexcept {
    const std::uint64_t drawn = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return drawn;
}

std::uint64_t dice::below(std::uint64_t bound) noexcept {
    OURO_ASSERT(bound > 0);
    // Draws that would make small remainders likelier are thrown away.
    const std::uint64_t unfair = (0 - bound) % bound;
    for (;;) {
        const std::uint64_t drawn = bits();
        if (drawn >= unfair) return drawn % bound;
    }
}

std::int64_t dice::between(std::int64_t first, std::int64_t last) noexcept {
    OURO_ASSERT(first <= last);
    const std::uint64_t span = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
    const std::uint64_t drawn = span + 1 == 0 ? bits() : below(span + 1);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + drawn);
}

void trace::add(std::uint64_t value) noexcept {
    hash_ = scramble(hash_ ^ scramble(value + size_));
    ++size_;
}

}  // namespace ouro::sim
