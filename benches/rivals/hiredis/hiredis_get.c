// hiredis_get: GET of 16-byte values with hiredis, over one connection.
//
//   hiredis_get --port P --seconds S --mode sync|pipeline [--depth N]
//
// sync: a caller that waits for each reply. pipeline: N commands are appended, which hiredis writes
// with the first reply that is asked for, and N replies are taken; the latency is that of such a
// batch. Commands are formatted by redisAppendCommandArgv() or redisCommandArgv(), which spare
// hiredis the reading of a format. Every value is compared.

#include "client.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

enum { depth_max = 100000 };
enum mode { sync, pipeline };

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

static struct options parse(int argc, char** argv) {
    static const char* const modes[] = {"sync", "pipeline", NULL};
    static struct options options = {.target.address = "127.0.0.1", .seconds = 1, .depth = 64};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--mode", option_choice, &options.mode, 0, 0, modes},
        {"--depth", option_count, &options.depth, 1, depth_max, NULL},
        {0},
    };
    parse_options(known,
                  "usage: hiredis_get --port P [--seconds 1] [--mode sync|pipeline] [--depth 64]\n"
                  "                   [--address 127.0.0.1]\n",
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
    else
        ask_many(context, &meter, options.depth);
    redisFree(context);
    report(options.mode == sync ? "sync" : "pipeline", &meter);
    return 0;
}
