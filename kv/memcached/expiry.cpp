#include <ouro/kv/memcached/expiry.hpp>

#include <algorithm>

namespace ouro::memcached {
namespace {

constexpr std::int64_t relative_max = 60 * 60 * 24 * 30;
constexpr std::int64_t wire_max = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t expired = -1;

std::int64_t unix_seconds(std::chrono::system_clock::time_point when) noexcept {
    return std::chrono::ceil<std::chrono::seconds>(when.time_since_epoch()).count();
}

}  // namespace

expiry expiry::at(std::chrono::system_clock::time_point when) noexcept {
    expiry made;
    made.seconds_ = unix_seconds(when);
    made.is_date_ = true;
    return made;
}

std::int32_t expiry::on_wire(std::chrono::system_clock::time_point now) const noexcept {
    if (is_date_ && seconds_ <= relative_max) return expired;  // would be taken for a length
    if (is_date_) return static_cast<std::int32_t>(std::min(seconds_, wire_max));
    if (seconds_ < 0) return expired;
    if (seconds_ <= relative_max) return static_cast<std::int32_t>(seconds_);
    const std::int64_t from = unix_seconds(now);
    return static_cast<std::int32_t>(seconds_ > wire_max - from ? wire_max : from + seconds_);
}

}  // namespace ouro::memcached
