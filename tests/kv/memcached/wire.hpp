// wire.hpp: how the tests of the three dialects feed their parsers.
#pragma once

#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/runtime/result.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace ouro::memcached {

using parser = result<std::size_t> (*)(std::span<const std::byte>, reply&, const wire_limits&);
using encoder = std::size_t (*)(const request&, std::span<char, head_bytes_max>);

/// Exactly the bytes of `text` on the heap, so that a sanitizer sees a read behind them.
class exact_bytes {
public:
    explicit exact_bytes(std::string_view text)
        : memory_(new std::byte[text.size()]), size_(text.size()) {
        if (size_ > 0) std::memcpy(memory_.get(), text.data(), size_);
    }
    std::span<const std::byte> span() const { return {memory_.get(), size_}; }

private:
    std::unique_ptr<std::byte[]> memory_;
    std::size_t size_;
};

/// The error of parsing `text`; zero when it is a reply or the beginning of one.
inline std::error_code error_of_parsing(parser parse, std::string_view text,
                                        const wire_limits& limits = {}) {
    const exact_bytes bytes(text);
    reply got;
    return parse(bytes.span(), got, limits).error();
}

/// A reply, with the bytes that its views point to.
struct parsed {
    exact_bytes bytes;
    reply got{};
    std::size_t used = 0;
};

/// Parses `text`, a whole reply, after every beginning of it has wanted more; more bytes behind it
/// change nothing.
inline parsed parse_all(parser parse, std::string_view text, const wire_limits& limits = {}) {
    for (std::size_t n = 0; n < text.size(); ++n) {
        const exact_bytes beginning(text.substr(0, n));
        reply got;
        const auto used = parse(beginning.span(), got, limits);
        CHECK(used);
        CHECK(used.value_or(1) == 0);
        if (got.bytes_wanted != 0) CHECK(got.bytes_wanted == text.size());
    }
    parsed longer{exact_bytes(std::string(text) + "HD O1\r\n")};
    CHECK(parse(longer.bytes.span(), longer.got, limits).value() == text.size());
    parsed all{exact_bytes(text)};
    all.used = parse(all.bytes.span(), all.got, limits).value();
    CHECK(all.used == text.size());
    return all;
}

inline std::string head(encoder encode, const request& what) {
    std::array<char, head_bytes_max> room;
    return std::string(room.data(), encode(what, room));
}

}  // namespace ouro::memcached
