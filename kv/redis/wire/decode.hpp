// decode.hpp: from a reply's value to the C++ type that was asked for.
//
//   asked for                         what fits
//   reply                             everything, errors and null, too
//   std::string, std::vector<byte>    strings, status, verbatim, big numbers, numbers as their text
//   short_text<N> (short_text.hpp)    the same up to N bytes, in place: nothing is allocated
//   integers                          integers, booleans, whole doubles, and texts that spell one
//   float, double                     doubles, integers, booleans, and texts that spell one
//   bool                              booleans, integers (not 0), "OK", "0" and "1"; null is false
//   std::optional<T>                  null, or T
//   result<T>                         T, or the code that tells why not: an error reply's own code
//   result<void>                      everything; an error reply as its code
//   std::vector<T>, sets              arrays, sets, pushes, maps (keys and values in turn)
//   maps, std::vector<std::pair>      maps, arrays of pairs, and flat arrays of an even length
//   std::pair, std::tuple, array      arrays of just that many elements
//   a struct with `redis_fields`      what a map is made from; fields that are missing keep their
//                                     value, others are skipped
//
// An error reply is the server's code, null where there is no place for it errc::null_reply, and
// everything else errc::unexpected_reply: also numbers that the type asked for cannot hold. What
// was decoded before the error was met stays where it is.
#pragma once

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/value.hpp>
#include <ouro/runtime/result.hpp>

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// Has `static std::error_code read(const value& from, T& into)`. Specialize it for types of your
/// own.
template <class T>
struct decoder;

/// Reads `from` into `into`; zero, or why it cannot be: see above.
template <class T>
std::error_code decode(const value& from, T& into) {
    return decoder<T>::read(from, into);
}

/// Names a member of a struct as a field of a hash or map:
///
///     struct user {
///         std::string name;
///         std::optional<std::int64_t> age;
///         static constexpr auto redis_fields() {
///             return std::tuple(redis::field("name", &user::name),
///                               redis::field("age", &user::age));
///         }
///     };
///     auto someone = co_await db.hgetall<user>("user:1");
template <class Struct, class Member>
struct field_of {
    std::string_view name;
    Member Struct::* member;
};
template <class Struct, class Member>
constexpr field_of<Struct, Member> field(std::string_view name, Member Struct::* member) {
    return {name, member};
}

// What the readers below share.

std::error_code read_text(const value& from, std::string& into);
std::error_code read_bytes(const value& from, std::vector<std::byte>& into);
std::error_code read_integer(const value& from, std::int64_t& into) noexcept;
std::error_code read_unsigned(const value& from, std::uint64_t& into) noexcept;
std::error_code read_real(const value& from, double& into) noexcept;
std::error_code read_bool(const value& from, bool& into) noexcept;
/// The code of an error, null_reply for null, unexpected_reply for everything else.
std::error_code unexpected(const value& from) noexcept;

template <>
struct decoder<reply> {
    static std::error_code read(const value& from, reply& into) {
        into.assign(from);
        return {};
    }
};

template <>
struct decoder<std::string> {
    static std::error_code read(const value& from, std::string& into) {
        return read_text(from, into);
    }
};

template <>
struct decoder<std::vector<std::byte>> {
    static std::error_code read(const value& from, std::vector<std::byte>& into) {
        return read_bytes(from, into);
    }
};

template <>
struct decoder<bool> {
    static std::error_code read(const value& from, bool& into) noexcept {
        return read_bool(from, into);
    }
};

template <std::signed_integral T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) noexcept {
        std::int64_t wide = 0;
        if (const auto error = read_integer(from, wide)) return error;
        if (!std::in_range<T>(wide)) return errc::unexpected_reply;
        into = static_cast<T>(wide);
        return {};
    }
};

template <std::unsigned_integral T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) noexcept {
        std::uint64_t wide = 0;
        if (const auto error = read_unsigned(from, wide)) return error;
        if (!std::in_range<T>(wide)) return errc::unexpected_reply;
        into = static_cast<T>(wide);
        return {};
    }
};

template <std::floating_point T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) noexcept {
        double wide = 0;
        if (const auto error = read_real(from, wide)) return error;
        // Infinite is infinite in every type; what is merely too large is not.
        constexpr auto most = std::numeric_limits<T>::max();
        const bool fits = !std::isfinite(wide) || (wide <= most && wide >= -most);
        if (!fits) return errc::unexpected_reply;
        into = static_cast<T>(wide);
        return {};
    }
};

/// Something to decode a T into: a result has no value of its own to begin with.
template <class T>
struct blank {
    static T make() { return T{}; }
};
template <class T>
struct blank<result<T>> {
    static result<T> make() { return make_error_code(errc::unexpected_reply); }
};
template <class A, class B>
struct blank<std::pair<A, B>> {
    static std::pair<A, B> make() { return {blank<A>::make(), blank<B>::make()}; }
};
template <class... T>
struct blank<std::tuple<T...>> {
    static std::tuple<T...> make() { return std::tuple<T...>(blank<T>::make()...); }
};

