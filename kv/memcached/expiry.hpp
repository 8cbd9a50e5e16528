// expiry.hpp: when an item ends, and how the wire has it.
#pragma once

#include <ouro/runtime/duration.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

namespace ouro::memcached {

/// For how long an item is kept, or until when.
///
/// The wire counts in whole seconds. Servers take more than 30 days for a date, so longer times
/// are turned into one, by this machine's clock. A server's clock ticks once a second: one second
/// may be over at once. Servers may drop any item earlier when they need the room.
class expiry {
public:
    /// Never.
    constexpr expiry() noexcept = default;

    /// So long from now, rounded up to seconds; zero: never; negative: expired already.
    template <class Rep, class Period>
    constexpr expiry(std::chrono::duration<Rep, Period> length) noexcept
        : seconds_(saturating_cast<std::chrono::seconds>(length).count()) {}

    /// At that time, which for 1970 and before is in the past.
    static expiry at(std::chrono::system_clock::time_point when) noexcept;

    constexpr bool never() const noexcept { return seconds_ == 0 && !is_date_; }

    /// The number for the server: 0, -1 for expired, seconds up to 30 days, or a Unix time. Nothing
    /// is kept beyond 2038-01-19, the last second the server's number can say.
    std::int32_t on_wire(std::chrono::system_clock::time_point now =
                             std::chrono::system_clock::now()) const noexcept;

private:
    std::int64_t seconds_ = 0;  // from now, or of Unix time
    bool is_date_ = false;
};

}  // namespace ouro::memcached
