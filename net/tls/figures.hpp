// figures.hpp: what a context's connections have come to.
#pragma once

#include <ouro/net/tls/error.hpp>
#include <ouro/runtime/duration.hpp>
#include <ouro/runtime/engine/counter.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace ouro::net::tls {

/// What a context has seen so far, on all workers.
struct stats {
    std::uint64_t full = 0;       ///< handshakes with certificates
    std::uint64_t resumed = 0;    ///< handshakes from a session before
    std::uint64_t failed = 0;     ///< handshakes that failed, for whatever reason
    std::uint64_t cancelled = 0;  ///< of these: somebody stopped waiting
    std::uint64_t broken = 0;     ///< of these: the connection broke, or memory ran out

    /// How many failed for that reason.
    std::uint64_t failed_for(errc reason) const noexcept {
        return failed_by[static_cast<std::size_t>(reason)];
    }
    static constexpr std::size_t reasons = static_cast<std::size_t>(errc::protocol) + 1;
    std::array<std::uint64_t, reasons> failed_by = {};

    /// Handshakes that took less than 2^i microseconds, and not less than half of that.
    static constexpr std::size_t times = 32;
    std::array<std::uint64_t, times> took = {};

    // Of connections that have ended.
    std::uint64_t records = 0;  ///< that were sent
    std::uint64_t sends = 0;    ///< that took them
    std::uint64_t bytes = 0;    ///< of clear data in them

    std::uint64_t sessions = 0;  ///< that a client keeps now
};

/// The same of one worker.
struct worker_figures {
    counter full, resumed, failed, cancelled, broken;
    std::array<counter, stats::reasons> failed_by;
    std::array<counter, stats::times> took;
    counter records, sends, bytes;

    void count_done(bool from_session, duration time) noexcept;
    void count_failed(std::error_code why) noexcept;
    void add_to(stats& all) const noexcept;
};

}  // namespace ouro::net::tls
