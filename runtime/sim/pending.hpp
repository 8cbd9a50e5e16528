// pending.hpp: an operation that the simulated ring works on.
#pragma once

#include <ouro/runtime/sim/reactor.hpp>

#include <cstddef>
#include <memory>

namespace ouro::sim {

/// An operation between its submission and its final result.
class reactor::pending final : public list_hook<pending>, public socket_waiter {
public:
    pending(op& what, reactor& by);
    ~pending();

    op& operation;
    std::unique_ptr<io_uring_sqe> entry;
    std::shared_ptr<open_file> file;  // null on real descriptors
    std::size_t moved = 0;            // bytes, when it is to move all of them (MSG_WAITALL)

    std::uint8_t kind() const noexcept;

    /// Leaves the place where it is.
    void leave() noexcept {
        if (list_hook<pending>::linked()) list_hook<pending>::unlink();
        if (list_hook<socket_waiter>::linked()) list_hook<socket_waiter>::unlink();
    }

private:
    void socket_changed() override { by_.started_.push_back(*this); }

    reactor& by_;
};

}  // namespace ouro::sim
