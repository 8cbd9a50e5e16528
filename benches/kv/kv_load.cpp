// kv_load: what the clients of Redis and Memcached do in a second.
//
//   kv_load redis_get_64 --port 6379 --seconds 2 --reactor uring
//   {"work": "redis_get_64", "requests": …, "requests_per_second": …, "p50_us": …, …}
//
// One line of JSON; a fifth of the time is warm-up and not in it. Every value is compared with what
// was stored. `kv_load --list` names the works. The server is on this machine, and its keys are
// ours: `key:000000000000` and so on are overwritten.
//
// --poll-us N: how long to look for answers before sleeping. --batch N: how many tasks run before
// what they ask is sent. --ca FILE: under TLS, with a server whose certificate those in the file
// vouch for; where there is no TLS in this build, the program ends with 77.

#include "works.hpp"
#include <ouro/net/tls/context.hpp>
#include <ouro/runtime/run.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using namespace kv_load;
using ouro::net::tls::client_context;

namespace kv_load {

std::string key_of(int number) {
    char text[17];
    std::snprintf(text, sizeof text, "key:%012d", number);
    return text;
}

std::string value_of(int number) {
    char text[17];
    std::snprintf(text, sizeof text, "value-%010d", number);
    return text;
}

void throw_wrong_value(int number, std::string_view value) {
    throw std::logic_error("the value of " + key_of(number) + " is '" + std::string(value) + "'");
}

}  // namespace kv_load

namespace {

struct work {
    std::string_view name;
    ouro::task<> (*body)(server where, meter& watch);
};

constexpr work works[] = {
    {"redis_get_64", redis_get_64},         {"redis_get_1", redis_get_1},
    {"redis_set_64", redis_set_64},         {"redis_pipeline_1000", redis_pipeline_1000},
    {"memcached_get_64", memcached_get_64}, {"memcached_get_1", memcached_get_1},
};

constexpr double seconds_max = 3600;
constexpr double poll_us_max = 1e6;
constexpr double batch_max = 1'000'000;

constexpr int usage_code = 2;
constexpr int unable_code = 77;  // not a fault: what is asked for is not here; as in Meson's tests

[[noreturn]] void give_up(int code, const std::string& sentence) {
    std::fprintf(stderr, "kv_load: %s\n", sentence.c_str());
    std::exit(code);
}

[[noreturn]] void wrong_usage(const std::string& sentence) { give_up(usage_code, sentence); }

struct arguments {
    const work* which = nullptr;
    bool list = false;
    std::uint16_t port = 0;
    std::unique_ptr<const client_context> trust;  // null: no TLS
    double seconds = 1;
    ouro::runtime_options run;
};

const work& work_of(std::string_view name) {
    for (const work& one : works)
        if (one.name == name) return one;
    wrong_usage("'" + std::string(name) + "' is no work; --list names them");
}

double number_of(std::string_view option, const char* text, double low, double high) {
    char* end = nullptr;
    const double value = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high)) {
        char limits[64];
        std::snprintf(limits, sizeof limits, " takes %g to %g, not '", low, high);
        wrong_usage(std::string(option) + limits + text + "'");
    }
    return value;
}

ouro::reactor_kind reactor_of(std::string_view name) {
    if (name == "uring") return ouro::reactor_kind::uring;
    if (name == "epoll") return ouro::reactor_kind::epoll;
    wrong_usage("--reactor takes uring or epoll, not '" + std::string(name) + "'");
}

std::unique_ptr<const client_context> trust_in(const std::string& ca_file) {
    if (ca_file.empty()) wrong_usage("--ca takes a file, not ''");  // which would be the system's
    ouro::net::tls::client_options options;
    options.ca_file = ca_file;
    try {
        return std::make_unique<const client_context>(std::move(options));
    } catch (const std::exception& problem) {
        give_up(ouro::net::tls::available() ? usage_code : unable_code,
                std::string("--ca: ") + problem.what());
    }
}

void take_option(arguments& given, std::string_view name, const char* value) {
    if (name == "--port") {
        given.port = static_cast<std::uint16_t>(number_of(name, value, 1, 65535));
    } else if (name == "--ca") {
        given.trust = trust_in(value);
    } else if (name == "--seconds") {
        given.seconds = number_of(name, value, 0.01, seconds_max);
    } else if (name == "--reactor") {
        given.run.reactor.kind = reactor_of(value);
    } else if (name == "--poll-us") {
        const double ns = std::round(number_of(name, value, 0, poll_us_max) * 1000);
        given.run.reactor.busy_poll = ouro::duration(static_cast<std::int64_t>(ns));
    } else if (name == "--batch") {
        given.run.turn.resumptions = static_cast<int>(number_of(name, value, 1, batch_max));
    } else {
        wrong_usage("unknown option '" + std::string(name) +
                    "'; known are --port, --ca, --seconds, --reactor, --poll-us, --batch and "
                    "--list");
    }
}

arguments read_arguments(int argc, char** argv) {
    arguments given;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--list") {
            given.list = true;
        } else if (word.starts_with("-")) {
            if (i + 1 == argc) wrong_usage(std::string(word) + " needs a value");
            take_option(given, word, argv[++i]);
        } else if (given.which) {
            wrong_usage("one work at a time, not '" + std::string(word) + "', too");
        } else {
            given.which = &work_of(word);
        }
    }
    if (given.list) return given;
    if (!given.which) wrong_usage("which work? --list names them");
    if (given.port == 0) wrong_usage("--port is missing");
    return given;
}

int measure(const arguments& given) {
    meter watch(ouro::duration(static_cast<std::int64_t>(given.seconds * 1e9)));
    const server where{given.port, given.trust.get()};
    const int code = ouro::run(given.which->body(where, watch), given.run);
    if (code != 0) return code;
    if (!watch.over()) {
        std::fprintf(stderr, "kv_load: %s was asked to stop\n", given.which->name.data());
        return 1;
    }
    watch.report(given.which->name);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const arguments given = read_arguments(argc, argv);
    if (!given.list) return measure(given);
    for (const work& one : works) std::printf("%s\n", one.name.data());
}
