// link.hpp: the way between two connected sockets: how long it takes, and whether it works at all.
#pragma once

#include <ouro/runtime/sim/world.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace ouro::sim {

/// Carries what two connected sockets send each other, in order for each direction.
class link : public std::enable_shared_from_this<link> {
public:
    enum class side : std::uint8_t { client, server };

    link(world& in, const conditions& how, bool cut) noexcept : world_(in), how_(how), cut_(cut) {}

    void set(const conditions& how) noexcept { how_ = how; }

    /// Has `what` happen at the other side when it arrives: at once on a way without delay, after
    /// the repair on one that is cut.
    void carry(side from, std::size_t bytes, std::unique_ptr<event> what);

    void cut() noexcept { cut_ = true; }
    void repair();

private:
    class arrival;

    struct direction {
        std::int64_t free_at = 0;  // when the last thing sent arrives
        std::size_t under_way = 0;
    };

    world& world_;
    conditions how_;
    bool cut_;
    direction directions_[2];
    struct parcel {
        side from;
        std::size_t bytes;
        std::unique_ptr<event> what;
    };
    std::vector<parcel> held_;  // while it is cut
};

inline link::side other(link::side one) noexcept {
    return one == link::side::client ? link::side::server : link::side::client;
}

}  // namespace ouro::sim
