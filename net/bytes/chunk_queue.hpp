// chunk_queue.hpp: the bytes that wait to be sent, as chunks in a ring.
#pragma once

#include <ouro/net/bytes/chunk.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ouro::net {

/// First in, first out, with the unit of a chunk at the back and of a byte at the front. A chunk
/// that continues the last one extends it instead of being a new entry.
///
/// The first few entries need no memory; more live in a ring from the thread's pool, which a queue
/// that has run empty gives back unless it is small.
class chunk_queue {
public:
    chunk_queue() noexcept = default;
    chunk_queue(const chunk_queue&) = delete;
    chunk_queue& operator=(const chunk_queue&) = delete;
    ~chunk_queue() { clear(); }

    bool empty() const noexcept { return count_ == 0; }
    std::size_t bytes() const noexcept { return bytes_; }
    /// How many chunks there are.
    std::size_t size() const noexcept { return count_; }

    /// The first chunk; there must be one.
    const chunk& front() const noexcept {
        OURO_ASSERT(!empty());
        return ring_[head_];
    }

    /// Puts the bytes of `more` behind the others, sharing them. Throws std::bad_alloc, and then
    /// nothing has changed.
    void push(const chunk& more) {
        if (count_ == 0 || !at(count_ - 1).extend(more)) {
            if (more.empty()) return;
            if (count_ == capacity_) grow();
            at(count_++) = more;
        }
        bytes_ += more.size();
    }

    /// Appends copies to `tail` when its next bytes continue the last chunk and fit; that chunk
    /// grows by them. Else nothing happens and the answer is false.
    bool append(open_block& tail, std::span<const std::byte> bytes) noexcept {
        if (count_ == 0 || bytes.size() > tail.free().size()) return false;
        chunk& last = at(count_ - 1);
        if (!tail.continues(last)) return false;
        tail.append_to(last, bytes);
        bytes_ += bytes.size();
        return true;
    }

    /// Drops bytes from the back, and with them chunks.
    void retract(std::size_t bytes) noexcept;

    /// Drops bytes from the front, and with them chunks.
    void consume(std::size_t bytes) noexcept;

    /// Describes the chunks from the front, as many as fit; the answer says how many.
    std::size_t gather(std::span<iovec> into) const noexcept;

    void clear() noexcept;

private:
    static constexpr std::uint32_t first_capacity = 4;

    chunk& at(std::uint32_t index) const noexcept {
        return ring_[(head_ + index) & (capacity_ - 1)];
    }
    void grow();
    void release_ring() noexcept;

    std::size_t bytes_ = 0;
    std::uint32_t head_ = 0;
    std::uint32_t count_ = 0;
    std::uint32_t capacity_ = first_capacity;  // a power of two
    chunk* ring_ = first_;
    chunk first_[first_capacity];
};

}  // namespace ouro::net
