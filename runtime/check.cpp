#include <ouro/runtime/check.hpp>

#include <cstdio>
#include <cstdlib>

namespace ouro {
namespace {

constinit thread_local const char* context = nullptr;

}  // namespace

void set_assertion_context(const char* text) noexcept { context = text; }

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "assertion failed: %s (%s:%d)%s%s\n", expression, file, line,
                 context ? " on " : "", context ? context : "");
    std::abort();
}

}  // namespace ouro
