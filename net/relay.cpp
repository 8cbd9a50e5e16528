#include <ouro/net/relay.hpp>

#include <ouro/runtime/combine.hpp>

#include <memory>
#include <span>

namespace ouro::net {
namespace {

/// Moves bytes until `from` has ended, and counts those that `to` has taken.
task<> move_all(stream& from, stream& to, std::size_t buffer_bytes, std::uint64_t& count) {
    OURO_ASSERT(buffer_bytes > 0 && "relay: its buffers have at least one byte");
    const auto memory = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
    const std::span<std::byte> buffer(memory.get(), buffer_bytes);
    for (;;) {
        const std::size_t got = co_await from.recv(buffer);
        if (got == 0) co_return;
        co_await to.send_all(buffer.first(got));
        count += got;
    }
}

task<> one_way(stream& from, stream& to, std::size_t buffer_bytes, std::uint64_t& count) {
    co_await move_all(from, to, buffer_bytes, count);
    // A receiver that is gone already fails the other direction, if that still matters.
    static_cast<void>(to.shutdown(half::send));
}

}  // namespace

task<std::uint64_t> copy(stream& from, stream& to, relay_options options) {
    std::uint64_t count = 0;
    co_await move_all(from, to, options.buffer_bytes, count);
    co_return count;
}

task<relay_totals> relay(stream& first, stream& second, relay_options options,
                         relay_totals* totals) {
    relay_totals own;
    relay_totals& counted = totals ? *totals : own;
    auto forward = one_way(first, second, options.buffer_bytes, counted.forward);
    auto backward = one_way(second, first, options.buffer_bytes, counted.backward);
    co_await all_of(std::move(forward), std::move(backward));
    co_return counted;
}

}  // namespace ouro::net
