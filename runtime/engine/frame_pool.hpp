// frame_pool.hpp: size-class free lists for coroutine frames, one set per thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

namespace ouro {

/// Figures of the calling thread's pool.
struct frame_pool_stats {
    std::uint64_t live = 0;          ///< frames handed out less frames returned (modulo 2^64)
    std::uint64_t from_system = 0;   ///< times the system allocator had to be asked
    std::uint64_t cached_bytes = 0;  ///< bytes waiting in the free lists
};

/// Memory for coroutine frames: classes 32 bytes apart up to 4120 bytes, the rest goes to the
/// system.
///
/// A frame may be returned on another thread than it came from; it then stays there. Freed memory
/// is kept until the thread ends, up to 64 MiB per thread. Under AddressSanitizer every frame
/// comes from the system, so that a use after its end is seen.
class frame_pool {
public:
    static void* allocate(std::size_t size) {
        const std::size_t size_class = class_of(size);
        if (size_class <= class_count) {
            if (free_frame* const unused = of_thread_.free[size_class]) {
                of_thread_.free[size_class] = unused->next;
                of_thread_.room += bytes_of(size_class);
                ++of_thread_.live;
                return unused;
            }
        }
        return allocate_from_system(size_class);
    }

    static void release(void* frame, std::size_t size) noexcept {
        const std::size_t size_class = class_of(size);
        const std::size_t bytes = bytes_of(size_class);
        if (size_class > class_count || of_thread_.room < bytes) {
            release_without_room(frame, size_class);
            return;
        }
        of_thread_.room -= bytes;
        --of_thread_.live;
        of_thread_.free[size_class] = ::new (frame) free_frame{of_thread_.free[size_class]};
    }

    static frame_pool_stats stats() noexcept;

private:
    // The system's allocator adds 8 bytes to a block and rounds up to 16: with these sizes it
    // wastes nothing.
    static constexpr std::size_t class_step = 32;
    static constexpr std::size_t class_count = 129;
    static constexpr std::size_t header_bytes = 8;

    struct free_frame {
        free_frame* next;
    };

    // Trivial, so that the hot path touches it without a guard. There is room for nothing until
    // somebody has seen to it that the lists are emptied at the thread's end.
    struct thread_state {
        std::array<free_frame*, class_count + 1> free;
        std::size_t room;  // bytes that may still be kept
        std::uint64_t live;
        std::uint64_t from_system;
        bool opened;  // room was made; once
    };

    struct cleaner;

    static constexpr std::size_t class_of(std::size_t size) {
        return (size + header_bytes + class_step - 1) / class_step;
    }
    static constexpr std::size_t bytes_of(std::size_t size_class) {
        return size_class * class_step - header_bytes;
    }
    static void* allocate_from_system(std::size_t size_class);
    static void release_without_room(void* frame, std::size_t size_class) noexcept;
    static void open() noexcept;

    static constinit thread_local thread_state of_thread_;
};

}  // namespace ouro
