// geo.hpp: members with a place on earth, in a sorted set.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/geo_types.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The geo commands of a door. A missing key is an empty set; one of another type is
/// errc::wrong_type.
template <class Door>
class geo_commands {
public:
    /// GEOADD: adds members or moves them: `{{{13.36, 38.11}, "Palermo"}, …}`; how many are new,
    /// or with zadd_options::changed how many are new or have moved.
    auto geoadd(std::string_view key, const geo_words& members, const zadd_options& options = {}) {
        arg_list list;
        list.add(key);
        add_zadd(list, options);
        list.add(members.list());
        return door().template run<std::int64_t>(verb::geoadd, list);
    }
    /// GEODIST: how far two members are from each other; empty when one is missing.
    auto geodist(std::string_view key, const arg& first, const arg& second,
                 geo_unit unit = geo_unit::m) {
        return door().template run<std::optional<double>>(verb::geodist,
                                                          {key, first, second, word_of(unit)});
    }
    /// GEOHASH: the members' places as geohash.org has them; empty for one that is missing.
    auto geohash(std::string_view key, const words& members) {
        return with_members<std::vector<std::optional<std::string>>>(verb::geohash, key, members);
    }
    /// GEOPOS: the members' places; empty for one that is missing.
    auto geopos(std::string_view key, const words& members) {
        return with_members<std::vector<std::optional<geo_position>>>(verb::geopos, key, members);
    }
    /// GEORADIUS. Deprecated by Redis: see geosearch.
    auto georadius(std::string_view key, geo_position center, double radius,
                   geo_unit unit = geo_unit::m, const geosearch_options& options = {}) {
        return radius_of(verb::georadius, key, center, radius, unit, options);
    }
    /// GEORADIUS_RO. Deprecated by Redis: see geosearch.
    auto georadius_ro(std::string_view key, geo_position center, double radius,
                      geo_unit unit = geo_unit::m, const geosearch_options& options = {}) {
        return radius_of(verb::georadius_ro, key, center, radius, unit, options);
    }
    /// GEORADIUSBYMEMBER. Deprecated by Redis: see geosearch.
    auto georadiusbymember(std::string_view key, std::string_view member, double radius,
                           geo_unit unit = geo_unit::m, const geosearch_options& options = {}) {
        return radius_of_member(verb::georadiusbymember, key, member, radius, unit, options);
    }
    /// GEORADIUSBYMEMBER_RO. Deprecated by Redis: see geosearch.
    auto georadiusbymember_ro(std::string_view key, std::string_view member, double radius,
                              geo_unit unit = geo_unit::m, const geosearch_options& options = {}) {
        return radius_of_member(verb::georadiusbymember_ro, key, member, radius, unit, options);
    }
    /// GEOSEARCH: the members in a circle or rectangle around a place or a member. What geo_result
    /// has besides the name depends on the options.
    auto geosearch(std::string_view key, const geo_origin& from, const geo_shape& shape,
                   const geosearch_options& options = {}) {
        arg_list list;
        list.add(key);
        from.add(list);
        shape.add(list);
        add_geosearch(list, options);
        return door().template run<std::vector<geo_result>>(verb::geosearch, list);
    }
    /// GEOSEARCHSTORE: the same into a key; how many. With `distances` their scores are distances
    /// in the shape's unit.
    auto geosearchstore(std::string_view to, std::string_view key, const geo_origin& from,
                        const geo_shape& shape, const geosearchstore_options& options = {}) {
        arg_list list;
        list.add(to, key);
        from.add(list);
        shape.add(list);
        add_geosearch(list, {.order = options.order, .count = options.count, .any = options.any});
        if (options.distances) list.add("STOREDIST");
        return door().template run<std::int64_t>(verb::geosearchstore, list);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    template <class T>
    auto with_members(verb what, std::string_view key, const words& members) {
        arg_list list;
        list.add(key);
        add_all(list, members.args());
        return door().template run<T>(what, list);
    }
    auto radius_of(verb what, std::string_view key, geo_position center, double radius,
                   geo_unit unit, const geosearch_options& options) {
        arg_list list;
        list.add(key, center.longitude, center.latitude, radius, word_of(unit));
        add_geosearch(list, options);
        return door().template run<std::vector<geo_result>>(what, list);
    }
    auto radius_of_member(verb what, std::string_view key, std::string_view member, double radius,
                          geo_unit unit, const geosearch_options& options) {
        arg_list list;
        list.add(key, member, radius, word_of(unit));
        add_geosearch(list, options);
        return door().template run<std::vector<geo_result>>(what, list);
    }
};

}  // namespace ouro::redis
