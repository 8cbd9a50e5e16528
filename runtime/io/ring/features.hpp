// features.hpp: opening the best ring that the kernel grants.
#pragma once

#include <ouro/runtime/engine/reactor.hpp>

#include <string>

struct io_uring;

namespace ouro {

/// Opens a ring, trying fewer set-up flags each time the kernel refuses. False, with the reason,
/// when there is none to be had: no such system call, forbidden, or too old. `says` names the
/// flags in use or the refusal.
bool open_ring(io_uring& ring, const reactor_options& options, std::string& says);

}  // namespace ouro
