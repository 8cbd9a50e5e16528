#include <ouro/runtime/frame_pool.hpp>

#include <array>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define OURO_POOL_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OURO_POOL_FRAMES 0
#endif
#endif
#ifndef OURO_POOL_FRAMES
#define OURO_POOL_FRAMES 1
#endif

namespace ouro {
namespace {

constexpr std::size_t class_bytes = 64;
constexpr std::size_t class_count = 64;
constexpr std::size_t cached_bytes_max = 64 << 20;  // per thread, all classes together
constexpr bool pooling = OURO_POOL_FRAMES;

struct free_block {
    free_block* next;
};

struct thread_state {
    std::array<free_block*, class_count + 1> free;
    frame_pool_stats stats;
};

// Trivially destructible, so that the hot path touches it without a guard; the cleaner below is
// registered by the first allocation that reaches the system, or by what is returned before.
constinit thread_local thread_state pool{};

struct cleaner {
    ~cleaner() {
        for (free_block*& head : pool.free) {
            while (free_block* block = head) {
                head = block->next;
                ::operator delete(block);
            }
        }
        pool.stats.cached_bytes = cached_bytes_max;  // whatever comes later is not kept
    }
    void touch() noexcept {}
};

thread_local cleaner at_thread_end;

constexpr std::size_t class_of(std::size_t size) { return (size + class_bytes - 1) / class_bytes; }

}  // namespace

void* frame_pool::allocate(std::size_t size) {
    const std::size_t size_class = class_of(size);
    if (pooling && size_class <= class_count) {
        if (free_block* block = pool.free[size_class]) {
            pool.free[size_class] = block->next;
            pool.stats.cached_bytes -= size_class * class_bytes;
            ++pool.stats.live;
            return block;
        }
    }
    void* const memory = ::operator new(size_class * class_bytes);
    ++pool.stats.from_system;
    ++pool.stats.live;
    at_thread_end.touch();
    return memory;
}

void frame_pool::release(void* frame, std::size_t size) noexcept {
    const std::size_t size_class = class_of(size);
    --pool.stats.live;
    if (!pooling || size_class > class_count || pool.stats.cached_bytes >= cached_bytes_max) {
        ::operator delete(frame);
        return;
    }
    if (pool.stats.from_system == 0) at_thread_end.touch();  // all it has came from elsewhere
    pool.free[size_class] = ::new (frame) free_block{pool.free[size_class]};
    pool.stats.cached_bytes += size_class * class_bytes;
}

frame_pool_stats frame_pool::stats() noexcept { return pool.stats; }

}  // namespace ouro
