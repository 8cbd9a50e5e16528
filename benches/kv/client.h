// client.h: what the clients written in C have in common: the entries that they ask for, the time,
// and the report.
//
// An entry has a key and a value of 16 bytes each, `key:000000000042` and `value-0000000042`, as
// those of ours have. A fifth of the time is warm-up and not in the figures.
#pragma once

#include "load.h"

enum {
    entries = 64,
    text_bytes = 16,
    warmup_share = 5,  // a fifth
};

// Both without their final zero.
struct entry {
    char key[text_bytes], value[text_bytes];
};

// The entry of this number, below `entries`; the table is made by the first call.
const struct entry* entry_of(int number);

// Fails unless this is the value of the entry.
void check_value(const struct entry* entry, const void* value, size_t bytes);

// --- the time ---

// The measured part of a run. After meter_begin(), ask meter_goes_on() between requests or batches
// of them, with the time at which the last one ended, count what was done and record how long it
// took. The part lasts until something was recorded, however little time it was given.
struct meter {
    uint64_t began_ns, ends_ns;  // of the phase
    uint64_t whole_ns;
    uint64_t cpu_ns;  // until the end: when the measured part began
    uint64_t requests;
    bool measured;  // the warm-up is over
    struct histogram latency;
};

void meter_begin(struct meter* meter, double seconds);
bool meter_goes_on(struct meter* meter, uint64_t now_ns);

// CPU time of all threads of the process.
uint64_t cpu_ns(void);

// One line of JSON.
void report(const char* work, const struct meter* meter);
