// short_text.hpp: a text of limited length that is held in place.
#pragma once

#include <ouro/kv/redis/wire/decode.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace ouro::redis {

/// Up to `N` bytes, within the object: in the memory of whoever has it. Reading a value into one
/// allocates nothing, where a std::string allocates once for more than it holds in itself (15
/// bytes with libstdc++).
///
///     using token = redis::short_text<64>;
///     std::optional<token> mine = co_await db.get<token>("token");
///
/// It fits wherever a std::string does: in vectors, maps' values, structs with `redis_fields`. A
/// value that is longer is errc::unexpected_reply.
template <std::size_t N>
class short_text {
public:
    short_text() noexcept = default;

    std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    operator std::string_view() const noexcept { return view(); }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    static constexpr std::size_t capacity() noexcept { return N; }

    /// False, and nothing is changed, when it is too long.
    bool assign(std::string_view text) noexcept {
        if (text.size() > N) return false;
        size_ = text.copy(bytes_.data(), text.size());
        return true;
    }

    friend bool operator==(const short_text& a, std::string_view b) noexcept {
        return a.view() == b;
    }
    friend bool operator==(const short_text& a, const short_text& b) noexcept {
        return a.view() == b.view();
    }

private:
    std::size_t size_ = 0;
    std::array<char, N> bytes_;  // what lies behind the size is nobody's
};

template <std::size_t N>
struct decoder<short_text<N>> {
    static std::error_code read(const value& from, short_text<N>& into) {
        if (from.has_text() && !from.is_error())
            return into.assign(from.text()) ? std::error_code() : errc::unexpected_reply;
        std::string number;
        if (const auto error = read_text(from, number)) return error;
        return into.assign(number) ? std::error_code() : errc::unexpected_reply;
    }
};

}  // namespace ouro::redis
