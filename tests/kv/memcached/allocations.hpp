// allocations.hpp: counts what a test program takes from the system's allocator, libraries written
// in C included. One file of a program may include it. Under a sanitizer it counts nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ouro::memcached {

inline std::uint64_t allocations_made = 0;

/// How many blocks were taken so far.
inline std::uint64_t allocations() { return allocations_made; }

}  // namespace ouro::memcached

// A sanitizer brings an allocator of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OURO_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OURO_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef OURO_COUNT_ALLOCATIONS
#define OURO_COUNT_ALLOCATIONS 1
#endif

#if OURO_COUNT_ALLOCATIONS
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);

void* malloc(std::size_t size) {
    ++ouro::memcached::allocations_made;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++ouro::memcached::allocations_made;
    return __libc_calloc(count, size);
}
void* realloc(void* block, std::size_t size) {
    ++ouro::memcached::allocations_made;
    return __libc_realloc(block, size);
}
}
#endif
