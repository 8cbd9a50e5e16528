#include <ouro/runtime/sim/link.hpp>

#include <ouro/runtime/check.hpp>

#include <algorithm>

namespace ouro::sim {

/// Keeps count of what is under way, so that nothing overtakes it.
class link::arrival final : public event {
public:
    arrival(std::shared_ptr<link> over, direction& in, std::unique_ptr<event> what) noexcept
        : over_(std::move(over)), in_(in), what_(std::move(what)) {}

    void happen() override {
        OURO_ASSERT(in_.under_way > 0);
        --in_.under_way;
        what_->happen();
    }

private:
    std::shared_ptr<link> over_;
    direction& in_;
    std::unique_ptr<event> what_;
};

void link::carry(side from, std::size_t bytes, std::unique_ptr<event> what) {
    if (cut_) {
        held_.push_back({from, bytes, std::move(what)});
        return;
    }
    direction& way = directions_[static_cast<int>(from)];
    std::int64_t when = saturating_add(world_.now(), world_.draw_delay(how_));
    when = std::max(when, way.free_at);
    if (how_.bytes_per_second > 0)
        when = saturating_add(
            when, static_cast<std::int64_t>(bytes * 1'000'000'000 / how_.bytes_per_second));
    OURO_ASSERT(when >= world_.now() && when >= way.free_at);
    way.free_at = when;
    if (when == world_.now() && way.under_way == 0) {
        what->happen();
        return;
    }
    ++way.under_way;
    world_.plan(when, std::make_unique<arrival>(shared_from_this(), way, std::move(what)));
}

void link::repair() {
    cut_ = false;
    for (parcel& each : std::exchange(held_, {}))
        carry(each.from, each.bytes, std::move(each.what));
}

}  // namespace ouro::sim
