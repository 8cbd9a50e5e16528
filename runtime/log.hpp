// log.hpp: the one place where the library says something unasked; warnings and errors by default.
#pragma once

#include <cstdint>
#include <string_view>

namespace ouro {

enum class log_level : std::uint8_t { debug, info, warning, error };

/// Receives every message of the library; may be called from any worker, one call at a time is
/// not promised. The text is valid during the call only.
using log_sink = void (*)(log_level level, std::string_view text);

/// Installs a sink for the whole process; nullptr silences the library. Until then warnings and
/// errors, a detached task that failed among them, go to standard error.
void set_log(log_sink sink) noexcept;

/// A sink that writes "ouro: warning: text" lines to standard error.
void log_to_stderr(log_level level, std::string_view text);

/// Sends one message to the sink. Cheap when there is none.
void log(log_level level, std::string_view text);

/// True when somebody listens, so that callers need not format in vain; for debug and info ask
/// with the level.
bool log_enabled(log_level level = log_level::error) noexcept;

}  // namespace ouro
