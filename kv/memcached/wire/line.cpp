#include <ouro/kv/memcached/wire/line.hpp>

#include <algorithm>

namespace ouro::memcached {

result<first_line> take_line(std::span<const std::byte> in, std::size_t line_bytes_max) noexcept {
    const std::size_t n = std::min(in.size(), line_bytes_max);
    const void* const found = n == 0 ? nullptr : std::memchr(in.data(), '\n', n);
    if (found == nullptr) {
        if (n == line_bytes_max) return make_error_code(errc::bad_reply);
        return first_line{};
    }
    const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(found) - in.data());
    const std::string_view line = as_text(in.first(length));
    if (!line.ends_with('\r')) return make_error_code(errc::bad_reply);
    return first_line{line.substr(0, length - 1), length + 1};
}

std::string_view take_word(std::string_view& rest) noexcept {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
}

result<std::size_t> take_block(std::span<const std::byte> in, std::size_t head, std::size_t size,
                               reply& into, const wire_limits& limits) noexcept {
    if (size > item_bytes_max) return make_error_code(errc::bad_reply);
    const std::size_t all = head + size + 2;
    into.bytes_wanted = all;
    if (size > limits.value_bytes_max) return make_error_code(errc::value_too_large);
    if (in.size() < all) return 0;
    into.value = as_text(in.subspan(head, size));
    if (in[all - 2] != std::byte{'\r'} || in[all - 1] != std::byte{'\n'})
        return make_error_code(errc::bad_reply);
    return all;
}

}  // namespace ouro::memcached
