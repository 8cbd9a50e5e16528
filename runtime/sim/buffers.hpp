// buffers.hpp: the receive buffers of a simulated ring, taken by it as a kernel would.
#pragma once

#include <ouro/runtime/io/buffer_memory.hpp>
#include <ouro/runtime/io/buffer_pool.hpp>

#include <vector>

namespace ouro::sim {

/// A pool whose buffers the reactor picks when data is there; a completion names the buffer.
class buffers final : public buffer_pool {
public:
    explicit buffers(const reactor_options& options);

    /// A free buffer, or -1. It is out once its completion has been taken.
    int pick() noexcept;
    /// Returns a picked buffer that no completion will name.
    void unpick(int id) noexcept { put(static_cast<std::uint16_t>(id)); }

private:
    buffers(buffer_memory memory, const reactor_options& options);

    int take_free() noexcept override { return -1; }
    void put(std::uint16_t id) noexcept override { free_.push_back(id); }

    buffer_memory memory_;
    std::vector<std::uint16_t> free_;
};

}  // namespace ouro::sim
