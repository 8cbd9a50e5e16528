// counter.hpp: a figure that one thread keeps and any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace ouro {

/// A number with one writer. Changing it costs what a plain integer costs, since it is a load and a
/// store and not one atomic step; readers on other threads see a recent value, never a torn one.
class counter {
public:
    counter(std::uint64_t value = 0) noexcept : value_(value) {}
    counter(const counter& other) noexcept : value_(other.value()) {}
    counter& operator=(const counter& other) noexcept { return *this = other.value(); }
    counter& operator=(std::uint64_t value) noexcept {
        value_.store(value, std::memory_order_relaxed);
        return *this;
    }

    std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }
    operator std::uint64_t() const noexcept { return value(); }

    counter& operator++() noexcept { return *this = value() + 1; }
    counter& operator--() noexcept { return *this = value() - 1; }
    counter& operator+=(std::uint64_t more) noexcept { return *this = value() + more; }
    counter& operator-=(std::uint64_t less) noexcept { return *this = value() - less; }

private:
    std::atomic<std::uint64_t> value_;
};

}  // namespace ouro
