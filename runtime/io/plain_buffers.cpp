#include <ouro/runtime/io/plain_buffers.hpp>

#include <ouro/runtime/engine/reactor.hpp>
#include <ouro/runtime/io/buffer_memory.hpp>

#include <vector>

namespace ouro {
namespace {

class plain_buffers final : public buffer_pool {
public:
    plain_buffers(buffer_memory memory, const reactor_options& options, buffer_supply supply)
        : buffer_pool(memory.at(), options, supply), memory_(std::move(memory)) {
        free_.reserve(options.receive_buffers);
        for (unsigned id = options.receive_buffers; id-- > 0;)
            free_.push_back(static_cast<std::uint16_t>(id));
    }

private:
    int take_free() noexcept override {
        if (free_.empty()) return -1;
        const int id = free_.back();  // the one used last is warm
        free_.pop_back();
        return id;
    }

    void put(std::uint16_t id) noexcept override {
        OURO_ASSERT(free_.size() < size() && "a buffer comes back once");
        free_.push_back(id);
    }

    buffer_memory memory_;
    std::vector<std::uint16_t> free_;
};

}  // namespace

std::unique_ptr<buffer_pool> make_plain_buffers(const reactor_options& options,
                                                buffer_supply supply) {
    return std::make_unique<plain_buffers>(buffer_memory(buffer_pool::bytes_of(options)), options,
                                           supply);
}

}  // namespace ouro
