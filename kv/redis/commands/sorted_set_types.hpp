// sorted_set_types.hpp: what the sorted set commands take and return.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// A member of a sorted set.
struct scored_member {
    std::string member;
    double score = 0;

    bool operator==(const scored_member&) const = default;
};

/// From which set, too: the reply of BZPOPMAX and BZPOPMIN.
struct popped_member {
    std::string key;
    std::string member;
    double score = 0;

    bool operator==(const popped_member&) const = default;
};

template <>
struct decoder<scored_member> {
    static std::error_code read(const value& from, scored_member& into);
};
template <>  // flat in RESP2, pairs in RESP3
struct decoder<std::vector<scored_member>> {
    static std::error_code read(const value& from, std::vector<scored_member>& into);
};
template <>
struct decoder<popped_member> {
    static std::error_code read(const value& from, popped_member& into);
};

/// The lowest or the highest scores.
enum class by_end { lowest, highest };

/// Members to add: `{{1.5, "a"}, {2, "b"}}`, or any list of scored_member or of pairs of a score
/// and a text.
class scored_words {
public:
    using entry = std::pair<double, arg>;

    scored_words(const entry& a) { add(a); }
    scored_words(const entry& a, const entry& b) { add(a, b); }
    scored_words(const entry& a, const entry& b, const entry& c) { add(a, b, c); }
    scored_words(const entry& a, const entry& b, const entry& c, const entry& d) {
        add(a, b, c, d);
    }
    scored_words(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e) {
        add(a, b, c, d, e);
    }
    scored_words(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e,
                 const entry& f) {
        add(a, b, c, d, e, f);
    }
    template <class List>
        requires requires(const List& list) {
            { std::begin(list)->first } -> std::convertible_to<double>;
            { std::begin(list)->second } -> std::convertible_to<std::string_view>;
        }
    scored_words(const List& list) {
        for (const auto& [score, member] : list) add_text(score, member);
    }
    template <class List>
        requires requires(const List& list) {
            { *std::begin(list) } -> std::convertible_to<const scored_member&>;
        }
    scored_words(const List& list) {
        for (const scored_member& each : list) add_text(each.score, each.member);
    }
    scored_words(const scored_words&) = delete;
    scored_words& operator=(const scored_words&) = delete;

    arg list() const noexcept { return std::span<const std::string>(written_); }

private:
    template <class... Entries>
    void add(const Entries&... all) {
        written_.reserve(2 * sizeof...(all));
        (all.second.for_each([&](std::string_view text) { add_text(all.first, text); }), ...);
    }
    void add_text(double score, std::string_view member) {
        arg(score).for_each([this](std::string_view text) { written_.emplace_back(text); });
        written_.emplace_back(member);
    }

    std::vector<std::string> written_;
};

struct zadd_options {
    enum class when_kind {
        always,
        if_absent,   ///< NX: only new members
        if_present,  ///< XX: only members that are there
    };
    enum class compare_kind {
        any,
        greater,  ///< GT: updates only to a higher score
        less,     ///< LT: updates only to a lower one
    };

    when_kind when = when_kind::always;
    compare_kind update = compare_kind::any;
    bool changed = false;  ///< CH: count those that changed, too
};
static_assert(std::is_trivially_copyable_v<zadd_options>);

inline void add_zadd(arg_list& to, const zadd_options& options) noexcept {
    if (options.when == zadd_options::when_kind::if_absent) to.add("NX");
    if (options.when == zadd_options::when_kind::if_present) to.add("XX");
    if (options.update == zadd_options::compare_kind::greater) to.add("GT");
    if (options.update == zadd_options::compare_kind::less) to.add("LT");
    if (options.changed) to.add("CH");
}

/// One end of a range of scores. A number is included.
class score_bound {
public:
    score_bound(double score) noexcept : score_bound("", score) {}

    std::string_view text() const noexcept { return {text_, size_}; }

    static score_bound lowest() noexcept { return -std::numeric_limits<double>::infinity(); }
    static score_bound highest() noexcept { return std::numeric_limits<double>::infinity(); }

private:
    friend score_bound exclusive(double score) noexcept;
    score_bound(std::string_view mark, double score) noexcept {
        for (const char c : mark) text_[size_++] = c;
        arg(score).for_each([this](std::string_view digits) {
            for (const char c : digits) text_[size_++] = c;
        });
    }

    char text_[32];
    std::size_t size_ = 0;
};

/// A score that is not in the range itself.
inline score_bound exclusive(double score) noexcept { return score_bound("(", score); }

/// One end of a range of texts, compared byte by byte. A text is included. It refers to the text.
class lex_bound {
public:
    lex_bound(std::string_view text) noexcept : lex_bound('[', text) {}
    lex_bound(const char* text) noexcept : lex_bound(std::string_view(text)) {}
    lex_bound(const std::string& text) noexcept : lex_bound(std::string_view(text)) {}

    /// As Redis wants it.
    std::string text() const { return mark_ + std::string(text_); }

    static lex_bound lowest() noexcept { return {'-', ""}; }
    static lex_bound highest() noexcept { return {'+', ""}; }

private:
    friend lex_bound exclusive(std::string_view text) noexcept;
    lex_bound(char mark, std::string_view text) noexcept : text_(text), mark_(mark) {}

    std::string_view text_;
    char mark_;
};

/// A text that is not in the range itself.
inline lex_bound exclusive(std::string_view text) noexcept { return {'(', text}; }

/// Ranks, both included; negative ones count from the end.
struct by_rank {
    std::int64_t start = 0;
    std::int64_t stop = -1;
};
static_assert(std::is_trivially_copyable_v<by_rank>);
struct by_score {
    score_bound min = score_bound::lowest();
    score_bound max = score_bound::highest();
};
static_assert(std::is_trivially_copyable_v<by_score>);
/// Texts, when all members have one score.
struct by_lex {
    lex_bound min = lex_bound::lowest();
    lex_bound max = lex_bound::highest();
};
static_assert(std::is_trivially_copyable_v<by_lex>);

struct zrange_options {
    bool reverse = false;      ///< from the highest to the lowest
    limit_options limit = {};  ///< not of ranks
};
static_assert(std::is_trivially_copyable_v<zrange_options>);

/// Which part of a sorted set.
class zrange_of {
public:
    zrange_of(by_rank range);
    zrange_of(const by_score& range);
    zrange_of(const by_lex& range);

    /// The words behind the key. What they refer to stays as long as this.
    void add(arg_list& to, const zrange_options& options) const noexcept;

private:
    std::string min_, max_;
    const char* kind_ = nullptr;  // null: ranks
};

/// How the scores of several sets are put together.
struct combine_options {
    enum class aggregate_kind { sum, min, max };

    words weights = {};  ///< factors, one for each set; none: 1
    aggregate_kind aggregate = aggregate_kind::sum;
};
static_assert(std::is_trivially_copyable_v<combine_options>);

/// The arguments of ZUNION and its like.
class combine_arguments {
public:
    combine_arguments(const words& keys, const combine_options& options, const char* more) noexcept;
    combine_arguments(std::string_view to, const words& keys,
                      const combine_options& options) noexcept;

    std::span<const arg> args() const noexcept { return list_; }

private:
    void add(const words& keys, const combine_options& options) noexcept;

    arg_list list_;
};

}  // namespace ouro::redis
