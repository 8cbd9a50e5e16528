// load.h: what the loads have in common: an end with a sentence, the clock, latencies, test bytes,
// sockets and the command line.
//
// Every load is one thread that polls epoll and never sleeps (echo_load.c says why), prints one
// report and ends with 0; with 1 and a sentence on stderr when the server did anything wrong; with
// 2 when the command line is wrong.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum {
    seconds_max = 3600,
    connections_max = 16384,
    stall_seconds = 5,  // no progress at all for this long: the server hangs
    events_max = 1024,
};

static const uint64_t ns_per_second = 1000000000u;

// --- the end ---

_Noreturn void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail_errno(const char* what, int error);
void* checked(void* memory);  // fails on NULL

// --- time ---

uint64_t now_ns(void);

// --- latency: a histogram whose buckets are 1/128 of their power of two wide ---

enum {
    sub_buckets = 128,    // per power of two: a percentile is right to 1 %
    powers = 64 - 7 + 1,  // everything below sub_buckets counts as one
};

struct histogram {
    uint64_t counts[powers * sub_buckets];
    uint64_t total;
    uint64_t slowest_ns;
};

void record(struct histogram* histogram, uint64_t ns);

// The latency that `share` of those recorded do not exceed; 0 when there are none.
double percentile_us(const struct histogram* histogram, double share);

// `"p50_us": 1.2, …, "max_us": 3.4`, and the same for people.
void print_latency_json(const struct histogram* histogram);
void print_latency(const struct histogram* histogram);

// --- test bytes ---

// Fills `bytes` with the same random bytes on every run.
void fill_random(unsigned char* bytes, size_t count);

// --- sockets ---

struct target {
    const char* address;  // of the loopback network
    int port;
};

void raise_descriptor_limit(void);

// Connects, waiting for at most `stall_seconds`, and sets TCP_NODELAY.
int connect_to(const struct target* target);

// Begins to connect and returns at once; sending and receiving say how it went.
int begin_connect(const struct target* target);

int open_epoll(void);
void watch(int epoll, int fd, uint32_t wanted, void* data);

// Returns the number of events that are there now; never waits.
int poll_events(int epoll, struct epoll_event* events);

// What could be sent or received at once, 0 when nothing could; fails on any error and, when
// receiving, at the end of the stream.
size_t send_now(int fd, const void* bytes, size_t count);
size_t receive_now(int fd, void* bytes, size_t count);

// --- the command line ---

// How --name takes its value, and where it goes.
enum option_kind {
    option_flag,    // no value; a bool
    option_count,   // an int from low to high
    option_number,  // a double from low to high
    option_choice,  // one of `choices`, which ends with NULL; an int, its index
    option_text,    // a const char*
};

struct option {
    const char* name;
    enum option_kind kind;
    void* into;
    double low, high;
    const char* const* choices;
};

// `options` ends with one whose name is NULL. `help` follows every complaint.
void parse_options(const struct option* options, const char* help, int argc, char** argv);
void check_target(const struct target* target);

// Complains and ends with 2; to be used after parse_options().
_Noreturn void wrong_usage(const char* format, ...) __attribute__((format(printf, 1, 2)));
