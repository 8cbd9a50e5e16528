// relay.hpp: moving bytes from one stream to another, and in both directions at once.
#pragma once

#include <ouro/net/stream.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>

namespace ouro::net {

/// How bytes are moved.
struct relay_options {
    /// Of the one buffer per direction, which begins with 4 KiB and is there only while bytes are
    /// on their way: an idle direction holds none. What a slow receiver has not taken is not read.
    std::size_t buffer_bytes = std::size_t{16} * 1024;
};

/// How many bytes a relay has passed on.
struct relay_totals {
    std::uint64_t forward = 0;   ///< from the first stream to the second
    std::uint64_t backward = 0;  ///< from the second to the first
};

/// Moves bytes until `from` has ended, and returns how many. `to` is left open in both directions.
/// The streams are the caller's and stay until it has ended. Throws the first error of either.
task<std::uint64_t> copy(stream& from, stream& to, relay_options options = {});

/// Moves bytes in both directions until both have ended. The end of one stream is passed on to the
/// other as a half close, and the other direction goes on.
///
/// The streams are the caller's and stay until it has ended. An error of one direction ends the
/// other and is thrown; so does cancelling. `totals`, if given, counts while it goes on, and so
/// also tells how far a relay came that failed.
task<relay_totals> relay(stream& first, stream& second, relay_options options = {},
                         relay_totals* totals = nullptr);

}  // namespace ouro::net
