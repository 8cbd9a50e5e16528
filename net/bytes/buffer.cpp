#include <ouro/net/bytes/buffer.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace ouro::net {
namespace {

constexpr std::size_t first_bytes = 512;

std::byte* allocate(std::size_t bytes) {
    return static_cast<std::byte*>(frame_pool::allocate(bytes));
}

}  // namespace

buffer& buffer::operator=(buffer&& other) noexcept {
    if (this == &other) return *this;
    release();
    memory_ = std::exchange(other.memory_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    bytes_max_ = other.bytes_max_;
    return *this;
}

bool buffer::append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return true;
    const std::span<std::byte> space = prepare(bytes.size());
    if (space.empty()) return false;
    std::memcpy(space.data(), bytes.data(), bytes.size());
    commit(bytes.size());
    return true;
}

void buffer::release() noexcept {
    if (memory_) frame_pool::release(memory_, capacity_);
    memory_ = nullptr;
    capacity_ = begin_ = end_ = 0;
}

// Moves the ready bytes to the front when that makes the room; what was consumed before pays for
// it, since a ready byte is moved at most once for each time the front is reached. Else grows.
bool buffer::make_room(std::size_t n) {
    OURO_ASSERT(n > 0);
    const std::size_t kept = size();
    if (n > bytes_max_ || kept > bytes_max_ - n) return false;
    if (kept + n <= capacity_) {
        std::memmove(memory_, memory_ + begin_, kept);
    } else {
        const std::size_t grown =
            std::min(std::max(std::bit_ceil(kept + n), first_bytes), bytes_max_);
        std::byte* const larger = allocate(grown);
        if (kept > 0) std::memcpy(larger, memory_ + begin_, kept);
        if (memory_) frame_pool::release(memory_, capacity_);
        memory_ = larger;
        capacity_ = grown;
    }
    begin_ = 0;
    end_ = kept;
    OURO_ASSERT(n <= capacity_ - end_);
    return true;
}

}  // namespace ouro::net
