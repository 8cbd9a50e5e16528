// The counting forms of `new` and `delete`, which replace those of the library.

#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace {

std::uint64_t count = 0;  // one thread measures, and others would only make it less exact

void* take(std::size_t bytes) {
    ++count;
    if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
    throw std::bad_alloc();
}

void* take_aligned(std::size_t bytes, std::align_val_t alignment) {
    ++count;
    const auto unit = static_cast<std::size_t>(alignment);
    const std::size_t whole = (bytes + unit - 1) / unit * unit;
    if (void* memory = std::aligned_alloc(unit, whole > 0 ? whole : unit)) return memory;
    throw std::bad_alloc();
}

}  // namespace

namespace kv_load {

std::uint64_t allocations() noexcept { return count; }

}  // namespace kv_load

void* operator new(std::size_t bytes) { return take(bytes); }
void* operator new(std::size_t bytes, std::align_val_t unit) { return take_aligned(bytes, unit); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
