// The kernel reads the ring's tail and takes entries from its head, in any enter; we only ever
// append. A buffer returns to the ring when its lease ends, so an entry is never overwritten: the
// ring has as many entries as there are buffers.

#include <ouro/runtime/io/ring/buffers.hpp>

#include <ouro/runtime/engine/reactor.hpp>
#include <ouro/runtime/error.hpp>
#include <ouro/runtime/io/buffer_memory.hpp>

#include <liburing.h>

namespace ouro {
namespace {

class uring_buffers final : public buffer_pool {
public:
    uring_buffers(io_uring& ring, buffer_memory memory, buffer_memory entries,
                  const reactor_options& options)
        : buffer_pool(memory.at(), options, buffer_supply::kernel),
          ring_(ring),
          memory_(std::move(memory)),
          entries_memory_(std::move(entries)),
          entries_(reinterpret_cast<io_uring_buf_ring*>(entries_memory_.at())) {
        io_uring_buf_ring_init(entries_);
        io_uring_buf_reg group{};
        group.ring_addr = reinterpret_cast<std::uint64_t>(entries_);
        group.ring_entries = static_cast<std::uint32_t>(size());
        group.bgid = buffer_group;
        if (const int refused = io_uring_register_buf_ring(&ring_, &group, 0); refused < 0)
            throw_error(error_of(refused));
        for (unsigned id = 0; id < options.receive_buffers; ++id)
            add(static_cast<std::uint16_t>(id), id);
        io_uring_buf_ring_advance(entries_, static_cast<int>(size()));
    }

    ~uring_buffers() override { io_uring_unregister_buf_ring(&ring_, buffer_group); }

private:
    int take_free() noexcept override { return -1; }  // the kernel takes

    void put(std::uint16_t id) noexcept override {
        add(id, 0);
        io_uring_buf_ring_advance(entries_, 1);
    }

    void add(std::uint16_t id, unsigned offset) noexcept {
        io_uring_buf_ring_add(entries_, memory(id).data(), static_cast<unsigned>(buffer_bytes()),
                              id, io_uring_buf_ring_mask(static_cast<unsigned>(size())),
                              static_cast<int>(offset));
    }

    io_uring& ring_;
    buffer_memory memory_;
    buffer_memory entries_memory_;
    io_uring_buf_ring* entries_;
};

}  // namespace

std::unique_ptr<buffer_pool> make_uring_buffers(io_uring& ring, const reactor_options& options) {
    buffer_memory memory(buffer_pool::bytes_of(options));
    buffer_memory entries(options.receive_buffers * sizeof(io_uring_buf));
    return std::make_unique<uring_buffers>(ring, std::move(memory), std::move(entries), options);
}

}  // namespace ouro
