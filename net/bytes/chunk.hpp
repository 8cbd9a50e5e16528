// chunk.hpp: immutable bytes that many hold and nobody copies.
//
//   block: [ refs | … bytes …                    ]      A block is one piece of memory with a count
//             chunk a ┘└ chunk b ┘└ chunk c ┘└ free      of holders. A chunk is a part of a block
//                                                       and counts as one. What an open_block has
// appended never changes again, so chunks of it go out while more is being appended; two chunks
// that touch can become one, so that a batch of messages is one piece for the kernel.
//
// Everything here belongs to one worker: counts are plain integers, memory comes from free lists of
// the thread. To give bytes to another worker, copy them.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ouro::net {

/// The head of a piece of shared memory. Chunks and open_blocks hold it; users have those.
struct block {
    std::uint32_t refs;   // > 0; the last one to let go frees it
    std::uint32_t bytes;  // how many there are at `memory`
    std::byte* memory;
    void (*free)(block&) noexcept;
};

/// Figures of the calling thread's blocks.
struct block_pool_stats {
    std::uint64_t live = 0;          ///< blocks that somebody holds
    std::uint64_t from_system = 0;   ///< times the system allocator was asked
    std::uint64_t cached_bytes = 0;  ///< memory waiting in the free list of full blocks
};

/// Where blocks come from. Small ones are pooled with the coroutine frames, full ones in a free
/// list of up to 16 MiB, larger ones come from the system. Under AddressSanitizer nothing is
/// pooled, so that a use after the end is seen.
class block_pool {
public:
    /// What a full block holds: 16 KiB with its head.
    static constexpr std::size_t full_bytes = 16 * 1024 - sizeof(block);
    static constexpr std::size_t bytes_max = std::size_t{1} << 31;

    /// Makes a block of at least `bytes` with one reference, the caller's. Throws std::bad_alloc.
    static block& take(std::size_t bytes);
    /// Frees a block whose last reference is gone.
    static void give_back(block& unused) noexcept {
        OURO_ASSERT(unused.refs == 0);
        unused.free(unused);
    }

    static block_pool_stats stats() noexcept;
};

/// A part of a block: bytes that stay as they are for as long as the chunk is held. Copying one
/// shares the bytes. 16 bytes large, worker-local.
class chunk {
public:
    chunk() noexcept = default;
    chunk(const chunk& other) noexcept
        : block_(other.block_), begin_(other.begin_), size_(other.size_) {
        if (block_) ++block_->refs;
    }
    chunk(chunk&& other) noexcept
        : block_(std::exchange(other.block_, nullptr)),
          begin_(other.begin_),
          size_(std::exchange(other.size_, 0)) {}
    chunk& operator=(chunk other) noexcept {
        std::swap(block_, other.block_);
        begin_ = other.begin_;
        size_ = other.size_;
        return *this;
    }
    ~chunk() { drop(); }

    /// A copy of the bytes in a block of its own. At most block_pool::bytes_max.
    static chunk copy_of(std::span<const std::byte> bytes);
    static chunk copy_of(std::string_view text) { return copy_of(std::as_bytes(std::span(text))); }
    /// Takes over a string without copying its characters.
    static chunk adopt(std::string text);

    const std::byte* data() const noexcept { return block_ ? block_->memory + begin_ : nullptr; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    explicit operator bool() const noexcept { return size_ != 0; }

    /// Valid while this chunk, or another one of the same bytes, is held.
    std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }
    std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(data()), size_};
    }

    /// Shares `size` bytes from `offset` on.
    chunk part(std::size_t offset, std::size_t size) const noexcept {
        OURO_ASSERT(offset <= size_ && size <= size_ - offset);
        chunk piece(*this);
        piece.begin_ += static_cast<std::uint32_t>(offset);
        piece.size_ = static_cast<std::uint32_t>(size);
        return piece;
    }

    /// Drops `size` bytes from the front.
    void remove_prefix(std::size_t size) noexcept {
        OURO_ASSERT(size <= size_);
        begin_ += static_cast<std::uint32_t>(size);
        size_ -= static_cast<std::uint32_t>(size);
    }

    /// Grows by the bytes of `next` when they lie just behind its own; else nothing happens and
    /// the answer is false. An empty chunk becomes `next`, and an empty `next` always fits.
    bool extend(const chunk& next) noexcept {
        if (size_ == 0) {
            *this = next;
            return true;
        }
        if (next.size_ == 0) return true;
        if (block_ != next.block_ || begin_ + size_ != next.begin_) return false;
        size_ += next.size_;
        return true;
    }

