// ring.hpp: a bounded queue of values whose memory is had once, when it is made.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace ouro {

/// First in, first out, for at most `capacity` values.
template <class T>
class ring {
public:
    /// Allocates room for `capacity` values, none for 0. May throw std::bad_alloc.
    explicit ring(std::size_t capacity)
        : slots_(capacity ? std::allocator<T>().allocate(capacity) : nullptr),
          capacity_(capacity) {}
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() {
        while (!empty()) drop_front();
        if (slots_) std::allocator<T>().deallocate(slots_, capacity_);
    }

    bool empty() const noexcept { return size_ == 0; }
    bool full() const noexcept { return size_ == capacity_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }

    T& front() noexcept {
        OURO_ASSERT(!empty());
        return slots_[first_];
    }

    void push(T&& value) noexcept {
        OURO_ASSERT(!full());
        std::size_t last = first_ + size_;
        if (last >= capacity_) last -= capacity_;
        std::construct_at(slots_ + last, std::move(value));
        ++size_;
    }

    void drop_front() noexcept {
        std::destroy_at(&front());
        if (++first_ == capacity_) first_ = 0;
        --size_;
    }

private:
    T* slots_;
    std::size_t capacity_;
    std::size_t first_ = 0;  // < capacity_
    std::size_t size_ = 0;
};

}  // namespace ouro
