// inprocess: what the pieces of the runtime cost, without a network.
//
//   inprocess spawn_join --seconds 2
//   {"work": "spawn_join", "operations": …, "wall_ns": …, "cpu_ns": …}
//
// One line of JSON; a fifth of the time is warm-up and not in it. `inprocess --list` names the
// works. The twins on tokio are benches/rivals/tokio/src/inprocess; a work and its twin are
// described in the same words.

#include "works.hpp"
#include <ouro/runtime/run.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace inprocess;

namespace {

constexpr work works[] = {
    {"spawn_join", spawn_join},
    {"yield_1", yield_1},
    {"yield_1000", yield_1000},
    {"await_ready", await_ready},
    {"channel_128", channel_128},
    {"channel_1_ping_pong", channel_1_ping_pong},
    {"mutex", mutex},
    {"semaphore", semaphore},
    {"oneshot", oneshot},
    {"timeout_ready", timeout_ready},
    {"timeout_pending", timeout_pending},
    {"sleeps_100k", sleeps_100k},
    {"timers_100k", timers_100k},
    {"cross_worker_ping_pong", cross_worker_ping_pong, 2},
    {"cross_worker_throughput", cross_worker_throughput, 2},
    {"spawn_anywhere", spawn_anywhere, 2},
};

constexpr double seconds_max = 3600;

[[noreturn]] void wrong_usage(const std::string& sentence) {
    std::fprintf(stderr, "inprocess: %s\n", sentence.c_str());
    std::exit(2);
}

struct arguments {
    const work* which = nullptr;
    bool list = false;
    double seconds = 1;
};

const work& work_of(std::string_view name) {
    for (const work& one : works)
        if (one.name == name) return one;
    wrong_usage("'" + std::string(name) + "' is no work; --list names them");
}

double seconds_of(const char* text) {
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0 && seconds <= seconds_max))
        wrong_usage("--seconds must be more than 0 and at most 3600, not '" + std::string(text) +
                    "'");
    return seconds;
}

arguments read_arguments(int argc, char** argv) {
    arguments given;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--list") {
            given.list = true;
        } else if (word == "--seconds") {
            if (++i == argc) wrong_usage("--seconds needs a number");
            given.seconds = seconds_of(argv[i]);
        } else if (word.starts_with("-")) {
            wrong_usage("unknown option '" + std::string(word) +
                        "'; known are --list and --seconds");
        } else if (given.which) {
            wrong_usage("one work at a time, not '" + std::string(word) + "', too");
        } else {
            given.which = &work_of(word);
        }
    }
    if (!given.which && !given.list) wrong_usage("which work? --list names them");
    return given;
}

int measure(const work& which, double seconds) {
    stopwatch watch(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
    const int code = ouro::run(which.body(watch), {.workers = which.workers});
    if (code != 0) return code;
    if (!watch.finished()) {
        std::fprintf(stderr, "inprocess: %s was asked to stop\n", which.name.data());
        return 1;
    }
    std::printf("{\"work\": \"%s\", \"operations\": %llu, \"wall_ns\": %lld, \"cpu_ns\": %lld}\n",
                which.name.data(), static_cast<unsigned long long>(watch.operations()),
                static_cast<long long>(watch.wall_ns()), static_cast<long long>(watch.cpu_ns()));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const arguments given = read_arguments(argc, argv);
    if (!given.list) return measure(*given.which, given.seconds);
    for (const work& one : works) std::printf("%s\n", one.name.data());
}
