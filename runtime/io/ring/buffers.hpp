// buffers.hpp: the worker's receive buffers, provided to the kernel in a ring.
#pragma once

#include <ouro/runtime/io/buffer_pool.hpp>

#include <memory>

struct io_uring;

namespace ouro {

struct reactor_options;

/// The buffer group that receive operations name.
constexpr std::uint16_t buffer_group = 0;

/// Registers a ring of provided buffers, from which the kernel takes one when data has come. It
/// must go before `ring` does. Throws std::system_error when the kernel has no such rings (before
/// Linux 5.19: std::errc::invalid_argument) or no memory.
std::unique_ptr<buffer_pool> make_uring_buffers(io_uring& ring, const reactor_options& options);

}  // namespace ouro
