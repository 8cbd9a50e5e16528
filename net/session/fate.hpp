// fate.hpp: how far a request had come when it failed.
#pragma once

#include <cstdint>

namespace ouro::net {

/// How far a request has come, as far as the client can know.
enum class fate : std::uint8_t {
    unsent,      ///< it was not sent whole, so it had no effect; safe to try again
    unanswered,  ///< it was sent, and may or may not have had its effect
    partial,     ///< a part of its answer was handed on, and the rest is lost
    answered,    ///< the failure is the server's answer
};

/// The English words for it.
constexpr const char* to_string(fate how_far) noexcept {
    switch (how_far) {
        case fate::unsent: return "not sent";
        case fate::unanswered: return "sent and unanswered";
        case fate::partial: return "answered in part";
        case fate::answered: return "answered";
    }
    return "unknown";
}

}  // namespace ouro::net
