// hiredis_get: GET of 16-byte values with hiredis, over one connection.
//
//   hiredis_get --port P --seconds S --mode sync|pipeline|async [--depth N]
//
// sync: a caller that waits for each reply. pipeline: N commands are appended, which hiredis writes
// with the first reply that is asked for, and N replies are taken; the latency is that of such a
// batch. async: N callers share the connection of a redisAsyncContext, each asks again in the
// callback that brings its reply, and what one read brought is asked again with one write; the
// latency is a caller's. Commands are formatted by the functions that take words, which spare
// hiredis the reading of a format. Every value is compared.

#include "client.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { depth_max = 100000 };
enum mode { sync, pipeline, async };
static const char* const mode_names[] = {"sync", "pipeline", "async", NULL};

struct options {
    struct target target;
    double seconds;
    int mode;
    int depth;
};

static redisReply* checked_reply(const redisContext* context, redisReply* reply) {
    if (!reply) fail("%s", context->errstr);
    if (reply->type == REDIS_REPLY_ERROR) fail("%s", reply->str);
    return reply;
}

static redisContext* open_connection(const struct target* target) {
    redisContext* context = redisConnect(target->address, target->port);
    if (!context) fail("out of memory");
    if (context->err) fail("cannot connect: %s", context->errstr);
    return context;
}

static void store_entries(redisContext* context) {
    for (int i = 0; i < entries; i++) {
        const struct entry* each = entry_of(i);
        freeReplyObject(
            checked_reply(context, redisCommand(context, "SET %b %b", each->key, (size_t)text_bytes,
                                                each->value, (size_t)text_bytes)));
    }
}

static void check_reply(const struct entry* entry, const redisReply* reply) {
    if (reply->type != REDIS_REPLY_STRING) fail("a reply of type %d", reply->type);
    check_value(entry, reply->str, reply->len);
}

static void ask_one_by_one(redisContext* context, struct meter* meter) {
    uint64_t now = now_ns();
    for (int i = 0; meter_goes_on(meter, now); i = (i + 1) % entries) {
        const struct entry* entry = entry_of(i);
        const char* words[] = {"GET", entry->key};
        const size_t bytes[] = {3, text_bytes};
        redisReply* reply = checked_reply(context, redisCommandArgv(context, 2, words, bytes));
        check_reply(entry, reply);
        freeReplyObject(reply);
        const uint64_t then = now;
        now = now_ns();
        record(&meter->latency, now - then);
        meter->requests++;
    }
}

static void ask_many(redisContext* context, struct meter* meter, int depth) {
    uint64_t now = now_ns();
    while (meter_goes_on(meter, now)) {
        for (int i = 0; i < depth; i++) {
            const char* words[] = {"GET", entry_of(i % entries)->key};
            const size_t bytes[] = {3, text_bytes};
            redisAppendCommandArgv(context, 2, words, bytes);
        }
        for (int i = 0; i < depth; i++) {
            void* reply = NULL;
            redisGetReply(context, &reply);
            check_reply(entry_of(i % entries), checked_reply(context, reply));
            freeReplyObject(reply);
        }
        const uint64_t then = now;
        now = now_ns();
        record(&meter->latency, now - then);
        meter->requests += (uint64_t)depth;
    }
}

// --- callers that share a connection ---

// What hiredis waits for; one connection needs no more of an event library.
struct wish {
    bool to_read, to_write;
};

static void want_read(void* wish) { ((struct wish*)wish)->to_read = true; }
static void want_no_read(void* wish) { ((struct wish*)wish)->to_read = false; }
static void want_write(void* wish) { ((struct wish*)wish)->to_write = true; }
static void want_no_write(void* wish) { ((struct wish*)wish)->to_write = false; }

struct crowd {
    struct meter* meter;
    int waiting;
    bool over;
};

struct caller {
    struct crowd* crowd;
    const struct entry* entry;
    uint64_t asked_ns;
};

static void take_and_ask_again(redisAsyncContext* context, void* reply, void* data);

static void ask(redisAsyncContext* context, struct caller* caller, uint64_t now) {
    const char* words[] = {"GET", caller->entry->key};
    const size_t bytes[] = {3, text_bytes};
    caller->asked_ns = now;
    caller->crowd->waiting++;
    if (redisAsyncCommandArgv(context, take_and_ask_again, caller, 2, words, bytes) != REDIS_OK)
        fail("%s", context->errstr);
}

static void take_and_ask_again(redisAsyncContext* context, void* reply, void* data) {
    struct caller* caller = data;
    struct crowd* crowd = caller->crowd;
    crowd->waiting--;
    check_reply(caller->entry, checked_reply(&context->c, reply));
    if (crowd->over) return;
    const uint64_t now = now_ns();
    record(&crowd->meter->latency, now - caller->asked_ns);
    crowd->meter->requests++;
    crowd->over = !meter_goes_on(crowd->meter, now);
    if (!crowd->over) ask(context, caller, now);
}

static void ask_together(const struct target* target, struct meter* meter, int depth) {
    redisAsyncContext* context = redisAsyncConnect(target->address, target->port);
    if (!context || context->err) fail("cannot connect");
    struct wish wish = {0};
    context->ev.data = &wish;
    context->ev.addRead = want_read;
    context->ev.delRead = want_no_read;
    context->ev.addWrite = want_write;
    context->ev.delWrite = want_no_write;
    wish.to_write = true;  // so it learns that it is connected
    struct caller* callers = checked(calloc((size_t)depth, sizeof *callers));
    struct crowd crowd = {.meter = meter};
    for (int i = 0; i < depth; i++) {
        callers[i] = (struct caller){.crowd = &crowd, .entry = entry_of(i % entries)};
        ask(context, &callers[i], now_ns());
    }
    while (crowd.waiting) {
        const short events = (short)((wish.to_read ? POLLIN : 0) | (wish.to_write ? POLLOUT : 0));
        struct pollfd ready = {.fd = context->c.fd, .events = events};
        if (poll(&ready, 1, -1) < 0) fail("cannot poll");
        if (ready.revents & (POLLIN | POLLHUP | POLLERR)) redisAsyncHandleRead(context);
        if (wish.to_write) redisAsyncHandleWrite(context);  // also what was asked just now
    }
    redisAsyncFree(context);
    free(callers);
}

// --- before and after ---

static struct options parse(int argc, char** argv) {
    static struct options options = {.target.address = "127.0.0.1", .seconds = 1, .depth = 64};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--mode", option_choice, &options.mode, 0, 0, mode_names},
        {"--depth", option_count, &options.depth, 1, depth_max, NULL},
        {0},
    };
    parse_options(known,
                  "usage: hiredis_get --port P [--seconds 1] [--mode sync|pipeline|async]\n"
                  "                   [--depth 64] [--address 127.0.0.1]\n",
                  argc, argv);
    check_target(&options.target);
    return options;
}

int main(int argc, char** argv) {
    const struct options options = parse(argc, argv);
    redisContext* context = open_connection(&options.target);
    store_entries(context);
    static struct meter meter;
    meter_begin(&meter, options.seconds);
    if (options.mode == sync)
        ask_one_by_one(context, &meter);
    else if (options.mode == pipeline)
        ask_many(context, &meter, options.depth);
    else
        ask_together(&options.target, &meter, options.depth);
    redisFree(context);
    report(mode_names[options.mode], &meter);
    return 0;
}
