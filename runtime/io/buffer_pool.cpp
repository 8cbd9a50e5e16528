#include <ouro/runtime/io/buffer_pool.hpp>

#include <ouro/runtime/engine/executor.hpp>

#include <bit>

namespace ouro {

void lease_quota::point_leases_at(lease_quota* heir) noexcept {
    std::size_t found = 0;
    for (buffer_pool* at = &executor::current().io().buffers(); at; at = at->kin_) {
        for (std::size_t id = 0; id < at->count_; ++id) {
            if (at->quotas_[id] != this) continue;
            at->quotas_[id] = heir;
            ++found;
        }
    }
    OURO_ASSERT(found == held_ && "lease: it counts where it was lent");
    if (heir) heir->held_ = held_;
    held_ = 0;
}

std::span<const std::byte> lease::data() const noexcept {
    if (!pool_) return {};
    return std::span<const std::byte>(pool_->memory(id_)).first(size_);
}

void lease::reset() noexcept {
    size_ = 0;
    if (buffer_pool* pool = std::exchange(pool_, nullptr)) pool->end_lease(id_);
}

buffer_pool::buffer_pool(std::byte* memory, const reactor_options& options, buffer_supply supply)
    : memory_(memory),
      buffer_bytes_(options.receive_buffer_bytes),
      count_(options.receive_buffers),
      leases_max_(options.leases_per_descriptor),
      supply_(supply),
      quotas_(std::make_unique<lease_quota*[]>(options.receive_buffers)) {
    OURO_ASSERT(std::has_single_bit(options.receive_buffers) && options.receive_buffers <= 32768);
    OURO_ASSERT(options.receive_buffer_bytes > 0 && options.leases_per_descriptor > 0);
}

buffer_pool::~buffer_pool() = default;

std::size_t buffer_pool::bytes_of(const reactor_options& options) noexcept {
    return std::size_t{options.receive_buffers} * options.receive_buffer_bytes;
}

lease buffer_pool::lend(std::uint16_t id, std::size_t size, lease_quota& quota) noexcept {
    OURO_ASSERT(id < count_ && size > 0 && size <= buffer_bytes_);
    OURO_ASSERT(leased_ < out_ && quotas_[id] == nullptr);
    ++leased_;
    ++quota.held_;
    quotas_[id] = &quota;
    return {*this, id, static_cast<std::uint32_t>(size)};
}

void buffer_pool::end_lease(std::uint16_t id) noexcept {
    OURO_ASSERT(leased_ > 0);
    --leased_;
    if (lease_quota* quota = std::exchange(quotas_[id], nullptr)) {
        OURO_ASSERT(quota->held_ > 0);
        --quota->held_;
    }
    give_back(id);
}

void buffer_pool::give_back(std::uint16_t id) noexcept {
    OURO_ASSERT(out_ > 0);
    --out_;
    put(id);
    pass_on();
}

void buffer_pool::pass_on() noexcept {
    if (waiters_.empty() && !waking_) return;
    ++wakes_owed_;
    if (waking_) return;  // the loop below is running further up
    waking_ = true;
    while (wakes_owed_ > 0 && !waiters_.empty()) {
        --wakes_owed_;
        waiters_.pop_front().buffer_returned();
    }
    wakes_owed_ = 0;
    waking_ = false;
}

}  // namespace ouro