template <class T>
struct decoder<std::optional<T>> {
    static std::error_code read(const value& from, std::optional<T>& into) {
        into.reset();
        if (from.is_null()) return {};
        const auto error = decode(from, into.emplace(blank<T>::make()));
        if (error) into.reset();
        return error;
    }
};

template <class T>
struct decoder<result<T>> {
    static std::error_code read(const value& from, result<T>& into) {
        T made = blank<T>::make();
        if (const auto error = decode(from, made))
            into = error;
        else
            into = std::move(made);
        return {};
    }
};

template <>
struct decoder<result<void>> {
    static std::error_code read(const value& from, result<void>& into) noexcept {
        into = from.is_error() ? result<void>(unexpected(from)) : result<void>();
        return {};
    }
};

template <class A, class B>
struct decoder<std::pair<A, B>> {
    static std::error_code read(const value& from, std::pair<A, B>& into) {
        if (from.size() != 2) return unexpected(from);
        auto at = from.begin();
        if (const auto error = decode(*at++, into.first)) return error;
        return decode(*at, into.second);
    }
};

template <class... T>
struct decoder<std::tuple<T...>> {
    static std::error_code read(const value& from, std::tuple<T...>& into) {
        if (from.size() != sizeof...(T) || !from.is_aggregate()) return unexpected(from);
        auto at = from.begin();
        std::error_code error;
        std::apply(
            [&](T&... each) { static_cast<void>(((error = decode(*at++, each), !error) && ...)); },
            into);
        return error;
    }
};

template <class T, std::size_t N>
struct decoder<std::array<T, N>> {
    static std::error_code read(const value& from, std::array<T, N>& into) {
        if (from.size() != N || !from.is_aggregate()) return unexpected(from);
        auto at = from.begin();
        for (T& each : into) {
            if (const auto error = decode(*at, each)) return error;
            ++at;
        }
        return {};
    }
};

template <class T>
constexpr bool is_pair = false;
template <class A, class B>
constexpr bool is_pair<std::pair<A, B>> = true;

/// Calls `each(first, second)` for the pairs of a map, of an array of pairs or of a flat array,
/// until it answers an error.
template <class F>
std::error_code for_each_pair(const value& from, F each) {
    if (!from.is_aggregate()) return unexpected(from);
    const bool nested = from.kind() != type::map && !from.empty() &&
                        (*from.begin()).is_aggregate() && (*from.begin()).size() == 2;
    if (!nested && from.size() % 2 != 0) return errc::unexpected_reply;
    for (auto at = from.begin(); at != from.end(); ++at) {
        value pair = *at;
        if (nested && pair.size() != 2) return unexpected(pair);
        auto inner = nested ? pair.begin() : at;
        const value first = *inner++;
        const value second = *inner;
        if (!nested) at = inner;
        if (const auto error = each(first, second)) return error;
    }
    return {};
}

template <class T>
concept map_like = requires(T& map, typename T::key_type key) { map[std::move(key)]; };
template <class T>
concept set_like =
    !map_like<T> && requires(T& set, typename T::key_type key) { set.insert(std::move(key)); };
template <class T>
concept with_fields = requires { T::redis_fields(); };

template <class T>
struct decoder<std::vector<T>> {
    static std::error_code read(const value& from, std::vector<T>& into) {
        into.clear();
        if (!from.is_aggregate()) return unexpected(from);
        if constexpr (is_pair<T>) {
            return for_each_pair(from, [&](const value& first, const value& second) {
                T& made = into.emplace_back(blank<T>::make());
                const auto error = decode(first, made.first);
                return error ? error : decode(second, made.second);
            });
        } else {
            into.reserve(from.size());
            for (const value& each : from) {
                T made = blank<T>::make();
                if (const auto error = decode(each, made)) return error;
                into.push_back(std::move(made));
            }
            return {};
        }
    }
};

template <map_like T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) {
        into.clear();
        return for_each_pair(from, [&](const value& first, const value& second) {
            typename T::key_type key{};
            if (const auto error = decode(first, key)) return error;
            return decode(second, into[std::move(key)]);
        });
    }
};

template <set_like T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) {
        into.clear();
        if (!from.is_aggregate()) return unexpected(from);
        for (const value& each : from) {
            typename T::key_type key{};
            if (const auto error = decode(each, key)) return error;
            into.insert(std::move(key));
        }
        return {};
    }
};

template <with_fields T>
struct decoder<T> {
    static std::error_code read(const value& from, T& into) {
        return for_each_pair(from, [&](const value& first, const value& second) {
            if (!first.has_text() || first.is_error()) return unexpected(first);
            std::error_code error;
            std::apply(
                [&](const auto&... field) {
                    static_cast<void>(((field.name == first.text() &&
                                        (error = decode(second, into.*field.member), true)) ||
                                       ...));
                },
                T::redis_fields());
            return error;
        });
    }
};

}  // namespace ouro::redis
