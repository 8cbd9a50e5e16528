#include <ouro/net/bytes/chunk_queue.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::uint32_t kept_capacity_max = 32;  // half a kilobyte stays with an idle queue

}  // namespace

void chunk_queue::consume(std::size_t bytes) noexcept {
    OURO_ASSERT(bytes <= bytes_);
    bytes_ -= bytes;
    while (bytes > 0) {
        chunk& front = ring_[head_];
        if (bytes < front.size()) {
            front.remove_prefix(bytes);
            return;
        }
        bytes -= front.size();
        front = chunk();
        head_ = (head_ + 1) & (capacity_ - 1);
        --count_;
    }
    if (count_ > 0) return;
    OURO_ASSERT(bytes_ == 0);
    head_ = 0;  // again, so that a queue in slow traffic touches always the same memory
    if (capacity_ > kept_capacity_max) release_ring();
}

void chunk_queue::retract(std::size_t bytes) noexcept {
    OURO_ASSERT(bytes <= bytes_);
    bytes_ -= bytes;
    while (bytes > 0) {
        chunk& last = at(count_ - 1);
        const std::size_t dropped = std::min(bytes, last.size());
        last = last.part(0, last.size() - dropped);
        bytes -= dropped;
        if (!last.empty()) continue;
        last = chunk();
        --count_;
    }
    OURO_ASSERT((count_ == 0) == (bytes_ == 0));
}

std::size_t chunk_queue::gather(std::span<iovec> into) const noexcept {
    const std::size_t n = std::min<std::size_t>(count_, into.size());
    for (std::uint32_t i = 0; i < n; ++i) {
        const chunk& each = at(i);
        into[i] = {const_cast<std::byte*>(each.data()), each.size()};
    }
    return n;
}

void chunk_queue::clear() noexcept {
    for (std::uint32_t i = 0; i < count_; ++i) at(i) = chunk();
    bytes_ = 0;
    head_ = count_ = 0;
    release_ring();
}

void chunk_queue::grow() {
    OURO_ASSERT(count_ == capacity_);
    const std::uint32_t larger = 2 * capacity_;
    void* const memory = frame_pool::allocate(larger * sizeof(chunk));
    chunk* const ring = static_cast<chunk*>(memory);
    std::uninitialized_value_construct_n(ring, larger);
    for (std::uint32_t i = 0; i < count_; ++i) ring[i] = std::move(at(i));
    release_ring();
    ring_ = ring;
    capacity_ = larger;
}

// The entries are empty by now.
void chunk_queue::release_ring() noexcept {
    if (ring_ != first_) {
        std::destroy_n(ring_, capacity_);
        frame_pool::release(ring_, capacity_ * sizeof(chunk));
    }
    ring_ = first_;
    capacity_ = first_capacity;
    head_ = 0;
}

}  // namespace ouro::net
