#include <ouro/kv/redis/commands/sorted_set_types.hpp>

namespace ouro::redis {

namespace {

std::string text_of(std::int64_t number) {
    std::string made;
    arg(number).for_each([&made](std::string_view text) { made = text; });
    return made;
}

}  // namespace

std::error_code decoder<scored_member>::read(const value& from, scored_member& into) {
    if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
    if (const auto error = decode(from[0], into.member)) return error;
    return decode(from[1], into.score);
}

std::error_code decoder<std::vector<scored_member>>::read(const value& from,
                                                          std::vector<scored_member>& into) {
    into.clear();
    return for_each_pair(from, [&into](const value& member, const value& score) {
        scored_member& made = into.emplace_back();
        const auto error = decode(member, made.member);
        return error ? error : decode(score, made.score);
    });
}

std::error_code decoder<popped_member>::read(const value& from, popped_member& into) {
    if (!from.is_aggregate() || from.size() != 3) return unexpected(from);
    if (const auto error = decode(from[0], into.key)) return error;
    if (const auto error = decode(from[1], into.member)) return error;
    return decode(from[2], into.score);
}

zrange_of::zrange_of(by_rank range) : min_(text_of(range.start)), max_(text_of(range.stop)) {}
zrange_of::zrange_of(const by_score& range)
    : min_(range.min.text()), max_(range.max.text()), kind_("BYSCORE") {}
zrange_of::zrange_of(const by_lex& range)
    : min_(range.min.text()), max_(range.max.text()), kind_("BYLEX") {}

void zrange_of::add(arg_list& to, const zrange_options& options) const noexcept {
    // In reverse, Redis wants the higher score or text first; ranks count from the other end.
    const bool swap = kind_ && options.reverse;
    to.add(swap ? max_ : min_, swap ? min_ : max_);
    if (kind_) to.add(kind_);
    if (options.reverse) to.add("REV");
    if (options.limit.given()) to.add("LIMIT", options.limit.offset, options.limit.count);
}

combine_arguments::combine_arguments(const words& keys, const combine_options& options,
                                     const char* more) noexcept {
    add(keys, options);
    if (more) list_.add(more);
}

combine_arguments::combine_arguments(std::string_view to, const words& keys,
                                     const combine_options& options) noexcept {
    list_.add(to);
    add(keys, options);
}

void combine_arguments::add(const words& keys, const combine_options& options) noexcept {
    using kind = combine_options::aggregate_kind;
    list_.add(keys.size());
    add_all(list_, keys.args());
    if (options.weights.size() > 0) {
        list_.add("WEIGHTS");
        add_all(list_, options.weights.args());
    }
    if (options.aggregate == kind::min) list_.add("AGGREGATE", "MIN");
    if (options.aggregate == kind::max) list_.add("AGGREGATE", "MAX");
}

}  // namespace ouro::redis
