// load_report.hpp: what a load run found, as a table, a sketch and JSON.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/histogram.hpp>

#include <cstdint>
#include <string>

namespace examples {

struct load_report {
    std::uint64_t sent = 0;      ///< messages published
    std::uint64_t expected = 0;  ///< deliveries that should follow
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    std::uint64_t duplicated = 0;
    std::uint64_t out_of_order = 0;
    ouro::duration elapsed{};
    ouro::histogram latency;  ///< nanoseconds from making a message to taking it

    bool flawless() const {
        return lost == 0 && duplicated == 0 && out_of_order == 0 && delivered == expected;
    }
    double deliveries_per_second() const {
        return static_cast<double>(delivered) * 1e9 / static_cast<double>(elapsed.count());
    }
};

/// Redraws one line on standard error, when that is a terminal.
void draw_progress(ouro::duration since, ouro::duration whole, std::uint64_t delivered);

/// The table, and below it a sketch of the latencies.
void print_report(const load_report& report);

/// One JSON object on one line.
void write_json(const load_report& report, const std::string& file);

}  // namespace examples
