// Any bytes as what a memcached sends, in each of its three dialects: nothing crashes, no view
// leaves the bytes, the limits hold, and the pieces in which they arrive change nothing.
#include <ouro/kv/memcached/wire/grammar.hpp>
#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

using namespace ouro::memcached;

namespace {

// Small enough to be met.
constexpr wire_limits narrow{.value_bytes_max = 40, .line_bytes_max = 48};

void check_inside(std::string_view view, std::span<const std::byte> bytes) {
    if (view.empty()) return;
    const auto* const begin = reinterpret_cast<const char*>(bytes.data());
    OURO_ASSERT(view.data() >= begin && view.data() + view.size() <= begin + bytes.size());
}

void check_reply(const reply& got, std::size_t used, std::span<const std::byte> bytes,
                 const wire_limits& limits) {
    OURO_ASSERT(used <= bytes.size());
    check_inside(got.key, bytes.first(used));
    check_inside(got.value, bytes.first(used));
    check_inside(got.words, bytes.first(used));
    OURO_ASSERT(got.value.size() <= limits.value_bytes_max + limits.line_bytes_max);
    OURO_ASSERT(got.bytes_wanted == 0 || got.bytes_wanted == used);
}

bool same(const reply& a, const reply& b) {
    return a.what == b.what && a.opaque == b.opaque && a.flags == b.flags && a.cas == b.cas &&
           a.number == b.number && a.ttl == b.ttl && a.key == b.key && a.value == b.value &&
           a.words == b.words && a.won == b.won && a.stale == b.stale && a.taken == b.taken;
}

/// Reads one reply; each beginning of it must have wanted more, or been refused as the whole is.
std::size_t read_one(const grammar& language, std::span<const std::byte> in,
                     const wire_limits& limits) {
    reply got;
    const auto used = language.parse(in, got, limits);
    const std::size_t end = used && *used > 0 ? *used : in.size();
    if (used && *used > 0) check_reply(got, *used, in, limits);
    for (std::size_t n = 0; n < end; ++n) {
        // A copy of its own, so that reading behind it is seen.
        const std::unique_ptr<std::byte[]> copy(new std::byte[n]);
        if (n > 0) std::memcpy(copy.get(), in.data(), n);
        reply part;
        const auto early = language.parse({copy.get(), n}, part, limits);
        OURO_ASSERT(early ? *early == 0 : !used && early.error() == used.error());
    }
    if (used && *used > 0) {
        reply again;
        const auto exact = language.parse(in.first(end), again, limits);
        OURO_ASSERT(exact && *exact == end && same(got, again));
        return end;
    }
    return 0;
}

void read_all(const grammar& language, std::span<const std::byte> in, const wire_limits& limits) {
    while (const std::size_t used = read_one(language, in, limits)) in = in.subspan(used);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const dialect each : {dialect::meta, dialect::text, dialect::binary}) {
        read_all(grammar_of(each), bytes, {});
        read_all(grammar_of(each), bytes, narrow);
    }
    return 0;
}
