#include <ouro/runtime/sim/buffers.hpp>

#include <ouro/runtime/engine/reactor.hpp>

namespace ouro::sim {

buffers::buffers(const reactor_options& options)
    : buffers(buffer_memory(buffer_pool::bytes_of(options)), options) {}

buffers::buffers(buffer_memory memory, const reactor_options& options)
    : buffer_pool(memory.at(), options, buffer_supply::kernel), memory_(std::move(memory)) {
    free_.reserve(options.receive_buffers);
    for (unsigned id = options.receive_buffers; id-- > 0;)
        free_.push_back(static_cast<std::uint16_t>(id));
}

int buffers::pick() noexcept {
    if (free_.empty()) return -1;
    const int id = free_.back();
    free_.pop_back();
    return id;
}

}  // namespace ouro::sim
