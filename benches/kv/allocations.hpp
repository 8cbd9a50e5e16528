// allocations.hpp: how often this program has asked the heap for memory.
#pragma once

#include <cstdint>

namespace kv_load {

/// Since the program began, by `new` in any of its forms. Nothing of ours allocates otherwise.
std::uint64_t allocations() noexcept;

}  // namespace kv_load
