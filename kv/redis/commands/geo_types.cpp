#include <ouro/kv/redis/commands/geo_types.hpp>

namespace ouro::redis {

const char* word_of(geo_unit unit) noexcept {
    switch (unit) {
        case geo_unit::m: return "m";
        case geo_unit::km: return "km";
        case geo_unit::ft: return "ft";
        case geo_unit::mi: return "mi";
    }
    return "m";
}

std::error_code decoder<geo_position>::read(const value& from, geo_position& into) {
    if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
    if (const auto error = decode(from[0], into.longitude)) return error;
    return decode(from[1], into.latitude);
}

// A name, or an array of the name and what was asked for; each of these has another type.
std::error_code decoder<geo_result>::read(const value& from, geo_result& into) {
    into = {};
    if (!from.is_aggregate()) return decode(from, into.member);
    if (from.empty()) return unexpected(from);
    auto at = from.begin();
    if (const auto error = decode(*at, into.member)) return error;
    while (++at != from.end()) {
        const value each = *at;
        std::error_code error;
        if (each.is_aggregate())
            error = decode(each, into.position);
        else if (each.kind() == type::integer)
            error = decode(each, into.hash);
        else
            error = decode(each, into.distance);
        if (error) return error;
    }
    return {};
}

void geo_words::add_one(const entry& each) {
    const auto add_word = [this](std::string_view text) { written_.emplace_back(text); };
    arg(each.first.longitude).for_each(add_word);
    arg(each.first.latitude).for_each(add_word);
    add_word(each.second);
}

void geo_origin::add(arg_list& to) const noexcept {
    if (place_)
        to.add("FROMLONLAT", place_->longitude, place_->latitude);
    else
        to.add("FROMMEMBER", member_);
}

void geo_shape::add(arg_list& to) const noexcept {
    if (circle_)
        to.add("BYRADIUS", box_.width, word_of(box_.unit));
    else
        to.add("BYBOX", box_.width, box_.height, word_of(box_.unit));
}

void add_geosearch(arg_list& to, const geosearch_options& options) noexcept {
    if (options.order == geo_order::nearest_first) to.add("ASC");
    if (options.order == geo_order::farthest_first) to.add("DESC");
    if (options.count > 0) to.add("COUNT", options.count);
    if (options.count > 0 && options.any) to.add("ANY");
    if (options.with_distance) to.add("WITHDIST");
    if (options.with_hash) to.add("WITHHASH");
    if (options.with_position) to.add("WITHCOORD");
}

}  // namespace ouro::redis
