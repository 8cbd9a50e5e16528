// duration_text.hpp: lengths of time for people: "250 ms", "3.2 s".
#pragma once

#include <ouro/runtime/clock.hpp>

#include <string>

namespace ouro {

/// Two or three digits and a unit from ns to h; negative lengths are shown as 0.
std::string duration_text(duration length);

}  // namespace ouro
