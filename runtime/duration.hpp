// duration.hpp: lengths of time whose arithmetic ends at "for ever" instead of beginning anew.
#pragma once

#include <ouro/runtime/check.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>
#include <utility>

namespace ouro {

/// `a + b`, or the nearest number there is.
constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t sum = 0;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return b < 0 ? std::numeric_limits<std::int64_t>::min()
                 : std::numeric_limits<std::int64_t>::max();
}

/// `a - b`, or the nearest number there is.
constexpr std::int64_t saturating_sub(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t rest = 0;
    if (!__builtin_sub_overflow(a, b, &rest)) return rest;
    return b > 0 ? std::numeric_limits<std::int64_t>::min()
                 : std::numeric_limits<std::int64_t>::max();
}

/// `a * b`, or the nearest number there is.
constexpr std::int64_t saturating_mul(std::int64_t a, std::int64_t b) noexcept {
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(a, b, &product)) return product;
    return (a < 0) != (b < 0) ? std::numeric_limits<std::int64_t>::min()
                              : std::numeric_limits<std::int64_t>::max();
}

/// `from` in a unit that counts with 64 bits: rounded up where the unit is coarser, the longest or
/// the shortest length there is where it does not fit. Not a number is a bug.
template <class To, class Rep, class Period>
constexpr To saturating_cast(std::chrono::duration<Rep, Period> from) noexcept {
    static_assert(std::is_same_v<typename To::rep, std::int64_t>);
    using factor = std::ratio_divide<Period, typename To::period>;
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    if constexpr (std::chrono::treat_as_floating_point_v<Rep>) {
        const auto wanted = static_cast<long double>(from.count()) * factor::num / factor::den;
        OURO_ASSERT(wanted == wanted && "a length of time is a number");
        if (wanted >= static_cast<long double>(most)) return To(most);
        if (wanted <= static_cast<long double>(least)) return To(least);
        const auto whole = static_cast<std::int64_t>(wanted);
        return To(static_cast<long double>(whole) < wanted ? whole + 1 : whole);
    } else {
        const Rep given = from.count();
        if (std::cmp_greater(given, most)) return To(most);  // of an unsigned type
        const auto count = static_cast<std::int64_t>(given);
        const std::int64_t rest = count % factor::den * factor::num;
        const std::int64_t part = rest / factor::den + (rest % factor::den > 0 ? 1 : 0);
        return To(saturating_add(saturating_mul(count / factor::den, factor::num), part));
    }
}

/// A length of time in nanoseconds: a std::chrono::nanoseconds whose ends hold.
///
/// Made from a length in any unit; what is too long to count (292 years) is `max()`, which means
/// "for ever" to everything that takes a duration, and stays that in sums. A fraction of a
/// nanosecond counts as a whole one, so that no wait is shorter than was asked for.
class duration : public std::chrono::nanoseconds {
public:
    duration() = default;

    template <std::integral Count>
    constexpr explicit duration(Count nanoseconds) noexcept
        : duration(std::chrono::duration<Count, std::nano>(nanoseconds)) {}

    template <class Rep, class Period>
    constexpr duration(std::chrono::duration<Rep, Period> length) noexcept
        : std::chrono::nanoseconds(saturating_cast<std::chrono::nanoseconds>(length)) {}

    static constexpr duration zero() noexcept { return duration(0); }
    static constexpr duration min() noexcept { return std::chrono::nanoseconds::min(); }
    static constexpr duration max() noexcept { return std::chrono::nanoseconds::max(); }

    constexpr duration& operator+=(duration other) noexcept { return *this = *this + other; }
    constexpr duration& operator-=(duration other) noexcept { return *this = *this - other; }
    constexpr duration& operator*=(rep times) noexcept { return *this = *this * times; }

    constexpr duration operator-() const noexcept { return zero() - *this; }

    friend constexpr duration operator+(duration a, duration b) noexcept {
        return duration(saturating_add(a.count(), b.count()));
    }
    friend constexpr duration operator-(duration a, duration b) noexcept {
        return duration(saturating_sub(a.count(), b.count()));
    }
    // A friend for each side, so that these and not those of std::chrono are taken.
    template <class Rep, class Period>
    friend constexpr duration operator+(duration a, std::chrono::duration<Rep, Period> b) noexcept {
        return a + duration(b);
    }
    template <class Rep, class Period>
    friend constexpr duration operator+(std::chrono::duration<Rep, Period> a, duration b) noexcept {
        return duration(a) + b;
    }
    template <class Rep, class Period>
    friend constexpr duration operator-(duration a, std::chrono::duration<Rep, Period> b) noexcept {
        return a - duration(b);
    }
    template <class Rep, class Period>
    friend constexpr duration operator-(std::chrono::duration<Rep, Period> a, duration b) noexcept {
        return duration(a) - b;
    }
    template <std::integral Times>
    friend constexpr duration operator*(duration length, Times times) noexcept {
        return duration(saturating_mul(length.count(), static_cast<rep>(times)));
    }
    template <std::integral Times>
    friend constexpr duration operator*(Times times, duration length) noexcept {
        return length * times;
    }
    template <std::integral Parts>
    friend constexpr duration operator/(duration length, Parts parts) noexcept {
        return duration(length.count() / static_cast<rep>(parts));
    }
};

}  // namespace ouro
