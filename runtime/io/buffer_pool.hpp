// buffer_pool.hpp: receive buffers that are lent for as long as somebody reads them.
//
//   free ──take / the kernel──> out ──lend──> leased ──lease ends──> free
//                                └──give_back: nothing was received──┘
//
//  1. `out_` counts buffers that are neither free nor, as far as was heard, in the kernel's hands.
//  2. Whoever finds no buffer waits in `waiters_`. Each buffer that comes back wakes one waiter; a
//     woken waiter that ends without using a buffer calls `pass_on`, so no wake is lost.
//  3. A lease knows its pool and buffer; the pool knows which quota a buffer counts against. A
//     quota that dies or moves tells the worker's pools, so none ever points to something gone.
//  4. Waking may give buffers back in turn; one loop does all of it, so the stack stays flat.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace ouro {

class buffer_pool;
struct reactor_options;

/// Counts the leases that came from one descriptor. Leases may outlive it.
class lease_quota {
public:
    lease_quota() noexcept = default;
    lease_quota(lease_quota&& other) noexcept { take_over(other); }
    lease_quota& operator=(lease_quota&& other) noexcept {
        forget();
        take_over(other);
        return *this;
    }
    ~lease_quota() { forget(); }

    /// Leases not given back yet.
    std::size_t held() const noexcept { return held_; }

    /// Starts anew: leases that are still out no longer count.
    void forget() noexcept {
        if (held_ > 0) point_leases_at(nullptr);
    }

private:
    friend class buffer_pool;

    void take_over(lease_quota& other) noexcept {
        if (other.held_ > 0) other.point_leases_at(this);
    }
    void point_leases_at(lease_quota* heir) noexcept;

    std::uint32_t held_ = 0;
};

/// A received piece of data in a buffer of the worker's pool. Going out of scope gives it back.
class lease {
public:
    lease() noexcept = default;
    lease(lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          id_(other.id_),
          size_(std::exchange(other.size_, 0)) {}
    lease& operator=(lease&& other) noexcept {
        reset();
        pool_ = std::exchange(other.pool_, nullptr);
        id_ = other.id_;
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~lease() { reset(); }

    /// Valid until the lease ends.
    std::span<const std::byte> data() const noexcept;
    std::size_t size() const noexcept { return size_; }
    /// True at the end of the stream: nothing was received, no buffer is held.
    bool empty() const noexcept { return size_ == 0; }

    /// Gives the buffer back early.
    void reset() noexcept;

private:
    friend class buffer_pool;
    lease(buffer_pool& pool, std::uint16_t id, std::uint32_t size) noexcept
        : pool_(&pool), id_(id), size_(size) {}

    buffer_pool* pool_ = nullptr;
    std::uint16_t id_ = 0;
    std::uint32_t size_ = 0;
};

/// Somebody who found no buffer and wants to try again when one is back.
class buffer_waiter : public list_hook<buffer_waiter> {
public:
    /// Called once, out of the list: a buffer is there unless somebody else was faster. Whoever
    /// does not use it after all calls buffer_pool::pass_on.
    virtual void buffer_returned() noexcept = 0;

protected:
    ~buffer_waiter() = default;
};

/// Who takes a buffer out of the pool, and when.
enum class buffer_supply : std::uint8_t {
    kernel,      ///< the kernel (or what stands for it), when data has come; its completion
                 ///< names the buffer
    on_attempt,  ///< the receiver, for the moment of a non-blocking attempt
    after_poll,  ///< the receiver, once the descriptor is readable; for rings without the first
};

/// A fixed number of equal buffers of one worker, given out as leases.
class buffer_pool {
public:
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;
    virtual ~buffer_pool();

    buffer_supply supply() const noexcept { return supply_; }
    std::size_t buffer_bytes() const noexcept { return buffer_bytes_; }
    std::size_t size() const noexcept { return count_; }
    /// How many leases one descriptor may hold.
    std::size_t leases_max() const noexcept { return leases_max_; }

    std::size_t leased() const noexcept { return leased_; }
    /// Buffers that are free. With buffer_supply::kernel the truth may be less: completions not
    /// taken yet hold some.
    std::size_t available() const noexcept { return count_ - out_; }

    /// The memory of buffer `id`.
    std::span<std::byte> memory(std::uint16_t id) noexcept {
        return {memory_ + std::size_t{id} * buffer_bytes_, buffer_bytes_};
    }

    /// Takes a free buffer; -1 when there is none, and always when a real kernel takes them.
    int take() noexcept {
        const int id = take_free();
        if (id >= 0) ++out_;
        return id;
    }

    /// Notes that the kernel's completion named a buffer: it is out. For the ring's reactor.
    void taken_by_kernel() noexcept {
        ++out_;
        OURO_ASSERT(out_ <= count_);
    }

    /// Makes a lease of a buffer that is out, counted against `quota`.
    lease lend(std::uint16_t id, std::size_t size, lease_quota& quota) noexcept;

    /// Returns a buffer that is out but not lent.
    void give_back(std::uint16_t id) noexcept;

    /// Another pool of the same worker, which lives as long, and whose leases count, too.
    void add_kin(buffer_pool& other) noexcept {
        OURO_ASSERT(!kin_ && &other != this);
        kin_ = &other;
    }

    /// Queues somebody who found no buffer.
    void wait(buffer_waiter& waiter) noexcept { waiters_.push_back(waiter); }

    /// Wakes the next waiter: the one that was woken did without the buffer.
    void pass_on() noexcept;

    /// The bytes that the buffers of such a pool take.
    static std::size_t bytes_of(const reactor_options& options) noexcept;

protected:
    buffer_pool(std::byte* memory, const reactor_options& options, buffer_supply supply);

    virtual int take_free() noexcept = 0;
    virtual void put(std::uint16_t id) noexcept = 0;

private:
    friend class lease;
    friend class lease_quota;

    void end_lease(std::uint16_t id) noexcept;

    std::byte* memory_;
    std::size_t buffer_bytes_;
    std::size_t count_;
    std::size_t leases_max_;
    std::size_t out_ = 0;
    std::size_t leased_ = 0;
    std::size_t wakes_owed_ = 0;
    buffer_supply supply_;
    bool waking_ = false;
    intrusive_list<buffer_waiter, buffer_waiter> waiters_;
    std::unique_ptr<lease_quota*[]> quotas_;  // of each buffer; null: none counts it
    buffer_pool* kin_ = nullptr;              // of the same worker
};

}  // namespace ouro
