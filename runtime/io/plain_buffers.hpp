// plain_buffers.hpp: receive buffers without the kernel's help, for epoll, simulation, old rings.
#pragma once

#include <ouro/runtime/io/buffer_pool.hpp>

#include <memory>

namespace ouro {

struct reactor_options;

/// Makes a pool whose buffers are taken by the receiver: by default just when a receive is
/// attempted. Memory is touched when first used. Throws std::system_error when there is none.
std::unique_ptr<buffer_pool> make_plain_buffers(const reactor_options& options,
                                                buffer_supply supply = buffer_supply::on_attempt);

}  // namespace ouro
