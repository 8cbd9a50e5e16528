// buffer.hpp: one piece of memory through which bytes pass: consumed | ready | free.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace ouro::net {

/// A queue of bytes that lie in a row.
///
/// Bytes are put behind the ready ones with `prepare` and `commit`, looked at with `ready`, and
/// dropped from the front with `consume`. It holds no memory before the first `prepare`, grows by
/// doubling, and never holds more than `bytes_max`. Only `prepare` and `append` move bytes, so what
/// `ready` answered, and consumed bytes too, stay where they are until then.
class buffer {
public:
    explicit buffer(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}
    buffer(buffer&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)),
          capacity_(std::exchange(other.capacity_, 0)),
          begin_(std::exchange(other.begin_, 0)),
          end_(std::exchange(other.end_, 0)),
          bytes_max_(other.bytes_max_) {}
    buffer& operator=(buffer&& other) noexcept;
    ~buffer() { release(); }

    std::size_t bytes_max() const noexcept { return bytes_max_; }
    std::size_t capacity() const noexcept { return capacity_; }

    /// The bytes that can be read.
    std::span<const std::byte> ready() const noexcept { return {memory_ + begin_, end_ - begin_}; }
    std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(memory_) + begin_, end_ - begin_};
    }
    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }

    /// Drops `n` bytes from the front.
    void consume(std::size_t n) noexcept {
        OURO_ASSERT(n <= size());
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    /// All free memory behind the ready bytes, at least `n` bytes of it, `n` > 0; an empty span
    /// when that would be more than `bytes_max` in all. Throws std::bad_alloc.
    std::span<std::byte> prepare(std::size_t n) {
        if (n > capacity_ - end_ && !make_room(n)) return {};
        return {memory_ + end_, capacity_ - end_};
    }

    /// Makes the first `n` bytes of what `prepare` answered ready.
    void commit(std::size_t n) noexcept {
        OURO_ASSERT(n <= capacity_ - end_);
        end_ += n;
    }

    /// Copies bytes behind the ready ones; false, and nothing happens, above `bytes_max`.
    bool append(std::span<const std::byte> bytes);
    bool append(std::string_view text) { return append(std::as_bytes(std::span(text))); }

    /// Drops every byte and gives the memory back.
    void release() noexcept;

private:
    bool make_room(std::size_t n);

    std::byte* memory_ = nullptr;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  // of the ready bytes
    std::size_t end_ = 0;    // of the ready bytes; begin_ == end_ only when both are 0
    std::size_t bytes_max_;
};

}  // namespace ouro::net
