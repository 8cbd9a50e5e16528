// line.hpp: writing and taking apart the lines of the meta and the text dialect.
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/runtime/result.hpp>

#include <charconv>
#include <concepts>
#include <cstring>
#include <span>

namespace ouro::memcached {

/// Writes the head of one request. Room is reckoned beforehand (`head_bytes_max`), and asserted.
class line_writer {
public:
    explicit line_writer(std::span<char, head_bytes_max> room) noexcept
        : begin_(room.data()), at_(begin_), end_(begin_ + room.size()) {}

    void put(std::string_view text) noexcept {
        OURO_ASSERT(text.size() <= left());
        if (!text.empty()) std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void put(char c) noexcept {
        OURO_ASSERT(left() > 0);
        *at_++ = c;
    }
    void put_number(std::integral auto number) noexcept {
        const auto [to, failed] = std::to_chars(at_, end_, number);
        OURO_ASSERT(failed == std::errc{});
        at_ = to;
    }
    /// " T30"
    void put_token(char flag, std::integral auto number) noexcept {
        put(' ');
        put(flag);
        put_number(number);
    }
    void put_base64(std::string_view key) noexcept {
        OURO_ASSERT(base64_bytes(key.size()) <= left());
        at_ = write_base64(key, at_);
    }

    std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

private:
    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    char* begin_;
    char* at_;
    char* end_;
};

/// The line at the front of `in`, without its "\r\n"; `used` counts that, too. `used` is 0 when its
/// end has not come. errc::bad_reply when it is longer than the limit or ends with a bare "\n".
struct first_line {
    std::string_view text;
    std::size_t used = 0;
};
result<first_line> take_line(std::span<const std::byte> in, std::size_t line_bytes_max) noexcept;

/// Takes the first word off `rest`; empty when there is none. Words are parted by single blanks.
std::string_view take_word(std::string_view& rest) noexcept;

/// Reads a whole word as a number; false when it is not one or does not fit.
template <std::integral Number>
bool read_number(std::string_view word, Number& into) noexcept {
    const char* const end = word.data() + word.size();
    const auto [to, failed] = std::from_chars(word.data(), end, into);
    return failed == std::errc{} && to == end && !word.empty();
}

/// Takes the data block of `size` bytes behind a header of `head` bytes. Returns the bytes of both
/// and of its end; 0 when they have not all come.
result<std::size_t> take_block(std::span<const std::byte> in, std::size_t head, std::size_t size,
                               reply& into, const wire_limits& limits) noexcept;

/// The line's view of bytes.
inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace ouro::memcached
