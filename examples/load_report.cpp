#include "load_report.hpp"
#include <ouro/runtime/duration_text.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <vector>

namespace examples {
namespace {

constexpr int bar_width = 40;

std::string text_of(std::uint64_t nanoseconds) {
    return ouro::duration_text(ouro::duration(nanoseconds));
}

/// One row per power of two, from the fastest to the slowest, as wide as its share.
void print_sketch(const ouro::histogram& latency) {
    struct row {
        std::uint64_t from, count;
    };
    std::vector<row> rows;
    for (std::uint64_t from = 1024; from < (std::uint64_t{1} << 40); from *= 2) {
        const std::uint64_t low = from == 1024 ? 0 : from;
        rows.push_back({low, latency.count_between(low, from * 2)});
    }
    while (!rows.empty() && rows.back().count == 0) rows.pop_back();
    const auto first = std::find_if(rows.begin(), rows.end(), [](row r) { return r.count > 0; });
    std::uint64_t most = 1;
    for (const row& r : rows) most = std::max(most, r.count);
    for (auto at = first; at != rows.end(); ++at) {
        const auto width = static_cast<int>(at->count * bar_width / most);
        fmt::print("  {:>8} | {:<{}} {}\n", text_of(at->from),
                   std::string(static_cast<std::size_t>(width), '#'), bar_width, at->count);
    }
}

}  // namespace

void draw_progress(ouro::duration since, ouro::duration whole, std::uint64_t delivered) {
    if (!::isatty(STDERR_FILENO)) return;
    const double share = std::clamp(
        static_cast<double>(since.count()) / static_cast<double>(whole.count()), 0.0, 1.0);
    const auto width = static_cast<std::size_t>(share * bar_width);
    std::fprintf(stderr, "\r[%s%s] %3.0f %%  %llu delivered ", std::string(width, '#').c_str(),
                 std::string(bar_width - width, ' ').c_str(), share * 100,
                 static_cast<unsigned long long>(delivered));
    if (share >= 1) std::fputc('\n', stderr);
}

void print_report(const load_report& report) {
    fmt::print("expected     {:>14}\n", report.expected);
    fmt::print("delivered    {:>14}\n", report.delivered);
    fmt::print("lost         {:>14}\n", report.lost);
    fmt::print("duplicated   {:>14}\n", report.duplicated);
    fmt::print("out of order {:>14}\n", report.out_of_order);
    fmt::print("deliveries/s {:>14.0f}\n", report.deliveries_per_second());
    fmt::print("latency      p50 {}  p90 {}  p99 {}  p99.9 {}  max {}\n",
               text_of(report.latency.percentile(50)), text_of(report.latency.percentile(90)),
               text_of(report.latency.percentile(99)), text_of(report.latency.percentile(99.9)),
               text_of(report.latency.max()));
    print_sketch(report.latency);
}

void write_json(const load_report& report, const std::string& file) {
    std::FILE* out = std::fopen(file.c_str(), "w");
    if (!out) throw std::runtime_error("cannot write " + file);
    fmt::print(out,
               "{{\"sent\": {}, \"expected\": {}, \"delivered\": {}, \"lost\": {}, "
               "\"duplicated\": {}, \"out_of_order\": {}, \"seconds\": {:.3f}, "
               "\"deliveries_per_second\": {:.0f}, \"latency_ns\": {{\"p50\": {}, \"p90\": {}, "
               "\"p99\": {}, \"p99.9\": {}, \"max\": {}}}}}\n",
               report.sent, report.expected, report.delivered, report.lost, report.duplicated,
               report.out_of_order, static_cast<double>(report.elapsed.count()) / 1e9,
               report.deliveries_per_second(), report.latency.percentile(50),
               report.latency.percentile(90), report.latency.percentile(99),
               report.latency.percentile(99.9), report.latency.max());
    std::fclose(out);
}

}  // namespace examples
