// arguments.hpp: what typed commands take where Redis takes more than one word, and how times and
// bounds are said.
//
//     co_await db.del("a");
//     co_await db.del({"a", name, "c"});             // up to words::in_braces_max
//     co_await db.del(names);                        // std::vector<std::string>, array, span, …
//     co_await db.hset("user:1", {{"name", "x"}, {"age", 5}});
//     co_await db.hset("user:1", fields);            // std::map<std::string, std::string>, …
//
// They refer to what they are made of, for as long as the call that takes them: a command encodes
// its arguments before its method returns.
#pragma once

#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/decode.hpp>
#include <ouro/runtime/check.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// What a list has in memory, side by side.
template <class List>
using element_of =
    std::remove_const_t<std::remove_pointer_t<decltype(std::data(std::declval<const List&>()))>>;

/// Text after text in memory: a std::vector<std::string>, a span, an array.
template <class List>
concept text_list = !std::convertible_to<const List&, std::string_view> &&
                    (std::same_as<element_of<List>, std::string> ||
                     std::same_as<element_of<List>, std::string_view>);

/// Something like std::map<std::string, std::string>: a range of pairs of texts.
template <class List>
concept text_pairs = requires(const List& list) {
    { std::begin(list)->first } -> std::convertible_to<std::string_view>;
    { std::begin(list)->second } -> std::convertible_to<std::string_view>;
    std::end(list);
};

/// Several words of a command: keys, members, values.
class words {
public:
    /// How many may stand in braces. (An initializer_list would take any number, but g++ 12 cannot
    /// compile one inside an awaited expression.)
    static constexpr std::size_t in_braces_max = 8;

    template <class... Each>
        requires(sizeof...(Each) <= in_braces_max && (std::convertible_to<const Each&, arg> && ...))
    words(const Each&... each) noexcept {
        (add(arg(each)), ...);
    }
    template <text_list List>
    words(const List& list) noexcept {
        add(arg(std::span<const element_of<List>>(std::data(list), std::size(list))));
    }

    std::span<const arg> args() const noexcept {
        return {reinterpret_cast<const arg*>(memory_), size_};
    }
    /// How many words they are.
    std::size_t size() const noexcept {
        std::size_t all = 0;
        for (const arg& each : args()) all += each.words();
        return all;
    }

private:
    void add(const arg& one) noexcept { ::new (memory_ + size_++ * sizeof(arg)) arg(one); }

    alignas(arg) unsigned char memory_[in_braces_max * sizeof(arg)];
    std::size_t size_ = 0;
};

/// Pairs of words: fields and values, keys and values.
class pairs {
public:
    using entry = std::pair<arg, arg>;
    static constexpr std::size_t in_braces_max = 8;

    pairs(const entry& a) noexcept { add(a); }
    pairs(const entry& a, const entry& b) noexcept { add(a, b); }
    pairs(const entry& a, const entry& b, const entry& c) noexcept { add(a, b, c); }
    pairs(const entry& a, const entry& b, const entry& c, const entry& d) noexcept {
        add(a, b, c, d);
    }
    pairs(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e) noexcept {
        add(a, b, c, d, e);
    }
    pairs(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e,
          const entry& f) noexcept {
        add(a, b, c, d, e, f);
    }
    pairs(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e,
          const entry& f, const entry& g) noexcept {
        add(a, b, c, d, e, f, g);
    }
    pairs(const entry& a, const entry& b, const entry& c, const entry& d, const entry& e,
          const entry& f, const entry& g, const entry& h) noexcept {
        add(a, b, c, d, e, f, g, h);
    }
    template <text_pairs List>
    pairs(const List& list) {
        for (const auto& [first, second] : list) listed_.emplace_back(first, second);
        const std::span<const arg::pair> all(listed_);
        ::new (memory_) arg(all);
        size_ = 1;
    }
    /// The fields of a struct with `redis_fields`; those that are empty optionals are left out.
    template <with_fields Struct>
    pairs(const Struct& from);

    pairs(const pairs&) = delete;
    pairs& operator=(const pairs&) = delete;

    std::span<const arg> args() const noexcept {
        return {reinterpret_cast<const arg*>(memory_), size_};
    }

private:
    template <class... Entries>
    void add(const Entries&... all) noexcept {
        ((add_word(all.first), add_word(all.second)), ...);
    }
    void add_word(const arg& one) noexcept { ::new (memory_ + size_++ * sizeof(arg)) arg(one); }

    template <class Member>
    void add_field(std::string_view name, const Member& member) {
        if constexpr (requires {
                          *member;
                          member.has_value();
                      }) {
            if (member) add_field(name, *member);
        } else if constexpr (std::same_as<Member, bool>) {
            add_field(name, member ? 1 : 0);
        } else {
            written_.emplace_back(name);
            arg(member).for_each([this](std::string_view text) { written_.emplace_back(text); });
        }
    }

    alignas(arg) unsigned char memory_[2 * in_braces_max * sizeof(arg)];
    std::size_t size_ = 0;
    std::vector<arg::pair> listed_;     // of a map
    std::vector<std::string> written_;  // of a struct
};

template <with_fields Struct>
pairs::pairs(const Struct& from) {
    std::apply([&](const auto&... each) { (add_field(each.name, from.*each.member), ...); },
               Struct::redis_fields());
    const std::span<const std::string> all(written_);
    ::new (memory_) arg(all);
    size_ = 1;
}

