#include <ouro/runtime/check.hpp>

#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/engine/executor.hpp>

#include <cstdio>
#include <cstdlib>

namespace ouro {
namespace {

constinit thread_local const char* context = nullptr;
constinit thread_local bool failing = false;

/// The task that runs, as its worker calls it.
void name_task(const chain* innermost) noexcept {
    for (const chain* one = innermost; one; one = one->parent()) {
        const auto* task = dynamic_cast<const root_task*>(one);
        if (!task) continue;
        const std::string_view name = task->name();
        std::fprintf(stderr, "  in task %llu%s%.*s%s\n",
                     static_cast<unsigned long long>(task->number()), name.empty() ? "" : " \"",
                     static_cast<int>(name.size()), name.data(), name.empty() ? "" : "\"");
        return;
    }
}

/// Which task did it, and where. A frame notes the place of each await, so that of the running one
/// is the await that failed or, when it called something else, the one before.
void name_running_task() noexcept {
    const executor* here = executor::current_or_null();
    const promise_base* running = here ? here->running() : nullptr;
    if (!running) return;
    name_task(running->owner);
    const char* words = "at or after";
    for (const promise_base* frame = running; frame; frame = frame->parent) {
        const auto& place = frame->where;
        if (place.line() == 0 || is_runtime_file(place.file_name())) continue;
        std::fprintf(stderr, "    %s %s:%u\n", words, place.file_name(),
                     static_cast<unsigned>(place.line()));
        words = "awaited at";
    }
}

}  // namespace

void set_assertion_context(const char* text) noexcept { context = text; }

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "assertion failed: %s (%s:%d)%s%s\n", expression, file, line,
                 context ? " on " : "", context ? context : "");
    if (!failing) {
        failing = true;  // what follows may fail, too
        name_running_task();
    }
    std::abort();
}

}  // namespace ouro
