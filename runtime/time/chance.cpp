#include <ouro/runtime/time/chance.hpp>

#include <ouro/runtime/engine/executor.hpp>

namespace ouro {

namespace {

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;  // 2^64 divided by the golden ratio

std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// No address takes part: those differ from run to run, and a simulation must not. On a real machine
// the clock counts nanoseconds, so that no two seeds are alike.
std::uint64_t new_seed() noexcept {
    auto seed = mix(static_cast<std::uint64_t>(clock::exact_now().time_since_epoch().count()));
    if (executor* here = executor::current_or_null()) {
        seed = mix(seed + here->worker());
        seed = mix(seed + here->stats().spawned);
        seed = mix(seed + here->stats().resumptions);
    }
    return seed | 1;
}

}  // namespace

std::uint64_t chance::bits() noexcept {
    if (state_ == 0) state_ = new_seed();
    state_ += golden;
    if (state_ == 0) state_ = golden;  // 0 means unseeded; once in 2^64 draws
    return mix(state_);
}

duration chance::between(duration shortest, duration longest) noexcept {
    if (longest <= shortest) return shortest;
    const auto span =
        static_cast<std::uint64_t>(longest.count()) - static_cast<std::uint64_t>(shortest.count());
    // The whole range of 64 bits has one length more than a bound can say.
    const std::uint64_t extra = span + 1 == 0 ? bits() : below(span + 1);
    return duration(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(shortest.count()) + extra));
}

}  // namespace ouro