inline void add_all(arg_list& to, std::span<const arg> more) noexcept {
    for (const arg& each : more) to.add(each);
}

/// How many of the matches to skip and to return: LIMIT of several commands.
struct limit_options {
    std::int64_t offset = 0;
    std::int64_t count = -1;  ///< negative: all

    bool given() const noexcept { return offset != 0 || count >= 0; }
};
// As all options are: g++ 12 copies what stands in braces in an awaited expression bit by bit.
static_assert(std::is_trivially_copyable_v<limit_options>);

// --- time -------------------------------------------------------------------------------------

/// Points of time are given as the system's clock tells them; Redis keeps milliseconds.
using wall_time = std::chrono::system_clock::time_point;

inline std::int64_t unix_seconds(wall_time when) noexcept {
    return std::chrono::floor<std::chrono::seconds>(when.time_since_epoch()).count();
}
inline std::int64_t unix_milliseconds(wall_time when) noexcept {
    return std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
}

/// When a value is to expire. At most one of them is given.
struct expiry_options {
    std::optional<std::chrono::milliseconds> ttl = {};  ///< after so long; more than zero
    std::optional<wall_time> at = {};                   ///< at that time
};
static_assert(std::is_trivially_copyable_v<expiry_options>);

inline void add_expiry(arg_list& to, const expiry_options& expiry) noexcept {
    OURO_ASSERT(!(expiry.ttl && expiry.at) && "either a duration or a point of time");
    if (expiry.ttl) to.add("PX", expiry.ttl->count());
    if (expiry.at) to.add("PXAT", unix_milliseconds(*expiry.at));
}

/// How long a blocking command waits, as it is said to Redis: seconds; 0 is for ever.
inline double blocking_seconds(std::chrono::milliseconds timeout) noexcept {
    OURO_ASSERT(timeout.count() >= 0);
    return std::chrono::duration<double>(timeout).count();
}

/// Left of a key's life: what TTL and PTTL say.
template <class Duration>
struct time_left {
    bool exists = false;           ///< the key
    std::optional<Duration> left;  ///< empty: it stays

    bool operator==(const time_left&) const = default;
};

template <class Duration>
struct decoder<time_left<Duration>> {
    static std::error_code read(const value& from, time_left<Duration>& into) noexcept {
        std::int64_t number = 0;
        if (const auto error = read_integer(from, number)) return error;
        into = {};
        into.exists = number != -2;
        if (number >= 0) into.left = Duration(number);
        return {};
    }
};

/// When a key expires: what EXPIRETIME and PEXPIRETIME say.
template <class Duration>
struct expiry_time {
    bool exists = false;                                ///< the key
    std::optional<std::chrono::sys_time<Duration>> at;  ///< empty: it stays

    bool operator==(const expiry_time&) const = default;
};

template <class Duration>
struct decoder<expiry_time<Duration>> {
    static std::error_code read(const value& from, expiry_time<Duration>& into) noexcept {
        time_left<Duration> since;
        if (const auto error = decode(from, since)) return error;
        into = {};
        into.exists = since.exists;
        if (since.left) into.at = std::chrono::sys_time<Duration>(*since.left);
        return {};
    }
};

template <class Rep, class Period>
struct decoder<std::chrono::duration<Rep, Period>> {
    static std::error_code read(const value& from,
                                std::chrono::duration<Rep, Period>& into) noexcept {
        std::int64_t number = 0;
        const auto error = read_integer(from, number);
        into = std::chrono::duration<Rep, Period>(static_cast<Rep>(number));
        return error;
    }
};

// --- ends of lists ----------------------------------------------------------------------------

enum class side { left, right };
inline const char* word_of(side which) noexcept { return which == side::left ? "LEFT" : "RIGHT"; }

/// Which of several keys had something, and what: the reply of BLPOP, LMPOP and their like.
template <class T>
struct popped {
    std::string key;
    T value{};

    bool operator==(const popped&) const = default;
};

template <class T>
struct decoder<popped<T>> {
    static std::error_code read(const value& from, popped<T>& into) {
        if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
        if (const auto error = decode(from[0], into.key)) return error;
        return decode(from[1], into.value);
    }
};

/// What one step of a scan looks at.
struct page_options {
    std::string_view match = {};  ///< a glob pattern; empty: everything
    std::int64_t count = 10;      ///< how much work one call does, about
    std::string_view type = {};   ///< only keys of that type (SCAN alone): "string", "hash", …
};
static_assert(std::is_trivially_copyable_v<page_options>);

/// What one step of SCAN, HSCAN, SSCAN or ZSCAN returned.
template <class T>
struct scan_page {
    std::string next = "0";  ///< the cursor of the next step; "0": this was the last
    T found;                 ///< may be empty though there is more; an element may come twice

    bool last() const noexcept { return next == "0"; }
};

template <class T>
struct decoder<scan_page<T>> {
    static std::error_code read(const value& from, scan_page<T>& into) {
        if (!from.is_aggregate() || from.size() != 2) return unexpected(from);
        if (const auto error = decode(from[0], into.next)) return error;
        return decode(from[1], into.found);
    }
};

inline void add_page(arg_list& to, const page_options& page) noexcept {
    if (!page.match.empty()) to.add("MATCH", page.match);
    if (page.count != 10) to.add("COUNT", page.count);
    if (!page.type.empty()) to.add("TYPE", page.type);
}

}  // namespace ouro::redis
