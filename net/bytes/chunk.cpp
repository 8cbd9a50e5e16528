#include <ouro/net/bytes/chunk.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>

#include <cstring>
#include <memory>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define OURO_POOL_BLOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OURO_POOL_BLOCKS 0
#endif
#endif
#ifndef OURO_POOL_BLOCKS
#define OURO_POOL_BLOCKS 1
#endif

namespace ouro::net {
namespace {

constexpr std::size_t small_bytes_max = 4096 - sizeof(block);  // what the frame pool keeps
constexpr std::size_t full_size = sizeof(block) + block_pool::full_bytes;
constexpr std::size_t cached_bytes_max = 16 << 20;
constexpr bool pooling = OURO_POOL_BLOCKS;

struct free_block {
    free_block* next;
};

struct thread_state {
    free_block* free;
    block_pool_stats stats;
};

// Trivially destructible, so that the hot path touches it without a guard; the cleaner below is
// registered by the first allocation that reaches the system.
constinit thread_local thread_state pool{};

struct cleaner {
    ~cleaner() {
        while (free_block* unused = pool.free) {
            pool.free = unused->next;
            ::operator delete(unused);
        }
        pool.stats.cached_bytes = cached_bytes_max;  // whatever comes later is not kept
    }
    void touch() noexcept {}
};

thread_local cleaner at_thread_end;

void* from_system(std::size_t size) {
    ++pool.stats.from_system;
    at_thread_end.touch();
    return ::operator new(size);
}

void free_small(block& unused) noexcept {
    --pool.stats.live;
    frame_pool::release(&unused, sizeof(block) + unused.bytes);
}

void free_full(block& unused) noexcept {
    --pool.stats.live;
    if (!pooling || pool.stats.cached_bytes >= cached_bytes_max) {
        ::operator delete(&unused);
        return;
    }
    pool.free = ::new (&unused) free_block{pool.free};
    pool.stats.cached_bytes += full_size;
}

void free_large(block& unused) noexcept {
    --pool.stats.live;
    ::operator delete(&unused);
}

block& make(void* memory, std::size_t bytes, void (*free)(block&) noexcept) noexcept {
    ++pool.stats.live;
    auto* const data = static_cast<std::byte*>(memory) + sizeof(block);
    return *::new (memory) block{1, static_cast<std::uint32_t>(bytes), data, free};
}

void* full_memory() {
    if (free_block* kept = pool.free) {
        pool.free = kept->next;
        pool.stats.cached_bytes -= full_size;
        return kept;
    }
    return from_system(full_size);
}

/// A block whose bytes are those of a string.
struct string_block : block {
    std::string text;
};

void free_string(block& unused) noexcept {
    --pool.stats.live;
    delete static_cast<string_block*>(&unused);
}

}  // namespace

block& block_pool::take(std::size_t bytes) {
    OURO_ASSERT(bytes <= bytes_max);
    if (bytes <= small_bytes_max)
        return make(frame_pool::allocate(sizeof(block) + bytes), bytes, free_small);
    if (bytes <= full_bytes) return make(full_memory(), full_bytes, free_full);
    return make(from_system(sizeof(block) + bytes), bytes, free_large);
}

block_pool_stats block_pool::stats() noexcept { return pool.stats; }

chunk chunk::copy_of(std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    open_block own(bytes.size());
    own.append(bytes);
    return own.share(0, bytes.size());
}

chunk chunk::adopt(std::string text) {
    OURO_ASSERT(text.size() <= block_pool::bytes_max);
    if (text.empty()) return {};
    auto own = std::make_unique<string_block>();
    own->text = std::move(text);
    own->refs = 1;
    own->bytes = static_cast<std::uint32_t>(own->text.size());
    own->memory = reinterpret_cast<std::byte*>(own->text.data());
    own->free = free_string;
    ++pool.stats.live;
    ++pool.stats.from_system;
    const std::size_t size = own->bytes;
    return {*own.release(), 0, size};
}

void open_block::append(std::span<const std::byte> bytes) noexcept {
    OURO_ASSERT(bytes.size() <= capacity() - used_);
    if (bytes.empty()) return;
    std::memcpy(block_->memory + used_, bytes.data(), bytes.size());
    used_ += static_cast<std::uint32_t>(bytes.size());
}

}  // namespace ouro::net
