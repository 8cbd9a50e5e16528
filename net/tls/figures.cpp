#include <ouro/net/tls/figures.hpp>

#include <algorithm>
#include <bit>
#include <chrono>

namespace ouro::net::tls {

void worker_figures::count_done(bool from_session, duration time) noexcept {
    ++(from_session ? resumed : full);
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::nanoseconds(time.count()));
    const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(microseconds.count(), 0));
    ++took[std::min<std::size_t>(std::bit_width(count), stats::times - 1)];
}

void worker_figures::count_failed(std::error_code why) noexcept {
    ++failed;
    if (why.category() == tls::category()) {
        const auto reason = static_cast<std::size_t>(why.value());
        if (reason < stats::reasons) ++failed_by[reason];
    } else {
        ++(why == ouro::errc::cancelled ? cancelled : broken);
    }
}

void worker_figures::add_to(stats& all) const noexcept {
    all.full += full;
    all.resumed += resumed;
    all.failed += failed;
    all.cancelled += cancelled;
    all.broken += broken;
    for (std::size_t i = 0; i < stats::reasons; ++i) all.failed_by[i] += failed_by[i];
    for (std::size_t i = 0; i < stats::times; ++i) all.took[i] += took[i];
    all.records += records;
    all.sends += sends;
    all.bytes += bytes;
}

}  // namespace ouro::net::tls
