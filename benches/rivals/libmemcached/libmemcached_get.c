// libmemcached_get: GET of 16-byte values with libmemcached, over many connections.
//
//   libmemcached_get --port P --seconds S --mode threads|cycle [--connections 64] [--binary]
//
// A memcached_st is one connection and belongs to one thread, so callers that ask at the same time
// have one each. threads: a thread per connection, memcached_get() in a loop. cycle: one thread,
// which lets every connection ask with memcached_mget() and then takes the answers in the same
// order; so there is one request on each connection, and nobody waits for a thread's turn. One
// connection in either mode is a caller that waits for each reply. Every value is compared.

#define _GNU_SOURCE

#include "client.h"

#include <libmemcached/memcached.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { handles_max = 1024 };
enum mode { threads, cycle };

struct options {
    struct target target;
    double seconds;
    int mode;
    int connections;
    bool binary;
};

static void check(memcached_st* handle, memcached_return_t code) {
    if (memcached_failed(code)) fail("%s", memcached_last_error_message(handle));
}

static memcached_st* open_handle(const struct options* options) {
    memcached_st* handle = checked(memcached_create(NULL));
    check(handle,
          memcached_server_add(handle, options->target.address, (in_port_t)options->target.port));
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    memcached_behavior_set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, options->binary);
    return handle;
}

static void store_entries(memcached_st* handle) {
    for (int i = 0; i < entries; i++) {
        const struct entry* each = entry_of(i);
        check(handle, memcached_set(handle, each->key, text_bytes, each->value, text_bytes, 0, 0));
    }
}

// --- a thread per connection ---

struct caller {
    const struct options* options;
    int number;
    pthread_t thread;
    atomic_ulong requests;
    struct histogram* latency;  // of the measured part
};

enum phase { warm_up, measured, over };
static atomic_int phase = warm_up;

static void* call(void* argument) {
    struct caller* caller = argument;
    memcached_st* handle = open_handle(caller->options);
    const struct entry* entry = entry_of(caller->number % entries);
    uint64_t then = now_ns();
    for (int seen; (seen = atomic_load(&phase)) != over;) {
        size_t bytes = 0;
        uint32_t flags = 0;
        memcached_return_t code = MEMCACHED_SUCCESS;
        char* value = memcached_get(handle, entry->key, text_bytes, &bytes, &flags, &code);
        check(handle, code);
        check_value(entry, value, bytes);
        free(value);
        const uint64_t now = now_ns();
        if (seen == measured) record(caller->latency, now - then);
        then = now;
        atomic_fetch_add_explicit(&caller->requests, 1, memory_order_relaxed);
    }
    memcached_free(handle);
    return NULL;
}

static uint64_t requests_of(struct caller* callers, int count) {
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) sum += atomic_load(&callers[i].requests);
    return sum;
}

static void wait_for(double seconds) {
    struct timespec length = {.tv_sec = (time_t)seconds};
    length.tv_nsec = (long)((seconds - (double)length.tv_sec) * 1e9);
    nanosleep(&length, NULL);
}

static void add(struct histogram* sum, const struct histogram* other) {
    for (size_t i = 0; i < powers * sub_buckets; i++) sum->counts[i] += other->counts[i];
    sum->total += other->total;
    if (other->slowest_ns > sum->slowest_ns) sum->slowest_ns = other->slowest_ns;
}

static void ask_in_threads(const struct options* options, struct meter* meter) {
    const int count = options->connections;
    struct caller* callers = checked(calloc((size_t)count, sizeof *callers));
    for (int i = 0; i < count; i++) {
        callers[i].options = options;
        callers[i].number = i;
        callers[i].latency = checked(calloc(1, sizeof *callers[i].latency));
        if (pthread_create(&callers[i].thread, NULL, call, &callers[i]) != 0)
            fail("cannot start a thread");
    }
    wait_for(options->seconds / warmup_share);
    *meter = (struct meter){.began_ns = now_ns()};
    const uint64_t cpu_before = cpu_ns(), requests_before = requests_of(callers, count);
    atomic_store(&phase, measured);
    wait_for(options->seconds - options->seconds / warmup_share);
    meter->requests = requests_of(callers, count) - requests_before;
    meter->cpu_ns = cpu_ns() - cpu_before;
    meter->ends_ns = now_ns();
    atomic_store(&phase, over);
    for (int i = 0; i < count; i++) {
        pthread_join(callers[i].thread, NULL);
        add(&meter->latency, callers[i].latency);
        free(callers[i].latency);
    }
    free(callers);
}

// --- one thread, many connections ---

static void begin_get(memcached_st* handle, const struct entry* entry) {
    const char* keys[] = {entry->key};
    const size_t bytes[] = {text_bytes};
    check(handle, memcached_mget(handle, keys, bytes, 1));
}

static void end_get(memcached_st* handle, const struct entry* entry, memcached_result_st* space) {
    memcached_return_t code = MEMCACHED_SUCCESS;
    memcached_result_st* result = memcached_fetch_result(handle, space, &code);
    if (!result) fail("no value: %s", memcached_strerror(handle, code));
    check_value(entry, memcached_result_value(result), memcached_result_length(result));
    if (memcached_fetch_result(handle, space, &code)) fail("a second value");
}

static void ask_in_a_cycle(const struct options* options, struct meter* meter) {
    static memcached_st* handles[handles_max];
    static uint64_t began[handles_max];
    const int count = options->connections;
    for (int i = 0; i < count; i++) handles[i] = open_handle(options);
    memcached_result_st space;
    memcached_result_create(handles[0], &space);
    meter_begin(meter, options->seconds);
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++) {
        began[i] = now;
        begin_get(handles[i], entry_of(i % entries));
    }
    while (meter_goes_on(meter, now)) {
        for (int i = 0; i < count; i++) {
            end_get(handles[i], entry_of(i % entries), &space);
            now = now_ns();
            record(&meter->latency, now - began[i]);
            began[i] = now;
            begin_get(handles[i], entry_of(i % entries));
        }
        meter->requests += (uint64_t)count;
    }
    memcached_result_free(&space);
    for (int i = 0; i < count; i++) memcached_free(handles[i]);
}

// --- before and after ---

static struct options parse(int argc, char** argv) {
    static const char* const modes[] = {"threads", "cycle", NULL};
    static struct options options = {
        .target.address = "127.0.0.1", .seconds = 1, .connections = 64};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--mode", option_choice, &options.mode, 0, 0, modes},
        {"--connections", option_count, &options.connections, 1, handles_max, NULL},
        {"--binary", option_flag, &options.binary, 0, 0, NULL},
        {0},
    };
    parse_options(known,
                  "usage: libmemcached_get --port P [--seconds 1] [--mode threads|cycle]\n"
                  "                        [--connections 64] [--binary] [--address 127.0.0.1]\n",
                  argc, argv);
    check_target(&options.target);
    return options;
}

int main(int argc, char** argv) {
    const struct options options = parse(argc, argv);
    raise_descriptor_limit();
    memcached_st* handle = open_handle(&options);
    store_entries(handle);
    memcached_free(handle);
    static struct meter meter;
    if (options.mode == threads)
        ask_in_threads(&options, &meter);
    else
        ask_in_a_cycle(&options, &meter);
    report(options.mode == threads ? "threads" : "cycle", &meter);
    return 0;
}
