#include <ouro/runtime/log.hpp>

#include <atomic>
#include <cstdio>

namespace ouro {
namespace {

const char* name_of(log_level level) {
    switch (level) {
        case log_level::debug: return "debug";
        case log_level::info: return "info";
        case log_level::warning: return "warning";
        case log_level::error: return "error";
    }
    return "?";
}

// What nobody asked for must not be lost: a server that could not bind, say.
void troubles_to_stderr(log_level level, std::string_view text) {
    if (level >= log_level::warning) log_to_stderr(level, text);
}

constinit std::atomic<log_sink> sink_in_use = troubles_to_stderr;

}  // namespace

void set_log(log_sink sink) noexcept { sink_in_use.store(sink, std::memory_order_relaxed); }

void log_to_stderr(log_level level, std::string_view text) {
    std::fprintf(stderr, "ouro: %s: %.*s\n", name_of(level), static_cast<int>(text.size()),
                 text.data());
}

void log(log_level level, std::string_view text) {
    if (auto sink = sink_in_use.load(std::memory_order_relaxed)) sink(level, text);
}

bool log_enabled(log_level level) noexcept {
    const auto sink = sink_in_use.load(std::memory_order_relaxed);
    return sink != nullptr && (sink != troubles_to_stderr || level >= log_level::warning);
}

}  // namespace ouro
