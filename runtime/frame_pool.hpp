// frame_pool.hpp: size-class free lists for coroutine frames, one set per thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ouro {

/// Figures of the calling thread's pool.
struct frame_pool_stats {
    std::uint64_t live = 0;          ///< frames handed out less frames returned (modulo 2^64)
    std::uint64_t from_system = 0;   ///< times the system allocator had to be asked
    std::uint64_t cached_bytes = 0;  ///< bytes waiting in the free lists
};

/// Memory for coroutine frames: classes of 64 bytes up to 4 KiB, the rest goes to the system.
///
/// A frame may be returned on another thread than it came from; it then stays there. Freed memory
/// is kept until the thread ends, up to 64 MiB per thread. Under AddressSanitizer every frame
/// comes from the system, so that a use after its end is seen.
class frame_pool {
public:
    static void* allocate(std::size_t size);
    static void release(void* frame, std::size_t size) noexcept;
    static frame_pool_stats stats() noexcept;
};

}  // namespace ouro
