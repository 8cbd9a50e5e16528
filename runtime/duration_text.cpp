#include <ouro/runtime/duration_text.hpp>

#include <cstdio>

namespace ouro {

std::string duration_text(duration length) {
    struct unit {
        double nanoseconds;
        const char* name;
    };
    static constexpr unit units[] = {{3600e9, "h"}, {60e9, "min"}, {1e9, "s"},
                                     {1e6, "ms"},   {1e3, "us"},   {1, "ns"}};
    const auto ns = static_cast<double>(length.count());
    if (ns <= 0) return "0 s";
    for (const unit& u : units) {
        if (ns < u.nanoseconds) continue;
        char text[32];
        std::snprintf(text, sizeof text, "%.3g %s", ns / u.nanoseconds, u.name);
        return text;
    }
    return "0 s";
}

}  // namespace ouro
