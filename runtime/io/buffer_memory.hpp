// buffer_memory.hpp: memory from the system for buffers.
#pragma once

#include <ouro/runtime/error.hpp>

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace ouro {

/// Zeroed, page-aligned memory that is not touched: a page costs nothing until somebody writes.
class buffer_memory {
public:
    /// Throws std::system_error when there is none.
    explicit buffer_memory(std::size_t size) : size_(size) {
        at_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at_ == MAP_FAILED) throw_error(error_of(-errno));
    }
    buffer_memory(buffer_memory&& other) noexcept
        : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
    buffer_memory& operator=(buffer_memory&&) = delete;
    ~buffer_memory() {
        if (at_) ::munmap(at_, size_);
    }

    std::byte* at() const noexcept { return static_cast<std::byte*>(at_); }

private:
    void* at_;
    std::size_t size_;
};

}  // namespace ouro
