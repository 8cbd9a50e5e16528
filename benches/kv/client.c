// client.c: see client.h.

#define _GNU_SOURCE

#include "client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct entry* entry_of(int number) {
    static struct entry table[entries];
    if (table[0].key[0] == 0) {
        for (int i = 0; i < entries; i++) {
            char text[2][text_bytes + 1];
            snprintf(text[0], sizeof text[0], "key:%012d", i);
            snprintf(text[1], sizeof text[1], "value-%010d", i);
            memcpy(table[i].key, text[0], text_bytes);
            memcpy(table[i].value, text[1], text_bytes);
        }
    }
    return &table[number];
}

void check_value(const struct entry* entry, const void* value, size_t bytes) {
    if (bytes != text_bytes || memcmp(value, entry->value, text_bytes) != 0)
        fail("the value of %.*s is '%.*s'", text_bytes, entry->key, (int)bytes, (const char*)value);
}

uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * ns_per_second + (uint64_t)now.tv_nsec;
}

void meter_begin(struct meter* meter, double seconds) {
    *meter = (struct meter){.whole_ns = (uint64_t)(seconds * 1e9), .began_ns = now_ns()};
    meter->ends_ns = meter->began_ns + meter->whole_ns / warmup_share;
}

bool meter_goes_on(struct meter* meter, uint64_t now) {
    if (now < meter->ends_ns || (meter->measured && meter->latency.total == 0)) return true;
    if (meter->measured) {
        meter->ends_ns = now;
        meter->cpu_ns = cpu_ns() - meter->cpu_ns;
        return false;
    }
    meter->measured = true;
    meter->requests = 0;
    meter->latency = (struct histogram){0};
    meter->cpu_ns = cpu_ns();
    meter->began_ns = now_ns();
    meter->ends_ns = meter->began_ns + meter->whole_ns - meter->whole_ns / warmup_share;
    return true;
}

void report(const char* work, const struct meter* meter) {
    const uint64_t wall_ns = meter->ends_ns - meter->began_ns;
    const double rate = (double)meter->requests * 1e9 / (double)wall_ns;
    printf("{\"work\": \"%s\", \"requests\": %" PRIu64 ", \"wall_ns\": %" PRIu64
           ", \"cpu_ns\": %" PRIu64 ", \"requests_per_second\": %.0f, ",
           work, meter->requests, wall_ns, meter->cpu_ns, rate);
    print_latency_json(&meter->latency);
    printf("}\n");
}
