// geo_types.hpp: what the geo commands take and return.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/sorted_set_types.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// In degrees. Redis keeps longitudes of ±180 and latitudes of ±85.05112878, with an error below
/// 0.6 m.
struct geo_position {
    double longitude = 0;
    double latitude = 0;

    bool operator==(const geo_position&) const = default;
};
static_assert(std::is_trivially_copyable_v<geo_position>);

template <>
struct decoder<geo_position> {
    static std::error_code read(const value& from, geo_position& into);
};

/// Meters, kilometers, feet, miles.
enum class geo_unit { m, km, ft, mi };
const char* word_of(geo_unit unit) noexcept;

/// A member that was found.
struct geo_result {
    std::string member;
    std::optional<double> distance;    ///< from the center, in the unit of the search
    std::optional<std::int64_t> hash;  ///< the score in the sorted set
    std::optional<geo_position> position;

    bool operator==(const geo_result&) const = default;
};

template <>
struct decoder<geo_result> {
    static std::error_code read(const value& from, geo_result& into);
};

/// Members and where they are.
class geo_words {
public:
    using entry = std::pair<geo_position, std::string_view>;

    geo_words(const entry& a) { add(a); }
    geo_words(const entry& a, const entry& b) { add(a, b); }
    geo_words(const entry& a, const entry& b, const entry& c) { add(a, b, c); }
    geo_words(const entry& a, const entry& b, const entry& c, const entry& d) { add(a, b, c, d); }
    /// A list of pairs of a position and a name.
    template <class List>
        requires requires(const List& list) { entry(*std::begin(list)); }
    geo_words(const List& list) {
        for (const auto& each : list) add(entry(each));
    }
    geo_words(const geo_words&) = delete;
    geo_words& operator=(const geo_words&) = delete;

    arg list() const noexcept { return std::span<const std::string>(written_); }

private:
    template <class... Entries>
    void add(const Entries&... all) {
        (add_one(all), ...);
    }
    void add_one(const entry& each);

    std::vector<std::string> written_;
};

/// The center of a search.
class geo_origin {
public:
    geo_origin(geo_position place) noexcept : place_(place) {}
    /// Where a member is; when there is none, errc::server_error.
    geo_origin(std::string_view member) noexcept : member_(member) {}
    geo_origin(const char* member) noexcept : member_(member) {}

    void add(arg_list& to) const noexcept;

private:
    std::optional<geo_position> place_;
    std::string_view member_;
};

/// What is searched: `geo_circle{.radius = 5, .unit = geo_unit::km}`.
struct geo_circle {
    double radius = 0;
    geo_unit unit = geo_unit::m;
};
static_assert(std::is_trivially_copyable_v<geo_circle>);
struct geo_box {
    double width = 0;
    double height = 0;
    geo_unit unit = geo_unit::m;
};
static_assert(std::is_trivially_copyable_v<geo_box>);

class geo_shape {
public:
    geo_shape(geo_circle circle) noexcept : box_{circle.radius, 0, circle.unit}, circle_(true) {}
    geo_shape(geo_box box) noexcept : box_(box) {}

    void add(arg_list& to) const noexcept;

private:
    geo_box box_;  // of a circle: its radius is the width
    bool circle_ = false;
};

enum class geo_order { none, nearest_first, farthest_first };

struct geosearch_options {
    geo_order order = geo_order::none;
    std::int64_t count = 0;      ///< so many, the nearest; 0: all
    bool any = false;            ///< with `count`: whatever is found first
    bool with_distance = false;  ///< fills geo_result::distance
    bool with_hash = false;      ///< fills geo_result::hash
    bool with_position = false;  ///< fills geo_result::position
};
static_assert(std::is_trivially_copyable_v<geosearch_options>);
void add_geosearch(arg_list& to, const geosearch_options& options) noexcept;

struct geosearchstore_options {
    geo_order order = geo_order::none;
    std::int64_t count = 0;
    bool any = false;
    bool distances = false;  ///< STOREDIST: scores are distances
};
static_assert(std::is_trivially_copyable_v<geosearchstore_options>);

}  // namespace ouro::redis