private:
    friend class open_block;

    /// Takes over one reference.
    chunk(block& from, std::size_t begin, std::size_t size) noexcept
        : block_(&from),
          begin_(static_cast<std::uint32_t>(begin)),
          size_(static_cast<std::uint32_t>(size)) {}

    void drop() noexcept {
        if (block_ && --block_->refs == 0) block_pool::give_back(*block_);
    }

    block* block_ = nullptr;
    std::uint32_t begin_ = 0;
    std::uint32_t size_ = 0;
};

/// The one writer of a block: appends at its end and shares what it has appended.
class open_block {
public:
    /// Holds no memory.
    open_block() noexcept = default;
    /// A block of at least `bytes`. Throws std::bad_alloc.
    explicit open_block(std::size_t bytes) : block_(&block_pool::take(bytes)) {}
    open_block(open_block&& other) noexcept
        : block_(std::exchange(other.block_, nullptr)), used_(std::exchange(other.used_, 0)) {}
    open_block& operator=(open_block other) noexcept {
        std::swap(block_, other.block_);
        used_ = other.used_;
        return *this;
    }
    ~open_block() {
        if (block_ && --block_->refs == 0) block_pool::give_back(*block_);
    }

    std::size_t capacity() const noexcept { return block_ ? block_->bytes : 0; }
    std::size_t used() const noexcept { return used_; }

    /// The bytes from `begin` to the end of what was appended.
    std::span<const std::byte> appended(std::size_t begin = 0) const noexcept {
        OURO_ASSERT(begin <= used_);
        if (!block_) return {};
        return {block_->memory + begin, used_ - begin};
    }

    /// Where to put the next bytes; `append` says how many were put there.
    std::span<std::byte> free() noexcept {
        if (!block_) return {};
        return {block_->memory + used_, block_->bytes - used_};
    }
    void append(std::size_t size) noexcept {
        OURO_ASSERT(size <= capacity() - used_);
        used_ += static_cast<std::uint32_t>(size);
    }
    /// Copies them behind the others; there must be room.
    void append(std::span<const std::byte> bytes) noexcept;

    /// Shares appended bytes.
    chunk share(std::size_t begin, std::size_t size) const noexcept {
        OURO_ASSERT(begin <= used_ && size <= used_ - begin);
        if (size == 0) return {};
        ++block_->refs;
        return {*block_, begin, size};
    }

    /// True when what is appended next lies just behind the bytes of `last`.
    bool continues(const chunk& last) const noexcept {
        return block_ && last.block_ == block_ && last.begin_ + last.size_ == used_;
    }
    /// Appends copies and makes `last`, which it continues, longer by them; there must be room.
    void append_to(chunk& last, std::span<const std::byte> bytes) noexcept {
        OURO_ASSERT(continues(last));
        append(bytes);
        last.size_ += static_cast<std::uint32_t>(bytes.size());
    }

    /// True when no chunk of it is held, so that it may be used again from its start.
    bool unshared() const noexcept { return block_ && block_->refs == 1; }
    void restart() noexcept {
        OURO_ASSERT(unshared());
        used_ = 0;
    }

private:
    block* block_ = nullptr;
    std::uint32_t used_ = 0;
};

}  // namespace ouro::net
